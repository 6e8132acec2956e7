package access_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"conferenced/service/certtest"
	"conferenced/service/sandbox"
	"conferenced/service/telemetry"
)

const (
	updateMethod = "/conference.v1.ConferenceService/UpdateParticipant"
	someID       = "RQ..." // Replaces the sandbox's request IDs.
	loopback     = "127.0.0.1"

	requestID   = "6f1c7f0e-9f55-4c1e-8a9b-0d6f4c9d2c11"
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "00-" + traceID + "-b7ad6b7169203331-01"
)

var twilioID = regexp.MustCompile(`^RQ[0-9a-f]{32}$`)

// records returns the audit records since the last call, with someID in place of
// Twilio's request IDs.
func (w *world) records(t *testing.T) []telemetry.Record {
	t.Helper()
	text := read(t, w.auditPath)[w.audited:]
	w.audited += len(text)
	return recordsOf(t, text)
}

func recordsOf(t *testing.T, text string) []telemetry.Record {
	t.Helper()
	var records []telemetry.Record
	for line := range strings.Lines(text) {
		var record telemetry.Record
		decoder := json.NewDecoder(bytes.NewReader([]byte(line)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&record); err != nil {
			t.Fatalf("the line %q: %v", line, err)
		}
		if age := time.Since(record.Time); age < 0 || age > waitTimeout {
			t.Errorf("the record's time is %v", record.Time)
		}
		if twilioID.MatchString(record.TwilioRequestID) {
			record.TwilioRequestID = someID
		}
		records = append(records, record)
	}
	return records
}

// diffRecords compares records without what depends on time and on earlier calls.
func diffRecords(want, got []telemetry.Record) string {
	return cmp.Diff(want, got, cmpopts.IgnoreFields(telemetry.Record{}, "Time", "Attempts", "QueuedMS", "Replayed"))
}

// recorded returns the expected record of a call, with the fields that all calls over
// the protocol have.
func recorded(via protocol, record telemetry.Record) telemetry.Record {
	record.Protocol, record.Method, record.Operation, record.Peer = via.name, updateMethod, "update", loopback
	if record.ConferenceSID == "" {
		record.ConferenceSID = sandbox.ConferenceSID
	}
	return record
}

// audited is a call with its caller and its expected record.
type audited struct {
	name    string
	caller  caller
	header  []string
	message *request
	// hook answers instead of Twilio.
	hook hook
	want telemetry.Record
}

func answering(code int, body string) hook {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body)) // The service does not disconnect.
		return true
	}
}

