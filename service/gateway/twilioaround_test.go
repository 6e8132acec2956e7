package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
	"conferenced/service/telemetry"
)

var fromAnotherOrigin = twilioError{
	20403, "the caller may not make this update: it comes from a web page of another origin", moreInfo("20403"), 403,
}

func TestTwilioAndWebPages(t *testing.T) {
	const page, stranger = "https://ui.example.com", "https://evil.example"
	tests := []struct {
		name    string
		origins []string
		origin  string
		refused bool
		allowed string // Access-Control-Allow-Origin
	}{
		{"no page", nil, "", false, "*"},
		{"a page, where none may", nil, stranger, true, ""},
		{"a page that may", []string{page}, page, false, page},
		{"a page, where another may", []string{page}, stranger, true, ""},
		{"no page, where one may", []string{page}, "", false, "*"},
		{"a page, where all may", []string{"*"}, stranger, false, "*"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newService()
			var header []string
			if test.origin != "" {
				header = []string{"Origin", test.origin, "Sec-Fetch-Site", "cross-site"}
			}
			got := send(t, serve(t, s, Config{CORSOrigins: test.origins}), http.MethodPost, twilioPathOfCall, "Muted=true", header...)
			if test.refused {
				wantTwilioError(t, got, fromAnotherOrigin)
				s.notCalled(t)
			} else if got.code != http.StatusOK {
				t.Errorf("HTTP status %d: %s", got.code, got.body)
			}
			if allowed := got.header.Values("Access-Control-Allow-Origin"); strings.Join(allowed, ",") != test.allowed {
				t.Errorf("Access-Control-Allow-Origin: %q, want %q", allowed, test.allowed)
			}
		})
	}
}

func TestTwilioHostMustBeLoopback(t *testing.T) {
	s := newService()
	got := send(t, serve(t, s, Config{LoopbackHostOnly: true}), http.MethodPost, twilioPathOfCall, "Muted=true", "Host", "api.twilio.com")
	wantTwilioError(t, got, twilioError{
		20403, "the caller may not make this update: callers are not authenticated, so the Host must be localhost or a loopback address",
		moreInfo("20403"), 403,
	})
	s.notCalled(t)
}

// What may have been announced must not look like something to send again.
func TestTwilioPanicIsNoReasonToRetry(t *testing.T) {
	handler := withRecovery(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("secret")
	}), Config{Logger: slog.New(slog.DiscardHandler), Panicked: func() {}})
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, twilioPathOfCall, nil))
	wantTwilioError(t, reply{code: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()},
		twilioError{20500, "internal error", moreInfo("20500"), 424})
}

func TestTwilioCallerWhoLeaves(t *testing.T) {
	s := newService()
	ctx, leave := context.WithCancel(t.Context())
	s.answer = func(ctx context.Context, _ *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
		leave()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, twilioPathOfCall, strings.NewReader("AnnounceUrl=x"))
	newHandler(t, s, Config{}).ServeHTTP(recorder, request)
	wantTwilioError(t, reply{code: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()},
		twilioError{20504, "the caller cancelled", moreInfo("20504"), 424})
}

func TestIgnoredFieldNames(t *testing.T) {
	many := "A=&B=&C=&D=&E=&F=&G=&H=&I=&J="
	tests := []struct {
		name, form string
		want       ignoredFields
	}{
		{"none", "Muted=true&WaitUrl=", ignoredFields{}},
		{"the API's own names", "muted=true&end_conference_on_exit=x", ignoredFields{2, []string{"end_conference_on_exit", "muted"}}},
		{"one twice", "Label=a&Label=b", ignoredFields{1, []string{"Label"}}},
		{"more than are named", many, ignoredFields{10, []string{"A", "B", "C", "D", "E", "F", "G", "H"}}},
		{"a body that is a SID", callSID, ignoredFields{count: 1}},
		{"a body that is a token", "3e8f3a0f6f1c5ba0=", ignoredFields{count: 1}},
		{"a body that is a sentence", "front+desk", ignoredFields{count: 1}},
		{"a line end", "a%0Ab=x", ignoredFields{count: 1}},
		{"no name", "=x", ignoredFields{count: 1}},
		{"other letters", "%C3%A9=x", ignoredFields{count: 1}},
		{"a long name", strings.Repeat("x", 41) + "=", ignoredFields{count: 1}},
		{"signs around the letters", "%40=&%5B=&%60=&%7B=", ignoredFields{count: 4}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			var seen telemetry.Call
			steps := chained(
				telemetry.AccessLog(slog.New(slog.NewTextHandler(&log, nil)), Protocol),
				func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
					seen = *telemetry.CallFrom(ctx)
					return handler(ctx, req)
				},
			)
			server := httptest.NewServer(newInterceptedHandler(t, newService(), steps, Config{}))
			t.Cleanup(server.Close)
			got := send(t, server, http.MethodPost, twilioPathOfCall, test.form)
			if got.code != http.StatusOK {
				t.Fatalf("HTTP status %d: %s", got.code, got.body)
			}
			if diff := cmp.Diff(test.want, ignoredFields{seen.IgnoredFields, seen.IgnoredNames}, cmp.AllowUnexported(ignoredFields{})); diff != "" {
				t.Errorf("ignored (-want +got):\n%s", diff)
			}
			if logged := strings.Contains(log.String(), "ignored_fields="); logged != (test.want.count > 0) {
				t.Errorf("the log says: %s", log.String())
			}
			for _, name := range test.want.names {
				if !strings.Contains(log.String(), name) {
					t.Errorf("the log leaves out %s: %s", name, log.String())
				}
			}
		})
	}
}

// chained makes one interceptor of several, the first outermost.
func chained(steps ...grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		for _, step := range slices.Backward(steps) {
			next := handler
			handler = func(ctx context.Context, req any) (any, error) { return step(ctx, req, info, next) }
		}
		return handler(ctx, req)
	}
}

// FuzzTwilioForm: whatever the body, it is refused, or the service is asked and
// its error told in Twilio's form.
func FuzzTwilioForm(f *testing.F) {
	for _, form := range []string{"Muted=true", "WaitUrl=", "HoldMethod=%ff", "a;b", "%", "Muted=true&Muted", "=&=&&"} {
		f.Add(form)
	}
	s := statusAnswering(errors.New("not a status"))
	handler := newHandler(f, s, Config{})
	f.Fuzz(func(t *testing.T, form string) {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, twilioPathOfCall, strings.NewReader(form)))
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
