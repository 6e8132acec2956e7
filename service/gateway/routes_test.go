package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
)

func TestLabelsAreDecodedOnce(t *testing.T) {
	tests := []struct{ name, encoded, want string }{
		{"a space", "front%20desk", "front desk"},
		{"two bytes", "caf%C3%A9", "café"},
		{"lower-case digits", "caf%c3%a9", "café"},
		{"a question mark", "a%3Fb", "a?b"},
		{"a number sign", "a%23b", "a#b"},
		{"a percent sign", "100%25", "100%"},
		{"what looks encoded", "a%2520b", "a%20b"},
		{"what looks like a slash", "a%252Fb", "a%2Fb"},
		{"a plus", "a+b", "a+b"},
		{"an encoded plus", "a%2Bb", "a+b"},
		{"a dot", ".", "."},
		{"two dots", "..", ".."},
		{"encoded dots", "%2e%2e", ".."},
		{"a colon", "a:b", "a:b"},
		{"a leading colon", ":x", ":x"},
		{"a trailing colon", "x:", "x:"},
		{"what looks like a verb", "fault:429x2", "fault:429x2"},
		{"an encoded colon", "a%3Ab", "a:b"},
		{"a semicolon", "a;b", "a;b"},
		{"a backslash", `a%5Cb`, `a\b`},
		{"quotes and brackets", "%22%5B%7B%3C", `"[{<`},
		{"what stands for itself", "a=b&c$d,e@f!g*h'i(j)~_-", "a=b&c$d,e@f!g*h'i(j)~_-"},
		{"a line feed", "a%0Ab", "a\nb"},
		{"needless encoding", "%61", "a"},
		{"128 times two bytes", strings.Repeat("%C3%A9", 128), strings.Repeat("é", 128)},
		{"a name of the path", "participants", "participants"},
	}
	s := newService()
	server := serve(t, s, Config{})
	for _, test := range tests {
		for path, account := range map[string]string{defaultAccountPath: "", accountPath: accountSID} {
			t.Run(test.name+" on "+path, func(t *testing.T) {
				got := sendRaw(t, server, http.MethodPatch, path+test.encoded, `{"muted": true}`)
				if got.code != http.StatusOK {
					t.Fatalf("HTTP status %d: %s", got.code, got.body)
				}
				wantRequest(t, s.seen(t), &conferencev1.UpdateParticipantRequest{
					AccountSid: account, ConferenceSid: conferenceSID, CallSid: test.want, Muted: proto.Bool(true),
				})
			})
		}
	}
}

func TestPathVariablesThatCannotBe(t *testing.T) {
	const slash = "must have no /, not as %2F either: no SID or label has one"
	tests := []struct{ name, path, field, rule string }{
		{"a slash in the label", defaultAccountPath + "a%2Fb", "call_sid", slash},
		{"a slash of lower-case digits", accountPath + "a%2fb", "call_sid", slash},
		{"a slash alone", defaultAccountPath + "%2F", "call_sid", slash},
		{"a slash in the conference", "/v1/conferences/a%2Fb/participants/x", "conference_sid", slash},
		{"a slash in the account", "/v1/accounts/a%2Fb/conferences/c/participants/x", "account_sid", slash},
		{"no participant", defaultAccountPath, "call_sid", "is empty in the path"},
		{"no conference", "/v1/conferences//participants/x", "conference_sid", "is empty in the path"},
		{"no account", "/v1/accounts//conferences/c/participants/x", "account_sid", "is empty in the path"},
		{"what is not UTF-8", defaultAccountPath + "%ff", "call_sid", "must be percent-encoded UTF-8"},
	}
	s := newService()
	server := serve(t, s, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := sendRaw(t, server, http.MethodPost, test.path, `{"muted": true}`)
			wantStatus(t, got, refusal(test.field, test.rule))
			s.notCalled(t)
		})
	}
}

func TestUnknownPaths(t *testing.T) {
	tests := map[string]string{
		"the root":                     "/",
		"another version":              "/v2/conferences/c/participants/x",
		"a trailing slash":             defaultAccountPath + "x/",
		"a slash too many":             "/" + defaultAccountPath + "x",
		"the collection":               strings.TrimSuffix(defaultAccountPath, "/"),
		"a label with a bare slash":    defaultAccountPath + "a/b",
		"dots that lead out":           defaultAccountPath + "../participants/x",
		"an encoded slash in the name": "/v1%2Fconferences/c/participants/x",
		"another case":                 "/V1/conferences/c/participants/x",
		"the name of the gRPC method":  "/conference.v1.ConferenceService/UpdateParticipant",
		"the documents, which are off": "/openapi.json",
		"the UI, which is off":         "/docs",
	}
	s := newService()
	server := serve(t, s, Config{})
	for name, path := range tests {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				wantStatus(t, sendRaw(t, server, method, path, ""), outcome.RouteNotFound.Status(outcome.Facts{}))
			}
			s.notCalled(t)
		})
	}
}

