package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

const healthCheck = "/grpc.health.v1.Health/Check"

// logCall makes a call of the given length through the interceptor and returns
// what was logged, as JSON, without its time.
func logCall(
	t *testing.T, level, method string, request any, length time.Duration, fill func(*Call), err error,
) []map[string]any {
	t.Helper()
	var text bytes.Buffer
	logger, loggerErr := NewLogger(&text, level, "json")
	if loggerErr != nil {
		t.Fatal(loggerErr)
	}
	intercept := AccessLog(logger, func(context.Context) string { return "rest" })
	synctest.Test(t, func(t *testing.T) {
		handler := func(ctx context.Context, got any) (any, error) {
			if got != request {
				t.Errorf("the handler has the request %v", got)
			}
			time.Sleep(length)
			fill(CallFrom(ctx))
			return "response", err
		}
		response, got := intercept(t.Context(), request, &grpc.UnaryServerInfo{FullMethod: method}, handler)
		if response != "response" || !errors.Is(got, err) {
			t.Errorf("the handler's answer became %v, %v", response, got)
		}
	})
	var lines []map[string]any
	for one := range strings.Lines(text.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(one), &line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		lines = append(lines, line)
	}
	return lines
}

func nothing(*Call) {}

func TestAttributesOfACall(t *testing.T) {
	valid := &conferencev1.UpdateParticipantRequest{
		AccountSid: account, ConferenceSid: conference, CallSid: call, RequestId: requestID,
		HoldUrl: proto.String("https://secret.example/"),
	}
	tests := []struct {
		name    string
		request any
		fill    func(*Call)
		err     error
		want    map[string]any // Beside msg, method, protocol and duration.
	}{
		{
			name: "everything about an update that was made", request: valid,
			fill: func(c *Call) { c.Caller, c.TwilioRequestID = "ui", "RQ1" },
			want: map[string]any{
				"level": "INFO", "code": "OK", "account_sid": account, "conference_sid": conference,
				"call_sid": call, "request_id": requestID, "caller": "ui", "twilio_request_id": "RQ1",
			},
		},
		{
			name: "ids that have not the form of ids", fill: nothing,
			request: &conferencev1.UpdateParticipantRequest{
				AccountSid: "AC-secret", ConferenceSid: strings.Repeat("secret", 5) + "abcd", CallSid: "Jane Doe",
				RequestId: strings.Repeat("-", 36),
			},
			want: map[string]any{"level": "INFO", "code": "OK"},
		},
		{
			name: "a request that could not be read", request: nil, fill: nothing,
			err:  outcome.InvalidRequest.Err(outcome.Facts{Detail: "secret"}),
			want: map[string]any{"level": "INFO", "code": "InvalidArgument", "reason": "INVALID_REQUEST", "applied": "no"},
		},
		{
			name: "an error of Twilio's with its cause", request: valid,
			fill: func(c *Call) { c.TwilioRequestID, c.Cause = "RQ2", errors.New("twilio: answer 500") },
			err: outcome.OutcomeUnknown.Err(outcome.Facts{Applied: delivery.Maybe, Twilio: &outcome.TwilioAnswer{
				HTTPStatus: 500, Code: 20500, RequestID: "RQ2", MoreInfo: "https://secret.example/",
			}}),
			want: map[string]any{
				"level": "WARN", "code": "Unavailable", "account_sid": account, "conference_sid": conference,
				"call_sid": call, "request_id": requestID, "twilio_request_id": "RQ2",
				"reason": "OUTCOME_UNKNOWN", "applied": "maybe", "twilio_status": "500", "twilio_code": "20500",
				"cause": "twilio: answer 500",
			},
		},
		{
			name: "a status without details", request: nil, fill: nothing,
			err:  status.Error(codes.ResourceExhausted, "secret"),
			want: map[string]any{"level": "INFO", "code": "ResourceExhausted"},
		},
		{
			name: "an error that is no status", request: nil, fill: nothing, err: io.EOF,
			want: map[string]any{"level": "WARN", "code": "Unknown"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := map[string]any{
				"msg": "call", "method": method, "protocol": "rest", "duration": float64(3 * time.Second),
			}
			maps.Copy(want, test.want)
			got := logCall(t, "info", method, test.request, 3*time.Second, test.fill, test.err)
			if diff := cmp.Diff([]map[string]any{want}, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLevelOfACall(t *testing.T) {
	tests := []struct {
		method string
		code   codes.Code
		want   string
	}{
		{method, codes.OK, "INFO"},
		{method, codes.InvalidArgument, "INFO"},
		{method, codes.NotFound, "INFO"},
		{method, codes.Unauthenticated, "INFO"},
		{method, codes.PermissionDenied, "INFO"},
		{method, codes.FailedPrecondition, "INFO"},
		{method, codes.Aborted, "INFO"},
		{method, codes.ResourceExhausted, "INFO"},
		{method, codes.DeadlineExceeded, "INFO"},
		{method, codes.Canceled, "INFO"},
		{method, codes.Unavailable, "WARN"},
		{method, codes.Unknown, "WARN"},
		{method, codes.Internal, "ERROR"},
		{healthCheck, codes.OK, "DEBUG"},
		{healthCheck, codes.Internal, "DEBUG"},
		{"", codes.Internal, "DEBUG"},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.code.String(), func(t *testing.T) {
			err := status.Error(test.code, "")
			got := logCall(t, "debug", test.method, nil, 0, nothing, err)
			if len(got) != 1 || got[0]["level"] != test.want {
				t.Errorf("got %v, want one line at %s", got, test.want)
			}
		})
	}
}

func TestWhatIsBelowTheLevelIsNotLogged(t *testing.T) {
	if got := logCall(t, "info", healthCheck, nil, 0, nothing, nil); got != nil {
		t.Errorf("logged %v", got)
	}
	if got := logCall(t, "error", method, nil, 0, nothing, io.EOF); got != nil {
		t.Errorf("logged %v", got)
	}
}

func TestFormOfASID(t *testing.T) {
	const digits = "00112233445566778899aabbccDDEEFF"
	tests := []struct {
		name, text string
		want       bool
	}{
		{"a SID", "CA" + digits, true},
		{"another prefix", "CF" + digits, false},
		{"a prefix in small letters", "ca" + digits, false},
		{"a digit less", "CA" + digits[1:], false},
		{"a digit more", "CA0" + digits, false},
		{"a letter that is no digit", "CA" + digits[1:] + "g", false},
		{"a blank within", "CA" + digits[:15] + " " + digits[16:], false},
		{"a character of two bytes", "CA" + digits[2:] + "é", false},
		{"nothing", "", false},
		{"the prefix alone", "CA", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := isSID("CA", test.text); got != test.want {
				t.Errorf("isSID(%q): got %v", test.text, got)
			}
		})
	}
}

func TestFormOfAUUID(t *testing.T) {
	tests := []struct {
		name, text string
		want       bool
	}{
		{"a UUID", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", true},
		{"one in capitals", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", true},
		{"the one of zeros", "00000000-0000-0000-0000-000000000000", true},
		{"none without hyphens", "a0eebc999c0b4ef8bb6d6bb9bd380a11", false},
		{"none in braces", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", false},
		{"no other letters", "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", false},
		{"no hyphens alone", strings.Repeat("-", 36), false},
		{"no digits alone", strings.Repeat("4", 36), false},
		{"no first group of another length", "a0eebc9-9c0b-4ef8-bb6d-6bb9bd380a111", false},
		{"no second group of another length", "a0eebc99-9c0-4ef8-bb6d-6bb9bd380a111", false},
		{"no third group of another length", "a0eebc99-9c0b-4ef-bb6d-6bb9bd380a111", false},
		{"no fourth group of another length", "a0eebc99-9c0b-4ef8-bb6-6bb9bd380a111", false},
		{"no sixth group", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd-80a11", false},
		{"nothing", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := isUUID(test.text); got != test.want {
				t.Errorf("isUUID(%q): got %v", test.text, got)
			}
		})
	}
}

func TestCallTravelsInTheContext(t *testing.T) {
	ctx, made := WithCall(t.Context())
	if CallFrom(ctx) != made {
		t.Error("the context carries another call")
	}
	again, same := WithCall(ctx)
	if same != made || again != ctx {
		t.Error("the context has two calls")
	}
	stray := CallFrom(t.Context())
	stray.TwilioRequestID = "RQ1" // There is something to write to.
	if CallFrom(t.Context()).TwilioRequestID != "" {
		t.Error("calls without a context share one")
	}
}