func (w *world) auditedCalls(t *testing.T) []audited {
	t.Helper()
	muted, values := []string{"muted"}, map[string]bool{"muted": true}
	full := to(mainSID, &request{
		CallSid: "front desk", RequestId: requestID, Muted: proto.Bool(false), HoldUrl: proto.String("https://u:p@a.example/label"),
		EndConferenceOnExit: proto.Bool(true), WaitUrl: proto.String(""),
	})
	announcing := to("", &request{AnnounceUrl: proto.String("https://a.example/bell")})
	absent := to("", &request{CallSid: "Ada Lovelace", Muted: proto.Bool(true)})
	invalid := to("", &request{CallSid: "Ada Lovelace", Muted: proto.Bool(true), RequestId: "not a UUID"})
	return []audited{
		{"allowed, by label", withToken("ui"), []string{"traceparent", traceparent}, full, nil, telemetry.Record{
			Caller: "ui", KnownBy: "token", AccountSID: mainSID, CallSID: sandbox.FrontDeskSID,
			Properties: []string{"muted", "hold_url", "wait_url", "end_conference_on_exit"},
			Values:     map[string]bool{"muted": false, "end_conference_on_exit": true},
			Outcome:    "OK", Applied: "yes", RequestID: requestID, TwilioRequestID: someID, TraceID: traceID,
		}},
		{"allowed, in the default account", w.withJWT(t, "ui"), nil, muting(""), nil, telemetry.Record{
			Caller: "ui", KnownBy: "jwt", AccountSID: mainSID, CallSID: sandbox.AgentSID, Properties: muted, Values: values,
			Outcome: "OK", Applied: "yes", TwilioRequestID: someID,
		}},
		{"allowed, in a subaccount", w.withCertificate(t, "ui"), nil, muting(subSID), nil, telemetry.Record{
			Caller: "ui", KnownBy: "mtls", AccountSID: subSID, CallSID: sandbox.AgentSID, Properties: muted, Values: values,
			Outcome: "OK", Applied: "yes", TwilioRequestID: someID,
		}},
		{"refused by the policy", withToken("guests"), nil, muting(mainSID), nil, telemetry.Record{
			Caller: "guests", KnownBy: "token", AccountSID: mainSID, CallSID: sandbox.AgentSID, Properties: muted, Values: values,
			Outcome: "NOT_ALLOWED", Applied: "no",
		}},
		{"an unknown caller", caller{authorization: []string{"Bearer x"}}, nil, muting(mainSID), nil, telemetry.Record{
			AccountSID: mainSID, CallSID: sandbox.AgentSID, Properties: muted, Values: values,
			Outcome: "CALLER_UNKNOWN", Applied: "no",
		}},
		{"an invalid request", withToken("ui"), []string{"traceparent", "not a trace"}, invalid, nil, telemetry.Record{
			Caller: "ui", KnownBy: "token", Properties: muted, Values: values, Outcome: "INVALID_REQUEST", Applied: "no",
		}},
		{"nothing to update", withToken("ui"), nil, to("", new(request)), nil, telemetry.Record{
			Caller: "ui", KnownBy: "token", CallSID: sandbox.AgentSID, Outcome: "NOTHING_TO_UPDATE", Applied: "no",
		}},
		{"an account without credentials", withToken("ui"), nil, muting(foreignSID), nil, telemetry.Record{
			Caller: "ui", KnownBy: "token", AccountSID: foreignSID, CallSID: sandbox.AgentSID, Properties: muted, Values: values,
			Outcome: "ACCOUNT_NOT_CONFIGURED", Applied: "no",
		}},
		{"an unknown label", withToken("ui"), nil, absent, nil, telemetry.Record{
			Caller: "ui", KnownBy: "token", AccountSID: mainSID, Properties: muted, Values: values,
			Outcome: "PARTICIPANT_NOT_FOUND", Applied: "no", TwilioRequestID: someID,
		}},
		{"a failing Twilio", withToken("ui"), nil, muting(""), answering(503, "<html>"), telemetry.Record{
			Caller: "ui", KnownBy: "token", AccountSID: mainSID, CallSID: sandbox.AgentSID, Properties: muted, Values: values,
			Outcome: "OUTCOME_UNKNOWN", Applied: "maybe",
		}},
		{"an announcement at a failing Twilio", withToken("ui"), nil, announcing, answering(500, ""), telemetry.Record{
			Caller: "ui", KnownBy: "token", AccountSID: mainSID, CallSID: sandbox.AgentSID, Properties: []string{"announce_url"},
			Outcome: "OUTCOME_UNKNOWN", Applied: "maybe",
		}},
		{"an unreadable answer", withToken("ui"), nil, muting(""), answering(200, "{"), telemetry.Record{
			Caller: "ui", KnownBy: "token", AccountSID: mainSID, CallSID: sandbox.AgentSID, Properties: muted, Values: values,
			Outcome: "TWILIO_UNEXPECTED_ANSWER", Applied: "yes",
		}},
	}
}

// TestAuditOfEveryCall checks that each call has exactly its expected record, over
// each protocol.
func TestAuditOfEveryCall(t *testing.T) {
	w := start(t, with(
		tokensFile, tokensText("ui", "guests"),
		policyFile, `rules: [{callers: [{name: "ui"}], accounts: ["*"], properties: ["*"]}]`,
	))
	calls := w.auditedCalls(t)
	for i, via := range protocols {
		for _, call := range calls {
			t.Run(via.name+" "+call.name, func(t *testing.T) {
				w.up.setHook(call.hook)
				got := via.call(withHeader(t.Context(), call.header...), w.client(call.caller.certificate), call.caller.authorization, call.message)
				records := w.records(t)
				want := recorded(via, call.want)
				if via.name == "rest" && want.Outcome == "CALLER_UNKNOWN" { // The body was not read.
					want.Properties, want.Values = nil, nil
				}
				if diff := diffRecords([]telemetry.Record{want}, records); diff != "" {
					t.Errorf("records (-want +got):\n%s\nof %v", diff, got)
				}
				if want.RequestID != "" { // The first protocol's call makes the attempt.
					if got := records[0]; got.Replayed != (i > 0) || got.Attempts != map[bool]int{false: 1}[got.Replayed] {
						t.Errorf("replayed %v after %d attempts", got.Replayed, got.Attempts)
					}
				}
			})
		}
	}
	for _, private := range []string{"Lovelace", "front desk", "a.example", "u:p@", tokenOf("ui"), mainToken} {
		if strings.Contains(read(t, w.auditPath), private) {
			t.Errorf("%q is in the audit", private)
		}
	}
}