func TestMethodsThatThePathDoesNotHave(t *testing.T) {
	s := newService()
	server := serve(t, s, Config{})
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "TRACE", "patch", "BREW"} {
		t.Run(method, func(t *testing.T) {
			got := send(t, server, method, defaultAccountPath+callSID, "")
			wantStatus(t, got, outcome.MethodNotAllowed.Status(outcome.Facts{}))
			if allow := got.header.Get("Allow"); allow != "PATCH, POST" {
				t.Errorf("Allow: %q", allow)
			}
			s.notCalled(t)
		})
	}
	t.Run("HEAD", func(t *testing.T) {
		got := send(t, server, "HEAD", defaultAccountPath+callSID, "")
		if got.code != http.StatusMethodNotAllowed || len(got.body) > 0 {
			t.Errorf("HTTP status %d, body %q", got.code, got.body)
		}
	})
}

func TestMethodOverrideIsNotHonoured(t *testing.T) {
	for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded"} {
		for _, override := range []string{"GET", "DELETE"} {
			t.Run(override+" as "+contentType, func(t *testing.T) {
				s := newService()
				got := send(t, serve(t, s, Config{}), "POST", defaultAccountPath+callSID, `{"hold": true}`,
					"X-HTTP-Method-Override", override, "Content-Type", contentType)
				if got.code != http.StatusOK {
					t.Errorf("HTTP status %d: %s", got.code, got.body)
				}
				wantRequest(t, s.seen(t), &conferencev1.UpdateParticipantRequest{
					ConferenceSid: conferenceSID, CallSid: callSID, Hold: proto.Bool(true),
				})
			})
		}
	}
	t.Run("to a method that would work", func(t *testing.T) {
		got := send(t, serve(t, newService(), Config{}), "GET", defaultAccountPath+callSID, `{}`, "X-HTTP-Method-Override", "POST")
		wantStatus(t, got, outcome.MethodNotAllowed.Status(outcome.Facts{}))
	})
}

func TestQueryStringIsRefused(t *testing.T) {
	s := newService()
	server := serve(t, s, Config{})
	want := refusal("", "the path has a query string: properties belong in the body")
	for _, query := range []string{"?muted=true", "?x", "?%zz"} {
		wantStatus(t, sendRaw(t, server, http.MethodPost, defaultAccountPath+callSID+query, "{}"), want)
	}
	s.notCalled(t)
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	got := sendRaw(t, serve(t, newService(), Config{}), http.MethodPost, defaultAccountPath+"?x=y", `{"mute": true, "hold": 1}`)
	wantStatus(t, got, refusal(
		"call_sid", "is empty in the path",
		"", "the path has a query string: properties belong in the body",
		"mute", "is no field of the request; did you mean muted?",
		"hold", "must be true or false",
	))
}

func TestAnnotationsThatCannotBeServed(t *testing.T) {
	post := func(path string) *annotations.HttpRule {
		return &annotations.HttpRule{Body: "*", Pattern: &annotations.HttpRule_Post{Post: path}}
	}
	tests := map[string]*annotations.HttpRule{
		"GET":                {Pattern: &annotations.HttpRule_Get{Get: "/x"}},
		"no body":            {Pattern: &annotations.HttpRule_Post{Post: "/x"}},
		"part of the body":   {Body: "muted", Pattern: &annotations.HttpRule_Post{Post: "/x"}},
		"a verb":             post("/x:act"),
		"a verb of a field":  post("/{call_sid}:act"),
		"a wildcard":         post("/x/*"),
		"a field's template": post("/{call_sid=x/*}"),
		"no such field":      post("/{who}"),
	}
	for name, rule := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := routesOf(serviceWith(t, rule)); err == nil {
				t.Error("no error")
			}
		})
	}
	t.Run("a method without annotations is not served", func(t *testing.T) {
		routes, err := routesOf(serviceWith(t, nil))
		if err != nil || len(routes) > 0 {
			t.Errorf("routes %v, error %v", routes, err)
		}
	})
}

func serviceWith(t *testing.T, rule *annotations.HttpRule) protoreflect.ServiceDescriptor {
	t.Helper()
	file := protodesc.ToFileDescriptorProto(conferencev1.File_conference_v1_conference_service_proto)
	options := &descriptorpb.MethodOptions{}
	if rule != nil {
		proto.SetExtension(options, annotations.E_Http, rule)
	}
	file.Service[0].Method[0].Options = options
	built, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return built.Services().Get(0)
}

// FuzzLabel: whatever the label, the service gets exactly it, or nothing.
func FuzzLabel(f *testing.F) {
	for _, label := range []string{"front desk", "café", "a?b", "..", ":x", "100%", "%2F", "a/b", "", "\xff", "a\x00b"} {
		f.Add(label)
	}
	s := newService()
	handler := newHandler(f, s, Config{})
	f.Fuzz(func(t *testing.T, label string) {
		request := httptest.NewRequest(http.MethodPost, defaultAccountPath+url.PathEscape(label), strings.NewReader("{}"))
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if label == "" || strings.Contains(label, "/") || !utf8.ValidString(label) {
			if s.notCalled(t); recorder.Code != http.StatusBadRequest {
				t.Fatalf("HTTP status %d: %s", recorder.Code, recorder.Body)
			}
			return
		}
		wantRequest(t, s.seen(t), &conferencev1.UpdateParticipantRequest{ConferenceSid: conferenceSID, CallSid: label})
	})
}
