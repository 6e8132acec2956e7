package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service"
	"conferenced/service/call"
	"conferenced/service/outcome"
)

const (
	accountSID    = "AC00000000000000000000000000000001"
	conferenceSID = "CF00000000000000000000000000000001"
	callSID       = "CA00000000000000000000000000000001"
	requestID     = "6f1c7f0e-9f55-4c1e-8a9b-0d6f4c9d2c11"
	method        = "/conference.v1.ConferenceService/UpdateParticipant"
	healthCheck   = "/grpc.health.v1.Health/Check"
)

// through makes a call through the interceptor.
func through(
	ctx context.Context, step grpc.UnaryServerInterceptor, made call.Call, request any, handler grpc.UnaryHandler,
) (any, error) {
	ctx, c := call.New(ctx, made.Protocol)
	*c = made
	if update, ok := request.(*conferencev1.UpdateParticipantRequest); ok {
		c.Change = service.Change(update)
	}
	return step(ctx, request, &grpc.UnaryServerInfo{FullMethod: made.Method}, handler)
}

func answering(response any, err error) grpc.UnaryHandler {
	return func(context.Context, any) (any, error) { return response, err }
}

// logged returns the log lines of a call, without their time.
func logged(t *testing.T, level string, made call.Call, err error) []map[string]any {
	t.Helper()
	var text bytes.Buffer
	logger, loggerErr := NewLogger(&text, level, "json")
	if loggerErr != nil {
		t.Fatal(loggerErr)
	}
	response, got := through(t.Context(), AccessLog(logger, nil), made, nil, answering("response", err))
	if response != "response" || !errors.Is(got, err) {
		t.Errorf("the interceptor returned %v, %v", response, got)
	}
	return lines(t, text.String())
}

func lines(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for text := range strings.Lines(text) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		all = append(all, line)
	}
	return all
}

func TestLineOfACall(t *testing.T) {
	full := call.Call{
		AccountSID: accountSID, ConferenceSID: conferenceSID, CallSID: callSID, RequestID: requestID,
		Caller: "ui", KnownBy: "token", TwilioRequestID: "RQ1", TraceID: "0af7",
		IgnoredFields: 2, IgnoredNames: []string{"Foo"},
	}
	tests := []struct {
		name string
		call call.Call
		err  error
		want map[string]any // Besides msg, method, protocol and duration.
	}{
		{"all fields", full, nil, map[string]any{
			"level": "INFO", "code": "OK", "account_sid": accountSID, "conference_sid": conferenceSID,
			"call_sid": callSID, "request_id": requestID, "caller": "ui", "twilio_request_id": "RQ1", "trace_id": "0af7",
			"ignored_fields": 2.0, "ignored_names": []any{"Foo"},
		}},
		{"a refused request", call.Call{}, outcome.InvalidRequest.Err(outcome.Facts{Detail: "secret"}), map[string]any{
			"level": "INFO", "code": "InvalidArgument", "reason": "INVALID_REQUEST", "applied": "no",
		}},
		{"an error from Twilio", call.Call{}, outcome.OutcomeUnknown.Err(outcome.Facts{
			Applied: outcome.Maybe, Cause: errors.New("twilio: answer 500"),
			Twilio: &outcome.TwilioAnswer{HTTPStatus: 500, Code: 20500, MoreInfo: "https://secret.example/"},
		}), map[string]any{
			"level": "WARN", "code": "Unavailable", "reason": "OUTCOME_UNKNOWN", "applied": "maybe",
			"twilio_status": "500", "twilio_code": "20500", "cause": "twilio: answer 500",
		}},
		{"an error without an outcome", call.Call{}, io.EOF, map[string]any{
			"level": "ERROR", "code": "Internal", "reason": "INTERNAL", "applied": "maybe", "cause": "EOF",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.call.Method, test.call.Protocol, test.call.Start = method, call.REST, time.Now()
				time.Sleep(3 * time.Second)
				want := map[string]any{"msg": "call", "method": method, "protocol": "rest", "duration": float64(3 * time.Second)}
				maps.Copy(want, test.want)
				got := logged(t, "info", test.call, test.err)
				if diff := cmp.Diff([]map[string]any{want}, got); diff != "" {
					t.Errorf("lines (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestLevelOfACall(t *testing.T) {
	tests := []struct {
		method string
		err    error
		want   string
	}{
		{method, nil, "INFO"},
		{method, outcome.ParticipantNotFound.Err(outcome.Facts{}), "INFO"},
		{method, outcome.CallerUnknown.Err(outcome.Facts{}), "INFO"},
		{method, outcome.Deadline.Err(outcome.Facts{}), "INFO"},
		{method, outcome.CircuitOpen.Err(outcome.Facts{}), "WARN"},
		{method, outcome.UnrepeatableOutcomeUnknown.Err(outcome.Facts{}), "WARN"},
		{method, outcome.Internal.Err(outcome.Facts{}), "ERROR"},
		{healthCheck, nil, "DEBUG"},
		{healthCheck, outcome.Internal.Err(outcome.Facts{}), "DEBUG"},
	}
	for _, test := range tests {
		got := logged(t, "debug", call.Call{Method: test.method}, test.err)
		if len(got) != 1 || got[0]["level"] != test.want {
			t.Errorf("%s, %v: got %v, want one line at %s", test.method, test.err, got, test.want)
		}
	}
	if got := logged(t, "info", call.Call{Method: healthCheck}, nil); got != nil {
		t.Errorf("a line below the level: %v", got)
	}
}

func TestUnauthenticatedCallsAreSampled(t *testing.T) {
	for level, want := range map[string]int{"info": sampleLines, "debug": 100} {
		t.Run("at "+level, func(t *testing.T) {
			var text bytes.Buffer
			logger, err := NewLogger(&text, level, "json")
			if err != nil {
				t.Fatal(err)
			}
			step := AccessLog(logger, nil)
			refused := answering(nil, outcome.CallerUnknown.Err(outcome.Facts{}))
			for range 100 {
				_, _ = through(t.Context(), step, call.Call{Method: method}, nil, refused)
				_, _ = through(t.Context(), step, call.Call{Method: method, KnownBy: "token", Caller: "ui"}, nil, refused)
			}
			counts := map[any]int{}
			for _, line := range lines(t, text.String()) {
				counts[line["caller"]]++
			}
			if counts["ui"] != 100 || counts[nil] != want {
				t.Errorf("lines by caller: %v", counts)
			}
			if got := ControlOf(logger).suppressed(slog.LevelInfo); got != int64(100-want) {
				t.Errorf("suppressed: %d", got)
			}
		})
	}
}
