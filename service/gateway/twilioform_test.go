package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/call"
	"conferenced/service/gateway"
	"conferenced/service/outcome"
)

const formType = "application/x-www-form-urlencoded"

// updateByForm sends an update of the participant as Twilio's form.
func updateByForm(t *testing.T, server *httptest.Server, form string, header ...string) reply {
	t.Helper()
	return send(t, server, http.MethodPost, twilioPath, form, header...)
}

// addressed sets the fields that are in Twilio's path.
func addressed(change *request) *request {
	change.AccountSid, change.ConferenceSid, change.CallSid = accountSID, conferenceSID, callSID
	return change
}

func TestTwilioForm(t *testing.T) {
	const get, post = conferencev1.HttpMethod_HTTP_METHOD_GET, conferencev1.HttpMethod_HTTP_METHOD_POST
	tests := []struct {
		name, form string
		want       *request
	}{
		{
			"every field",
			"Muted=true&Hold=false&HoldUrl=https%3A%2F%2Fa.example%2Fh%23rc%3D2&HoldMethod=GET&AnnounceUrl=http://a.example/a&" +
				"AnnounceMethod=POST&WaitUrl=https://a.example/w&WaitMethod=POST&BeepOnExit=false&EndConferenceOnExit=true&" +
				"Coaching=true&CallSidToCoach=" + callSID,
			&request{
				Muted: proto.Bool(true), Hold: proto.Bool(false), HoldUrl: proto.String("https://a.example/h#rc=2"), HoldMethod: get,
				AnnounceUrl: proto.String("http://a.example/a"), AnnounceMethod: post,
				WaitUrl: proto.String("https://a.example/w"), WaitMethod: post,
				BeepOnExit: proto.Bool(false), EndConferenceOnExit: proto.Bool(true),
				Coaching: proto.Bool(true), CallSidToCoach: proto.String(callSID),
			},
		},
		{"nothing", "", &request{}},
		{"empty pairs", "&&Muted=true&", &request{Muted: proto.Bool(true)}},
		{"a boolean in capitals", "Muted=TRUE&Hold=False", &request{Muted: proto.Bool(true), Hold: proto.Bool(false)}},
		{"a boolean that is neither true nor false", "Muted=yes&Hold=1&BeepOnExit=&EndConferenceOnExit=%20true&Coaching=on", &request{
			Muted: proto.Bool(false), Hold: proto.Bool(false), BeepOnExit: proto.Bool(false),
			EndConferenceOnExit: proto.Bool(false), Coaching: proto.Bool(false),
		}},
		{"a field without a value", "Muted", &request{Muted: proto.Bool(false)}},
		{"the first of several values", "Muted=true&Muted=false&WaitUrl=&WaitUrl=x", &request{
			Muted: proto.Bool(true), WaitUrl: proto.String(""),
		}},
		{"an empty WaitUrl is a value", "WaitUrl=", &request{WaitUrl: proto.String("")}},
		{"an empty HoldUrl, which the service refuses", "HoldUrl=", &request{HoldUrl: proto.String("")}},
		{"an empty AnnounceUrl is not set", "AnnounceUrl=&Muted=true", &request{Muted: proto.Bool(true)}},
		{"an empty CallSidToCoach is not set", "CallSidToCoach=&Coaching=false", &request{Coaching: proto.Bool(false)}},
		{"a method in any case", "HoldMethod=get&WaitMethod=Post", &request{HoldMethod: get, WaitMethod: post}},
		{"unknown fields, and the API's own names", "muted=true&Label=x&Foo=&%zz=%&Hold=true", &request{Hold: proto.Bool(true)}},
		{"a plus for a space, and UTF-8", "WaitUrl=a+b%2Bc%C3%A9", &request{WaitUrl: proto.String("a b+cé")}},
		{"an encoded name", "%4duted=true", &request{Muted: proto.Bool(true)}},
		{"a semicolon", "HoldUrl=https://x/a;b=c&Muted=true", &request{
			HoldUrl: proto.String("https://x/a;b=c"), Muted: proto.Bool(true),
		}},
	}
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, contentType := range []string{"", formType, "Application/X-WWW-Form-URLEncoded; charset=utf-8"} {
				got := updateByForm(t, server, test.form, "Content-Type", contentType)
				if got.code != http.StatusOK {
					t.Fatalf("HTTP status %d: %s", got.code, got.body)
				}
				seen := s.seen(t)
				wantRequest(t, seen, addressed(test.want))
				if seen.record.Protocol != call.Twilio {
					t.Errorf("protocol %q", seen.record.Protocol)
				}
			}
		})
	}
}