// TestAuditOfADeadline makes calls without a deadline, which get the service's, to a
// Twilio that does not answer.
func TestAuditOfADeadline(t *testing.T) {
	w := start(t, func(s *setup) { s.DefaultTimeout = 500 * time.Millisecond })
	w.up.setHook(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
	for _, via := range protocols {
		t.Run(via.name, func(t *testing.T) {
			got := via.call(t.Context(), w.client(nil), withToken("ui").authorization, muting(""))
			want := recorded(via, telemetry.Record{
				Caller: "ui", KnownBy: "token", AccountSID: mainSID, CallSID: sandbox.AgentSID, Properties: []string{"muted"},
				Values: map[string]bool{"muted": true}, Outcome: "DEADLINE", Applied: "maybe",
			})
			records := w.records(t)
			if len(records) == 1 && records[0].Applied == "no" {
				want.Applied = "no" // A busy machine may not send it in time.
			}
			if diff := diffRecords([]telemetry.Record{want}, records); diff != "" {
				t.Errorf("records (-want +got):\n%s\nof %v", diff, got)
			}
		})
	}
}

// TestAuditOfACancelledCall cancels a call while its update is in flight.
func TestAuditOfACancelledCall(t *testing.T) {
	w := start(t)
	arrived := make(chan struct{})
	w.up.setHook(func(_ http.ResponseWriter, r *http.Request) bool {
		arrived <- struct{}{}
		<-r.Context().Done()
		return true
	})
	for _, via := range protocols {
		t.Run(via.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan reply, 1)
			go func() { ended <- via.call(ctx, w.client(nil), withToken("ui").authorization, muting("")) }()
			await(t, arrived, "the call to arrive")
			cancel()
			if got := await(t, ended, "the call to end"); got.err == nil {
				t.Errorf("%v", got)
			}
			var records []telemetry.Record
			eventually(t, "a record", func() bool { records = w.records(t); return len(records) > 0 })
			want := recorded(via, telemetry.Record{
				Caller: "ui", KnownBy: "token", AccountSID: mainSID, CallSID: sandbox.AgentSID, Properties: []string{"muted"},
				Values: map[string]bool{"muted": true}, Outcome: "CANCELLED", Applied: "maybe",
			})
			if diff := diffRecords([]telemetry.Record{want}, records); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// TestForwardedFor checks that X-Forwarded-For is trusted from trusted proxies only.
func TestForwardedFor(t *testing.T) {
	trusting := func(networks ...string) func(*setup) {
		return func(s *setup) {
			for _, network := range networks {
				s.TrustedProxies = append(s.TrustedProxies, netip.MustParsePrefix(network))
			}
		}
	}
	tests := []struct {
		name   string
		choose func(*setup)
		header []string
		want   string
	}{
		{"without trusted proxies", trusting(), []string{"x-forwarded-for", "203.0.113.7"}, loopback},
		{"from an untrusted network", trusting("10.0.0.0/8"), []string{"x-forwarded-for", "203.0.113.7"}, loopback},
		{"from a trusted proxy", trusting("127.0.0.0/8"), []string{"x-forwarded-for", "203.0.113.7"}, "203.0.113.7"},
		{"from a trusted proxy, with an IPv6 address", trusting("127.0.0.0/8"), []string{"x-forwarded-for", "2001:db8::7"}, "2001:db8::7"},
		{"with an address forged by the client", trusting("127.0.0.0/8"), []string{"x-forwarded-for", "198.51.100.9, 203.0.113.7"}, "203.0.113.7"},
		{"through two trusted proxies", trusting("127.0.0.0/8", "10.0.0.0/8"), []string{"x-forwarded-for", "198.51.100.9, 203.0.113.7, 10.1.2.3"}, "203.0.113.7"},
		{"in two headers", trusting("127.0.0.0/8"), []string{"x-forwarded-for", "198.51.100.9", "x-forwarded-for", "203.0.113.7"}, "203.0.113.7"},
		{"that is not an address", trusting("127.0.0.0/8"), []string{"x-forwarded-for", "evil"}, loopback},
		{"that is empty", trusting("127.0.0.0/8"), []string{"x-forwarded-for", ""}, loopback},
		{"that is missing", trusting("127.0.0.0/8"), nil, loopback},
		{"in other headers", trusting("127.0.0.0/8"), []string{"x-real-ip", "203.0.113.7", "forwarded", "for=203.0.113.7"}, loopback},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := start(t, test.choose)
			for _, via := range protocols {
				// The caller is still authenticated by the proxy's certificate.
				got := via.call(withHeader(t.Context(), test.header...), w.client(certtest.Issue(t, w.clientCA, "ui")), nil, muting(""))
				if !got.ok() {
					t.Fatal(got)
				}
				if record := w.records(t)[0]; record.Peer != test.want || record.Caller != "ui" {
					t.Errorf("%s: peer %s, caller %s, want %s", via.name, record.Peer, record.Caller, test.want)
				}
			}
		})
	}
}

// fullDisk is a device on which every write fails.
const fullDisk = "/dev/full"

// onFullDisk makes the audit file a link to fullDisk.
func onFullDisk(t *testing.T, path string) func(*setup) {
	t.Helper()
	if _, err := os.Stat(fullDisk); err != nil {
		t.Skip(err)
	}
	link(t, fullDisk, path)
	return func(s *setup) { s.auditPath = path }
}

var auditFailed = refusal{codes.Internal, 500, "AUDIT_FAILED", "the audit record of the call could not be written", ""}

// TestAuditFailsClosed checks that calls are refused until the audit can be written
// again. The call during which it failed is applied, and its error says so.
func TestAuditFailsClosed(t *testing.T) {
	for _, via := range protocols {
		t.Run(via.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit")
			w := start(t, onFullDisk(t, path))
			ui := withToken("ui")
			first := via.call(t.Context(), w.client(nil), ui.authorization, muting(""))
			if first.reason() != auditFailed.reason || !strings.Contains(first.String(), `value:"yes"`) {
				t.Errorf("the first: %v", first)
			}
			if _, journal := w.up.take(); len(journal) != 1 {
				t.Errorf("the first is reported as applied, and was not: %v", journal)
			}
			w.expectRefused(t, "the second", auditFailed, via, ui, muting(""))
			w.expectRefused(t, "an unknown caller", auditFailed, via, caller{}, muting(""))
			if len(w.log.lines(`"audit failed: the call is refused","cause":"write `+path)) != 2 {
				t.Errorf("the log has no cause: %s", w.log)
			}

			rename(t, path, path+".full")
			w.Reload()
			got := via.call(t.Context(), w.client(nil), ui.authorization, muting(""))
			w.expectApplied(t, "mended", got, arrival{account: mainSID, user: mainSID, password: mainToken, form: "Muted=true"})
			one := recorded(via, telemetry.Record{
				Caller: "ui", KnownBy: "token", AccountSID: mainSID, CallSID: sandbox.AgentSID, Properties: []string{"muted"},
				Values: map[string]bool{"muted": true}, Outcome: "OK", Applied: "yes", TwilioRequestID: someID,
			})
			if diff := diffRecords([]telemetry.Record{one, one}, w.records(t)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAuditFailsOpen checks that calls are processed and the failures are logged. The
// records are written at the latest when the service stops.
func TestAuditFailsOpen(t *testing.T) {
	for _, via := range protocols {
		t.Run(via.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit")
			w := start(t, onFullDisk(t, path), func(s *setup) { s.AuditFailOpen = true })
			const calls = 3
			for range calls {
				got := via.call(t.Context(), w.client(nil), withToken("ui").authorization, muting(""))
				w.expectApplied(t, "a call", got, arrival{account: mainSID, user: mainSID, password: mainToken, form: "Muted=true"})
			}
			w.expectRefused(t, "an unknown caller", callerUnknown, via, caller{}, muting(""))
			if got := len(w.log.lines(`"msg":"audit failed"`)); got != calls+1 {
				t.Errorf("the log has %d failures: %s", got, w.log)
			}
			rename(t, path, path+".full")
			w.Reload()
			w.end(t)
			if got := len(w.records(t)); got != calls+1 {
				t.Errorf("%d records", got)
			}
		})
	}
}
