package server

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
)

// changing has the attributes of a call's line that differ between calls.
var changing = []string{"time", "msg", "duration", "queued"}

// checkCallLines compares all lines about calls. The changing attributes must be
// present.
func checkCallLines(t *testing.T, log *logged, want []line) {
	t.Helper()
	got := log.lines(t, "call")
	for _, one := range got {
		if duration, ok := one["duration"].(float64); !ok || duration <= 0 {
			t.Errorf("the duration is %v", one["duration"])
		}
		if _, err := time.Parse(time.RFC3339Nano, one.text("time")); err != nil {
			t.Error(err)
		}
		for _, key := range changing {
			delete(one, key)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestOneLineForEachCall(t *testing.T) {
	const requestID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	tests := []struct {
		name    string
		request *request
		want    line
	}{
		{
			"an update by Call SID", muting(sandbox.AgentSID),
			line{"level": "INFO", "code": "OK", "call_sid": sandbox.AgentSID, "twilio_request_id": someRequestID, "set": "muted=true", "attempts": 1.0},
		},
		{
			"an update by label", muting("front desk"),
			line{"level": "INFO", "code": "OK", "call_sid": sandbox.FrontDeskSID, "twilio_request_id": someRequestID, "set": "muted=true", "attempts": 1.0},
		},
		{
			"an account and a request id",
			to(sandbox.AgentSID, &request{AccountSid: sandbox.AccountSID, RequestId: requestID, Hold: yes}),
			line{
				"level": "INFO", "code": "OK", "call_sid": sandbox.AgentSID,
				"request_id": requestID, "twilio_request_id": someRequestID, "set": "hold=true", "attempts": 1.0,
			},
		},
		{
			"nothing to update", to(sandbox.AgentSID, &request{}),
			line{
				"level": "INFO", "code": "InvalidArgument", "call_sid": sandbox.AgentSID,
				"reason": "NOTHING_TO_UPDATE", "applied": "no",
			},
		},
		{
			"a participant who is not there", muting(absentSID),
			line{
				"level": "INFO", "code": "NotFound", "call_sid": absentSID,
				"reason": "PARTICIPANT_NOT_FOUND", "applied": "no", "set": "muted=true", "attempts": 1.0,
				"twilio_status": "404", "twilio_code": "20404", "twilio_request_id": someRequestID,
				"cause": "twilio: answer 404, code 20404 (request " + someRequestID + ")",
			},
		},
		{
			"a failure of Twilio's", muting("fault:503"),
			line{
				"level": "WARN", "code": "Unavailable", "reason": "OUTCOME_UNKNOWN", "applied": "maybe", "set": "muted=true", "attempts": 4.0,
				"twilio_status": "503", "twilio_code": "20503", "twilio_request_id": someRequestID,
				"cause": "twilio: answer 503, code 20503 (request " + someRequestID + ")",
			},
		},
		{
			"an announcement of which nothing is known", announcing("fault:reset"),
			line{
				"level": "WARN", "code": "Unknown", "reason": "OUTCOME_UNKNOWN", "applied": "maybe", "set": "announce_url", "attempts": 1.0,
				"cause": "twilio: no answer: connection reset by peer",
			},
		},
		{
			"credentials that Twilio rejects", muting("fault:401"),
			line{
				"level": "ERROR", "code": "Internal", "reason": "TWILIO_CREDENTIALS_REJECTED", "applied": "no", "set": "muted=true", "attempts": 1.0,
				"twilio_status": "401", "twilio_code": "20003", "twilio_request_id": someRequestID,
				"cause": "twilio: answer 401, code 20003 (request " + someRequestID + ")",
			},
		},
	}
	for _, test := range tests {
		for _, way := range bothWays {
			t.Run(way.name+"/"+test.name, func(t *testing.T) {
				r := start(t)
				got := way.call(t, t.Context(), r, test.request)
				want := line{
					"method": updateMethod, "protocol": way.name,
					"account_sid": sandbox.AccountSID, "conference_sid": sandbox.ConferenceSID,
				}
				if test.want["reason"] == "NOTHING_TO_UPDATE" { // It is refused before its account is known.
					delete(want, "account_sid")
				}
				for key, value := range test.want {
					want[key] = value
					if text, ok := value.(string); ok {
						want[key] = strings.ReplaceAll(text, someRequestID, got.requestID)
					}
				}
				checkCallLines(t, r.log, []line{want})
			})
		}
	}
}

// TestLinesAboutALabel checks that the line of a call by label has the Call SID as soon as
// an answer has told it, also if Twilio then fails, and that a replayed call says so.
func TestLinesAboutALabel(t *testing.T) {
	var failing atomic.Bool
	r := start(t, func(s *setup) {
		s.box.Fault = func(*http.Request) sandbox.Fault {
			if failing.Load() {
				return sandbox.Fault{Status: http.StatusServiceUnavailable}
			}
			return sandbox.Fault{}
		}
		s.Delivery.Retrying.Attempts = 2
	})
	const requestID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	calls := []struct {
		failing bool
		request *request
		want    line
	}{
		{true, muting("front desk"), line{"attempts": 2.0, "reason": "OUTCOME_UNKNOWN"}},
		{false, to("front desk", &request{RequestId: requestID, Muted: yes}), line{"call_sid": sandbox.FrontDeskSID, "attempts": 1.0}},
		{true, to("front desk", &request{RequestId: requestID, Muted: yes}), line{"call_sid": sandbox.FrontDeskSID, "attempts": 0.0, "replayed": true}},
		{true, muting("front desk"), line{"call_sid": sandbox.FrontDeskSID, "attempts": 2.0, "reason": "OUTCOME_UNKNOWN"}},
	}
	for _, c := range calls {
		failing.Store(c.failing)
		callGRPC(t, t.Context(), r, c.request)
	}
	lines := r.log.lines(t, "call")
	if len(lines) != len(calls) {
		t.Fatalf("%d lines:\n%s", len(lines), r.log)
	}
	for i, c := range calls {
		for _, key := range []string{"call_sid", "attempts", "replayed", "reason"} {
			if got := lines[i][key]; got != c.want[key] {
				t.Errorf("call %d: %s is %v, want %v", i, key, got, c.want[key])
			}
		}
		if queued, ok := lines[i]["queued"].(float64); !ok || queued > 0 == (c.want["replayed"] == true) {
			t.Errorf("call %d: queued is %v", i, lines[i]["queued"])
		}
	}
}

// TestLineCountsLookUps checks that the attempts of a call include the look-ups of a
// conference's name and of a label.
func TestLineCountsLookUps(t *testing.T) {
	r := start(t)
	if _, err := r.service().RemoveParticipant(t.Context(), &conferencev1.RemoveParticipantRequest{
		ConferenceSid: "name:Support", CallSid: "front desk",
	}); err != nil {
		t.Fatal(err)
	}
	if got := r.log.lines(t, "call"); len(got) != 1 || got[0]["attempts"] != 3.0 {
		t.Errorf("lines %v, want one with 3 attempts", got)
	}
}

func TestLogInText(t *testing.T) {
	r := start(t, func(s *setup) { s.logFormat = "text" })
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	var calls []string
	for one := range strings.Lines(r.log.String()) {
		if strings.Contains(one, " msg=call ") {
			calls = append(calls, one)
		}
	}
	if len(calls) != 1 {
		t.Fatalf("%d lines:\n%s", len(calls), r.log)
	}
	for _, want := range []string{
		" level=INFO ", " method=" + updateMethod + " ", " protocol=grpc ", " code=OK ", " duration=",
		" conference_sid=" + sandbox.ConferenceSID + " ", " call_sid=" + sandbox.AgentSID + " ", " twilio_request_id=RQ",
	} {
		if !strings.Contains(calls[0], want) {
			t.Errorf("no %q in %s", want, calls[0])
		}
	}
}

func TestHealthChecksAreNotLogged(t *testing.T) {
	check := func(t *testing.T, level string) []line {
		r := start(t, func(s *setup) { s.logLevel = level })
		if _, err := grpc_health_v1.NewHealthClient(r.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/startupz", "/livez", "/readyz", "/healthz"} {
			askAdmin(t, r, http.MethodGet, path)
		}
		return r.log.lines(t, "call")
	}
	if got := check(t, "info"); len(got) > 0 {
		t.Errorf("at info: %v", got)
	}
	got := check(t, "debug")
	if len(got) != 1 || got[0].text("method") != "/grpc.health.v1.Health/Check" || got[0].text("level") != "DEBUG" {
		t.Errorf("at debug: %v", got)
	}
}

// planted is a part of every text that must not be logged.
const planted = "pl4nted"

// plantedRequests returns valid and invalid requests with planted in every text.
func plantedRequests() []*request {
	url := text("https://" + planted + ":" + planted + "@" + planted + ".example/" + planted + "?" + planted + "#" + planted)
	everything := &request{HoldUrl: url, AnnounceUrl: url, WaitUrl: url, Muted: yes}
	return []*request{
		to(planted, proto.CloneOf(everything)),
		to("front desk "+planted, proto.CloneOf(everything)),
		to("fault:503", proto.CloneOf(everything)),
		to("fault:reset", proto.CloneOf(everything)),
		to(sandbox.AgentSID, proto.CloneOf(everything)),
		to(sandbox.AgentSID, &request{HoldUrl: text("ftp://" + planted)}),
		to(sandbox.AgentSID, &request{AccountSid: "AC" + planted, Muted: yes}),
		to(sandbox.AgentSID, &request{ConferenceSid: planted, Muted: yes}),
		to(sandbox.AgentSID, &request{CallSidToCoach: text(planted)}),
		to(sandbox.AgentSID, &request{RequestId: planted, Muted: yes}),
		to(strings.Repeat(planted, 20), &request{Muted: yes}),
		to(sandbox.AgentSID, &request{HoldUrl: text("https://h.example/" + strings.Repeat(planted, 1000))}),
	}
}

func TestNothingOfABodyIsLogged(t *testing.T) {
	r := start(t, func(s *setup) { s.logLevel = "debug" })
	joining := sandbox.Participant{Label: "front desk " + planted}
	if _, err := r.box.AddParticipant(sandbox.ConferenceSID, joining); err != nil {
		t.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+planted, "x-anything", planted)
	calls := 0
	for _, message := range plantedRequests() {
		for _, way := range bothWays {
			way.call(t, ctx, r, message)
			calls++
		}
	}
	for _, body := range []string{`{"` + planted + `": 1}`, `{"muted": "` + planted + `"}`, planted} {
		sendREST(t, t.Context(), r, http.MethodPatch, agentPath, body, "Authorization", "Bearer "+planted)
		calls++
	}
	if _, err := r.invokeBytes(ctx, updateMethod, []byte(planted)); err == nil {
		t.Error("no error")
	}
	calls++
	if got := len(r.log.lines(t, "call")); got != calls {
		t.Errorf("%d calls have %d lines", calls, got)
	}
	checkUnsaid(t, r.log.String(), planted, strings.ToUpper(planted), "front desk", "fault:")
}

// checkUnsaid checks that a log has none of the secrets and no credentials.
func checkUnsaid(t *testing.T, log string, secrets ...string) {
	t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(sandbox.AccountSID + ":" + sandbox.AuthToken))
	for _, secret := range append(secrets, sandbox.AuthToken, basic) {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
}

func TestNothingOfTwiliosAnswerIsLogged(t *testing.T) {
	for _, status := range []int{200, 302, 400, 404, 500} {
		r := start(t, func(s *setup) {
			s.logLevel = "debug"
			s.Settings = settingsOf(t, sandbox.AccountSID, sandboxAccount(serveText(t, status, planted)))
		})
		for _, way := range bothWays {
			if got := way.call(t, t.Context(), r, muting(sandbox.AgentSID)); got.status == nil {
				t.Errorf("%d: no error", status)
			}
		}
		if got := len(r.log.lines(t, "call")); got != 2 {
			t.Errorf("%d: two calls have %d lines", status, got)
		}
		checkUnsaid(t, r.log.String(), planted)
	}
}
