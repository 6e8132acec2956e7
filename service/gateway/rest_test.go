package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"conferenced/service/call"
	"conferenced/service/gateway"
	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
)

func TestEveryMethodOfEveryPathReachesTheService(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, method := range []string{http.MethodPatch, http.MethodPost} {
		for path, account := range map[string]string{participants: "", accountParticipants: accountSID} {
			t.Run(method+" "+path, func(t *testing.T) {
				got := send(t, server, method, path+callSID, `{"muted": true}`, "Content-Type", "application/json")
				if got.code != http.StatusOK {
					t.Fatalf("HTTP status %d: %s", got.code, got.body)
				}
				seen := s.seen(t)
				wantRequest(t, seen, &request{
					AccountSid: account, ConferenceSid: conferenceSID, CallSid: callSID, Muted: proto.Bool(true),
				})
				if seen.record.Protocol != call.REST {
					t.Errorf("protocol %q", seen.record.Protocol)
				}
			})
		}
	}
}

func TestLabelsAreDecodedOnce(t *testing.T) {
	tests := []struct{ name, encoded, want string }{
		{"a space", "front%20desk", "front desk"},
		{"two bytes", "caf%C3%A9", "café"},
		{"lower-case digits", "caf%c3%a9", "café"},
		{"a question mark", "a%3Fb", "a?b"},
		{"a number sign", "a%23b", "a#b"},
		{"a percent sign", "100%25", "100%"},
		{"a decoded escape sequence", "a%2520b", "a%20b"},
		{"a decoded escape sequence, with needless encoding", "%61%2520b", "a%20b"},
		{"a decoded escaped slash", "a%252Fb", "a%2Fb"},
		{"a decoded escaped slash, with needless encoding", "%61%252Fb", "a%2Fb"},
		{"a plus", "a+b", "a+b"},
		{"an encoded plus", "a%2Bb", "a+b"},
		{"a dot", ".", "."},
		{"two dots", "..", ".."},
		{"encoded dots", "%2e%2e", ".."},
		{"a colon", "a:b", "a:b"},
		{"a leading colon", ":x", ":x"},
		{"a trailing colon", "x:", "x:"},
		{"a colon as before a custom verb", "fault:429x2", "fault:429x2"},
		{"an encoded colon", "a%3Ab", "a:b"},
		{"a semicolon", "a;b", "a;b"},
		{"a backslash", `a%5Cb`, `a\b`},
		{"quotes and brackets", "%22%5B%7B%3C", `"[{<`},
		{"unreserved and reserved characters", "a=b&c$d,e@f!g*h'i(j)~_-", "a=b&c$d,e@f!g*h'i(j)~_-"},
		{"a line feed", "a%0Ab", "a\nb"},
		{"needless encoding", "%61", "a"},
		{"128 times two bytes", strings.Repeat("%C3%A9", 128), strings.Repeat("é", 128)},
		{"a segment of the path", "participants", "participants"},
	}
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for path, account := range map[string]string{participants: "", accountParticipants: accountSID} {
				got := sendRaw(t, server, http.MethodPatch, path+test.encoded, `{"muted": true}`)
				if got.code != http.StatusOK {
					t.Fatalf("HTTP status %d: %s", got.code, got.body)
				}
				wantRequest(t, s.seen(t), &request{
					AccountSid: account, ConferenceSid: conferenceSID, CallSid: test.want, Muted: proto.Bool(true),
				})
			}
		})
	}
}

func TestInvalidPathVariables(t *testing.T) {
	const slash = "must have no /, not as %2F either"
	tests := []struct{ name, path, field, rule string }{
		{"a slash in the label", participants + "a%2Fb", "call_sid", slash},
		{"a slash of lower-case digits", accountParticipants + "a%2fb", "call_sid", slash},
		{"a slash alone", participants + "%2F", "call_sid", slash},
		{"a slash in the conference", "/v1/conferences/a%2Fb/participants/x", "conference_sid", slash},
		{"a slash in the account", "/v1/accounts/a%2Fb/conferences/c/participants/x", "account_sid", slash},
		{"no participant", participants, "call_sid", "is empty in the path"},
		{"no conference", "/v1/conferences//participants/x", "conference_sid", "is empty in the path"},
		{"no account", "/v1/accounts//conferences/c/participants/x", "account_sid", "is empty in the path"},
		{"bytes that are not UTF-8", participants + "%ff", "call_sid", "must be percent-encoded UTF-8"},
		{"a query string", participants + "x?muted=true", "muted", "is in the query string: properties belong in the body"},
		{"an unreadable query string", participants + "x?%zz", "", "the query string must be percent-encoded, with %25 for a percent sign and %3B for a semicolon"},
	}
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantStatus(t, sendRaw(t, server, http.MethodPost, test.path, `{"muted": true}`), refusal(test.field, test.rule))
			s.notCalled(t)
		})
	}
	t.Run("several at once", func(t *testing.T) {
		got := sendRaw(t, server, http.MethodPost, "/v1/conferences//participants/?x=y", `{}`)
		wantStatus(t, got, refusal("call_sid", "is empty in the path", "conference_sid", "is empty in the path",
			"x", "is in the query string: properties belong in the body"))
	})
}