func TestInvalidTwilioForms(t *testing.T) {
	const notForm = "the body must be a form, of the type application/x-www-form-urlencoded"
	const encoding = "must be percent-encoded UTF-8, with %25 for a percent sign"
	tests := []struct{ name, contentType, form, want string }{
		{"JSON", "application/json", `{"Muted": true}`, notForm},
		{"a multipart form", "multipart/form-data; boundary=x", "--x--", notForm},
		{"an unreadable type", "a/b/c", "Muted=true", notForm},
		{"an unreadable escape", formType, "WaitUrl=%zz", "WaitUrl " + encoding},
		{"a bare percent sign", formType, "HoldUrl=https://x/100%", "HoldUrl " + encoding},
		{"bytes that are not UTF-8", formType, "AnnounceUrl=%ff", "AnnounceUrl " + encoding},
		{"an unknown method", formType, "HoldMethod=PUT", "HoldMethod must be GET or POST"},
		{"an empty method", formType, "AnnounceMethod=", "AnnounceMethod must be GET or POST"},
		{"the API's unspecified method", formType, "AnnounceMethod=UNSPECIFIED", "AnnounceMethod must be GET or POST"},
		{
			"several mistakes", formType, "HoldMethod=PUT&WaitMethod=s3cr3t",
			"HoldMethod must be GET or POST; WaitMethod must be GET or POST",
		},
	}
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantTwilioError(t, updateByForm(t, server, test.form, "Content-Type", test.contentType), badRequest(test.want))
			s.notCalled(t)
		})
	}
	t.Run("too long", func(t *testing.T) {
		got := updateByForm(t, server, "WaitUrl="+strings.Repeat("x", gateway.MaxBodyBytes))
		wantTwilioError(t, got, twilioError{20413, "the request is too large: its body is larger than 65536 bytes", moreInfo("20413"), 413})
		s.notCalled(t)
	})
}

func TestIgnoredFieldsAreRecorded(t *testing.T) {
	tests := []struct {
		name, form string
		count      int
		names      []string
	}{
		{"none", "Muted=true&WaitUrl=", 0, nil},
		{"the API's own names", "muted=true&end_conference_on_exit=x", 2, []string{"muted", "end_conference_on_exit"}},
		{"a field twice", "Label=a&Label=b", 1, []string{"Label"}},
		{"more fields than names are kept", "A=&B=&C=&D=&E=&F=&G=&H=&I=&J=", 10, []string{"A", "B", "C", "D", "E", "F", "G", "H"}},
		{"a SID as a name", callSID, 1, nil},
		{"a token as a name", "3e8f3a0f6f1c5ba0=", 1, nil},
		{"a sentence", "front+desk", 1, nil},
		{"a line feed", "a%0Ab=x", 1, nil},
		{"an empty name", "=x", 1, nil},
		{"other letters", "%C3%A9=x", 1, nil},
		{"a long name", strings.Repeat("x", 41) + "=", 1, nil},
		{"characters next to the letters", "%40=&%5B=&%60=&%7B=", 4, nil},
	}
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			updateByForm(t, server, test.form)
			record := s.seen(t).record
			if record.IgnoredFields != test.count {
				t.Errorf("%d ignored fields, want %d", record.IgnoredFields, test.count)
			}
			if diff := cmp.Diff(test.names, record.IgnoredNames); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzTwilioForm checks that a form is refused, or that the service is called and its
// error is in Twilio's format.
func FuzzTwilioForm(f *testing.F) {
	for _, form := range []string{"Muted=true", "WaitUrl=", "HoldMethod=%ff", "a;b", "%", "Muted=true&Muted", "=&=&&"} {
		f.Add(form)
	}
	s := newService()
	s.answer = func(context.Context, *request) (*response, error) { return nil, errors.New("not an outcome") }
	handler := newHandler(f, s, pass, gateway.Config{})
	f.Fuzz(func(t *testing.T, form string) {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, twilioPath, strings.NewReader(form)))
		got := reply{code: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()}
		select {
		case seen := <-s.calls:
			code := http.StatusInternalServerError
			if seen.request.AnnounceUrl != nil {
				code = http.StatusFailedDependency
			}
			wantTwilioError(t, got, twilioError{20500, outcome.Internal.Text, moreInfo("20500"), code})
		default:
			if got.code != http.StatusBadRequest && got.code != http.StatusRequestEntityTooLarge {
				t.Fatalf("HTTP status %d: %s", got.code, got.body)
			}
		}
	})
}
