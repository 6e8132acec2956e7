package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/gateway"
	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
)

func TestEveryOutcomeIsAnsweredAsTheTableSays(t *testing.T) {
	for _, kind := range outcome.Table {
		t.Run(kind.Reason+" "+kind.Code.String(), func(t *testing.T) {
			facts := outcome.Facts{
				Applied:  outcome.Maybe,
				Detail:   "detail",
				Resource: "resource",
				Twilio:   &outcome.TwilioAnswer{HTTPStatus: 500, Code: 20500, RequestID: "RQ1", MoreInfo: "https://x"},
			}
			got := update(t, serve(t, failing(kind.Err(facts)), gateway.Config{}), "{}")
			wantStatus(t, got, outcometest.Status(kind, facts))
		})
	}
}

func TestErrorBody(t *testing.T) {
	s := failing(outcome.TwilioRateLimited.Err(outcome.Facts{
		Twilio: &outcome.TwilioAnswer{HTTPStatus: 429, Code: 20429},
	}))
	wantJSON(t, update(t, serve(t, s, gateway.Config{}), `{"muted": true}`).body,
		`{"code":8,"message":"Twilio limits the rate of the account","details":[`+
			`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"TWILIO_RATE_LIMITED","domain":"conferenced",`+
			`"metadata":{"applied":"no","twilio_code":"20429","twilio_status":"429"}},`+
			`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retry_delay":"1s"}]}`)
}

func TestHeadersOfErrors(t *testing.T) {
	overloaded := func(delay time.Duration) error { return outcome.Overloaded.Err(outcome.Facts{RetryAfter: delay}) }
	tests := []struct {
		name         string
		err          error
		retryAfter   string
		authenticate string
	}{
		{"the table's delay", overloaded(0), "1", ""},
		{"a delay of a nanosecond", overloaded(1), "1", ""},
		{"a delay of whole seconds", overloaded(3 * time.Second), "3", ""},
		{"a delay of a little more", overloaded(3*time.Second + 1), "4", ""},
		{"no delay", outcome.Internal.Err(outcome.Facts{}), "", ""},
		{"an unknown caller", outcome.CallerUnknown.Err(outcome.Facts{Detail: "secret"}), "", "Bearer"},
		{"a caller without permission", outcome.NotAllowed.Err(outcome.Facts{}), "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := update(t, serve(t, failing(test.err), gateway.Config{}), "{}")
			if after := got.header.Get("Retry-After"); after != test.retryAfter {
				t.Errorf("Retry-After: %q, want %q", after, test.retryAfter)
			}
			if challenge := got.header.Get("WWW-Authenticate"); challenge != test.authenticate {
				t.Errorf("WWW-Authenticate: %q, want %q", challenge, test.authenticate)
			}
		})
	}
}

func TestErrorWithoutAnOutcomeHidesItsText(t *testing.T) {
	server := serve(t, failing(errors.New("secret")), gateway.Config{})
	wantStatus(t, update(t, server, "{}"), outcometest.Status(outcome.Internal, outcome.Facts{Applied: outcome.Maybe}))
}

// An interceptor that returns neither an answer nor an error does not make a success.
func TestNoAnswerAndNoError(t *testing.T) {
	server := serve(t, failing(nil), gateway.Config{})
	wantStatus(t, update(t, server, "{}"), outcometest.Status(outcome.Internal, outcome.Facts{Applied: outcome.Maybe}))
	wantTwilioError(t, updateByForm(t, server, ""), twilioError{20500, outcome.Internal.Text, moreInfo("20500"), 500})
}

func TestErrorHasTwiliosRequestID(t *testing.T) {
	s := newService()
	s.answer = func(ctx context.Context, _ *request) (*response, error) {
		_ = grpc.SetHeader(ctx, metadata.Pairs("twilio-request-id", "RQ1", "set-cookie", "a=b"))
		return nil, outcome.TwilioRejected.Err(outcome.Facts{})
	}
	server := serve(t, s, gateway.Config{})
	for _, got := range []reply{update(t, server, "{}"), updateByForm(t, server, "Muted=true")} {
		if id := got.header.Get("Twilio-Request-Id"); got.code != 400 || id != "RQ1" || got.header.Get("Set-Cookie") != "" {
			t.Errorf("HTTP status %d, headers %v", got.code, got.header)
		}
	}
}

// panicking is a service whose calls panic.
type panicking struct {
	conferencev1.UnimplementedConferenceServiceServer
	cause any
}

func (p panicking) UpdateParticipant(context.Context, *request) (*response, error) { panic(p.cause) }

func TestPanicsAreAnsweredAndLogged(t *testing.T) {
	var nilService *service
	tests := map[string]struct {
		cause  any
		logged string
	}{
		"with a text":    {"secret", "cause=string"},
		"with an error":  {errors.New("secret"), "cause=*errors.errorString"},
		"of the runtime": {runtimePanic(func() { nilService.calls = nil }), "nil pointer dereference"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			panics := 0
			server := serve(t, panicking{cause: test.cause}, gateway.Config{
				Logger: slog.New(slog.NewTextHandler(&log, nil)), Panicked: func() { panics++ },
			})
			wantStatus(t, update(t, server, "{}"), outcometest.Status(outcome.Internal, outcome.Facts{Applied: outcome.Maybe}))
			if panics != 1 || !strings.Contains(log.String(), test.logged) || !strings.Contains(log.String(), "panicking.UpdateParticipant") {
				t.Errorf("%d panics counted; the log has not what and where: %s", panics, log.String())
			}
			if strings.Contains(log.String(), "secret") {
				t.Errorf("the log has the value of the panic: %s", log.String())
			}
		})
	}
	// The status must not allow the SDK to repeat the announcement.
	t.Run("of a call in Twilio's form", func(t *testing.T) {
		got := updateByForm(t, serve(t, panicking{cause: "secret"}, gateway.Config{}), "AnnounceUrl=x")
		wantTwilioError(t, got, twilioError{20500, outcome.Internal.Text, moreInfo("20500"), 424})
	})
}

func runtimePanic(f func()) (cause any) {
	defer func() { cause = recover() }()
	f()
	return nil
}

func TestAbortClosesTheConnectionWithoutAnAnswer(t *testing.T) {
	server := serve(t, panicking{cause: http.ErrAbortHandler}, gateway.Config{})
	response, err := server.Client().Post(server.URL+participants+callSID, "", strings.NewReader("{}"))
	if err == nil {
		response.Body.Close()
		t.Errorf("HTTP status %d", response.StatusCode)
	}
}

// panickingWriter sends half of an answer and panics.
type panickingWriter struct{ http.ResponseWriter }

func (w panickingWriter) Write(p []byte) (int, error) {
	_, _ = w.ResponseWriter.Write(p[:len(p)/2])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	panic("secret")
}

func TestPanicInAnAnswerTruncatesIt(t *testing.T) {
	handler := newHandler(t, newService(), pass, gateway.Config{})
	server := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(panickingWriter{w}, r)
	}))
	response, err := server.Client().Post(server.URL+participants+callSID, "", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("the answer looks whole: %q", body)
	}
}