func TestUnknownPaths(t *testing.T) {
	tests := map[string]string{
		"the root":                                "/",
		"another version":                         "/v2/conferences/c/participants/x",
		"a trailing slash":                        participants + "x/",
		"a second leading slash":                  "/" + participants + "x",
		"a label with a bare slash":               participants + "a/b",
		"dot segments":                            participants + "../participants/x",
		"an encoded slash in the name":            "/v1%2Fconferences/c/participants/x",
		"another case":                            "/V1/conferences/c/participants/x",
		"the name of the gRPC method":             "/conference.v1.ConferenceService/UpdateParticipant",
		"the OpenAPI document, which is disabled": "/openapi.json",
		"the .proto file, which is disabled":      "/conference_service.proto",
		"the UI, which is disabled":               "/docs",
	}
	s := newService()
	var refused []string
	server := serve(t, s, gateway.Config{Refused: func(reason string) { refused = append(refused, reason) }})
	for name, path := range tests {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				wantStatus(t, sendRaw(t, server, method, path, ""), outcometest.Status(outcome.RouteNotFound, outcome.Facts{}))
			}
			s.notCalled(t)
		})
	}
	if want := slices.Repeat([]string{"ROUTE_NOT_FOUND"}, 2*len(tests)); !slices.Equal(want, refused) {
		t.Errorf("refusals counted: %v", refused)
	}
}

func TestUnsupportedMethods(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{Authenticate: func(context.Context) (context.Context, error) {
		t.Error("a call is authenticated")
		return nil, errors.New("unknown")
	}})
	for _, method := range []string{"PUT", "OPTIONS", "TRACE", "patch", "BREW"} {
		t.Run(method, func(t *testing.T) {
			got := send(t, server, method, participants+callSID, "", "X-HTTP-Method-Override", "POST")
			wantStatus(t, got, outcometest.Status(outcome.MethodNotAllowed, outcome.Facts{}))
			if allow := got.header.Get("Allow"); allow != "GET, HEAD, PATCH, POST, DELETE" {
				t.Errorf("Allow: %q", allow)
			}
			s.notCalled(t)
		})
	}
}

func TestMethodOverrideIsIgnored(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded"} {
		for _, override := range []string{"GET", "DELETE"} {
			t.Run(override+" as "+contentType, func(t *testing.T) {
				got := update(t, server, `{"hold": true}`, "X-HTTP-Method-Override", override, "Content-Type", contentType)
				if got.code != http.StatusOK {
					t.Errorf("HTTP status %d: %s", got.code, got.body)
				}
				wantRequest(t, s.seen(t), &request{ConferenceSid: conferenceSID, CallSid: callSID, Hold: proto.Bool(true)})
			})
		}
	}
}

// watchedBody records whether a request's body was read.
type watchedBody struct {
	*strings.Reader
	read bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.read = true
	return b.Reader.Read(p)
}

func (*watchedBody) Close() error { return nil }

func TestCallIsAuthenticatedBeforeItIsRead(t *testing.T) {
	const update, get = "UpdateParticipant", "GetParticipant"
	tests := []struct{ name, method, target, call string }{
		{"a body", http.MethodPost, accountParticipants + callSID, update},
		{"a form", http.MethodPost, twilioPath, update},
		{"the query of an update", http.MethodPatch, accountParticipants + callSID + "?muted=true", update},
		{"the query of a read", http.MethodGet, accountParticipants + callSID + "?muted=true", get},
		{"the query of Twilio's list", http.MethodGet, twilioParticipants + ".json?Muted=%", "ListParticipants"},
		{"a label with a slash", http.MethodPatch, accountParticipants + "a%2Fb", update},
		{"an empty label", http.MethodPost, accountParticipants, update},
		{"an empty label on Twilio's path", http.MethodPost, twilioParticipants + "/.json", update},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := &watchedBody{Reader: strings.NewReader("not JSON")}
			var record call.Call
			s := newService()
			handler := newHandler(t, s, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				record.Describe(info.FullMethod, req)
				return next(ctx, req)
			}, gateway.Config{Authenticate: func(ctx context.Context) (context.Context, error) {
				return ctx, outcome.CallerUnknown.Err(outcome.Facts{})
			}})
			incoming := httptest.NewRequest(test.method, test.target, body)
			incoming.Header.Set("Idempotency-Key", "")
			incoming.Header.Set("Grpc-Timeout", "soon")
			incoming.Header.Set("Content-Encoding", "br")
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, incoming)

			if recorder.Code != http.StatusUnauthorized || body.read {
				t.Errorf("HTTP status %d, the body is read: %v", recorder.Code, body.read)
			}
			if want := "/conference.v1.ConferenceService/" + test.call; record.Method != want || record.AccountSID != accountSID || record.ConferenceSID != conferenceSID {
				t.Errorf("the interceptor saw %s of %s %s, want %s", record.Method, record.AccountSID, record.ConferenceSID, want)
			}
			s.notCalled(t)
		})
	}
}

// TestRefusedCallIsAnsweredBeforeItsBodyArrives checks that a client that waits before it
// sends its body gets the error instead.
func TestRefusedCallIsAnsweredBeforeItsBodyArrives(t *testing.T) {
	server := serve(t, newService(), gateway.Config{Authenticate: func(ctx context.Context) (context.Context, error) {
		return ctx, outcome.CallerUnknown.Err(outcome.Facts{})
	}})
	for _, header := range []string{"Content-Length: 1000000", "Content-Length: 10\r\nExpect: 100-continue"} {
		t.Run(header, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(conn, "POST %s%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", participants, callSID, header); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := readReply(t, response); got.code != http.StatusUnauthorized || !got.closed {
				t.Errorf("HTTP status %d, closed %v", got.code, got.closed)
			}
		})
	}
}

func TestCallHasTheAuthenticatedContext(t *testing.T) {
	type key struct{}
	s := newService()
	s.answer = func(ctx context.Context, _ *request) (*response, error) {
		if ctx.Value(key{}) != "uiweb" {
			t.Error("the call does not have the context")
		}
		return &response{}, nil
	}
	server := serve(t, s, gateway.Config{Authenticate: func(ctx context.Context) (context.Context, error) {
		return context.WithValue(ctx, key{}, "uiweb"), nil
	}})
	for _, got := range []reply{update(t, server, "{}"), updateByForm(t, server, "")} {
		if s.seen(t); got.code != http.StatusOK {
			t.Errorf("HTTP status %d: %s", got.code, got.body)
		}
	}
}

func TestClientThatDisconnectsCancelsTheCall(t *testing.T) {
	s := newService()
	began, ended := make(chan struct{}), make(chan error)
	s.answer = func(ctx context.Context, _ *request) (*response, error) {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	server := serve(t, s, gateway.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	outgoing, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+participants+callSID, strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if response, err := server.Client().Do(outgoing); err == nil {
		response.Body.Close()
		t.Error("the cancelled request was answered")
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v", err)
	}
}

// FuzzLabel checks that the service gets exactly the label, or that the request is
// refused.
func FuzzLabel(f *testing.F) {
	for _, label := range []string{"front desk", "café", "a?b", "..", ":x", "100%", "%2F", "a/b", "", "\xff", "a\x00b"} {
		f.Add(label)
	}
	s := newService()
	handler := newHandler(f, s, pass, gateway.Config{})
	f.Fuzz(func(t *testing.T, label string) {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, participants+url.PathEscape(label), strings.NewReader("{}")))
		if label == "" || strings.Contains(label, "/") || !utf8.ValidString(label) {
			if s.notCalled(t); recorder.Code != http.StatusBadRequest {
				t.Fatalf("HTTP status %d: %s", recorder.Code, recorder.Body)
			}
			return
		}
		if diff := cmp.Diff(label, s.seen(t).request.GetCallSid()); diff != "" {
			t.Errorf("label (-want +got):\n%s", diff)
		}
	})
}
