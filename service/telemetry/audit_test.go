package telemetry

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/call"
	"conferenced/service/outcome"
)

var discarding = slog.New(slog.DiscardHandler)

// authenticated is a call whose caller is authenticated.
func authenticated() call.Call {
	return call.Call{
		Method: method, Protocol: call.GRPC, Client: "192.0.2.1", Start: time.Now(),
		Caller: "ui", KnownBy: "token",
	}
}

func auditTo(out io.WriteCloser, failOpen bool) *Audit {
	return &Audit{Sink: newAuditSink(out, nil), FailOpen: failOpen, Logger: discarding}
}

// audited makes a call through both interceptors of the audit.
func audited(ctx context.Context, audit *Audit, made call.Call, request any, handler grpc.UnaryHandler) (any, error) {
	if made.Deadline.IsZero() { // As the server's interceptor does.
		made.Deadline = time.Now().Add(10 * time.Second)
	}
	return through(ctx, audit.Interceptor(), made, request, func(ctx context.Context, request any) (any, error) {
		if made.KnownBy == "" { // Authentication refuses it before Ready.
			return handler(ctx, request)
		}
		if err := audit.Ready(ctx); err != nil {
			return nil, err
		}
		return handler(ctx, request)
	})
}

func wantAuditFailed(t *testing.T, err error, applied outcome.Applied) {
	t.Helper()
	failed := outcome.From(err)
	if failed == nil || failed.Kind != outcome.AuditFailed || failed.Applied != applied {
		t.Errorf("the call ended with %v, want AUDIT_FAILED with applied %s", err, applied)
	}
}

func records(t *testing.T, text string) []Record {
	t.Helper()
	var all []Record
	for line := range strings.Lines(text) {
		var record Record
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, record)
	}
	return all
}

func TestRecordOfACall(t *testing.T) {
	full := authenticated()
	full.AccountSID, full.ConferenceSID, full.CallSID, full.RequestID = accountSID, conferenceSID, callSID, requestID
	full.TwilioRequestID, full.TraceID = "RQ1", "0af7"
	tests := []struct {
		name    string
		call    call.Call
		request any
		err     error
		want    Record
	}{
		{
			"an applied update", full,
			&conferencev1.UpdateParticipantRequest{
				CallSid: "Ada Lovelace", Muted: proto.Bool(false), HoldUrl: proto.String("https://user:secret@h.example/"),
			}, nil,
			Record{
				AccountSID: accountSID, ConferenceSID: conferenceSID, CallSID: callSID, RequestID: requestID,
				TwilioRequestID: "RQ1", TraceID: "0af7",
				Properties: []string{"muted", "hold_url"}, Values: map[string]bool{"muted": false},
				Outcome: "OK", Applied: "yes",
			},
		},
		{
			"an update that failed", authenticated(),
			&conferencev1.UpdateParticipantRequest{CallSid: "Ada Lovelace", HoldUrl: proto.String("https://secret.example/")},
			outcome.OutcomeUnknown.Err(outcome.Facts{Applied: outcome.Maybe}),
			Record{Properties: []string{"hold_url"}, Outcome: "OUTCOME_UNKNOWN", Applied: "maybe"},
		},
		{
			"an error without an outcome", authenticated(), nil, context.DeadlineExceeded,
			Record{Outcome: "DEADLINE", Applied: "maybe"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			disk := &smallDisk{room: 1000}
			_, err := audited(t.Context(), auditTo(disk, false), test.call, test.request, answering(nil, test.err))
			if err != test.err { //nolint:errorlint // It is compared by identity.
				t.Errorf("the call ended with %v", err)
			}
			want := test.want
			want.Caller, want.KnownBy, want.Peer, want.Protocol, want.Method = "ui", "token", "192.0.2.1", "grpc", method
			got := records(t, disk.String())
			if diff := cmp.Diff([]Record{want}, got, cmpopts.IgnoreFields(Record{}, "Time")); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if len(got) == 1 && time.Since(got[0].Time).Abs() > time.Hour {
				t.Errorf("the time is %v", got[0].Time)
			}
			if text := disk.String(); strings.Contains(text, "secret") || strings.Contains(text, "Ada") {
				t.Errorf("the record holds values of the request: %s", text)
			}
		})
	}
}

func TestAuditFailsClosed(t *testing.T) {
	disk := &smallDisk{room: 10}
	audit := auditTo(disk, false)
	handled := 0
	handler := func(context.Context, any) (any, error) {
		handled++
		return nil, nil
	}
	for _, applied := range []outcome.Applied{outcome.Yes, outcome.No, outcome.No} {
		_, err := audited(t.Context(), audit, authenticated(), nil, handler)
		wantAuditFailed(t, err, applied)
	}
	unknown := outcome.CallerUnknown.Err(outcome.Facts{})
	_, err := audited(t.Context(), audit, call.Call{Method: method}, nil, answering(nil, unknown))
	wantAuditFailed(t, err, outcome.No)
	if handled != 1 {
		t.Errorf("%d calls reached the handler, want 1", handled)
	}
	disk.room = 1000
	if _, err := audited(t.Context(), audit, authenticated(), nil, handler); err != nil {
		t.Errorf("a call when there is space again: %v", err)
	}
	if got := records(t, disk.String()); len(got) != 2 {
		t.Errorf("%d records, want 2, of the calls that reached the handler", len(got))
	}
}

func TestAuditFailsOpen(t *testing.T) {
	disk := new(smallDisk)
	audit := auditTo(disk, true)
	for i := range 4 {
		if i == 3 {
			disk.room = 10_000
		}
		if _, err := audited(t.Context(), audit, authenticated(), nil, answering(nil, nil)); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if got := records(t, disk.String()); len(got) != 4 {
		t.Errorf("%d records, want 4: failed records are written later", len(got))
	}
}

func TestOtherServicesAreNotAudited(t *testing.T) {
	audit := auditTo(new(smallDisk), false)
	for range 2 {
		made := call.Call{Method: healthCheck, KnownBy: "none"}
		if _, err := audited(t.Context(), audit, made, nil, answering(nil, nil)); err != nil {
			t.Errorf("a health check: %v", err)
		}
	}
}

func TestRecordsOfUnauthenticatedCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &smallDisk{room: 1 << 20}
		audit := auditTo(disk, false)
		refuse := func() {
			err := outcome.CallerUnknown.Err(outcome.Facts{})
			if _, got := audited(t.Context(), audit, call.Call{Method: method}, nil, answering(nil, err)); got != err { //nolint:errorlint // It is compared by identity.
				t.Errorf("got %v", got)
			}
		}
		for range 500 {
			refuse()
			_, _ = audited(t.Context(), audit, authenticated(), nil, answering(nil, nil))
		}
		time.Sleep(time.Second)
		refuse()
		byCaller := map[string]int{}
		got := records(t, disk.String())
		for _, record := range got {
			byCaller[record.Caller]++
		}
		if byCaller["ui"] != 500 || byCaller[""] != unauthenticatedBurst+1 {
			t.Errorf("records by caller: %v", byCaller)
		}
		if last := got[len(got)-1]; last.Skipped != 500-unauthenticatedBurst || audit.Sink.skipped.Load() != last.Skipped {
			t.Errorf("skipped: %d in the record, %d in all", last.Skipped, audit.Sink.skipped.Load())
		}
	})
}

// within makes a call with a timeout and returns how long it took. A stalled audit
// must not exceed the timeout.
func within(t *testing.T, audit *Audit, timeout time.Duration) (took time.Duration, err error) {
	t.Helper()
	made := authenticated()
	made.Deadline = made.Start.Add(timeout)
	_, err = audited(t.Context(), audit, made, nil, answering(nil, nil))
	return time.Since(made.Start), err
}

func TestStalledAuditFailsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		go func() { <-out.began }()
		audit := auditTo(out, false)
		took, err := within(t, audit, 5*time.Second)
		wantAuditFailed(t, err, outcome.Yes)
		if took >= 5*time.Second {
			t.Errorf("the call whose record stalls took %v", took)
		}
		took, err = within(t, audit, 5*time.Second)
		wantAuditFailed(t, err, outcome.No)
		if took != 0 {
			t.Errorf("a call after that was refused after %v", took)
		}
		if err := audit.Sink.Close(); err == nil {
			t.Error("Close returned no error")
		}
		out.release <- struct{}{}
		synctest.Wait()
		go func() {
			<-out.began
			out.release <- struct{}{}
		}()
		if _, err := within(t, audit, 5*time.Second); err != nil {
			t.Errorf("a call after the stall: %v", err)
		}
	})
}

func TestStalledAuditFailsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		go func() { <-out.began }()
		audit := auditTo(out, true)
		for _, want := range []time.Duration{stallTime, 0, 0} {
			if took, err := within(t, audit, 5*time.Second); took != want || err != nil {
				t.Errorf("a call took %v and ended with %v, want %v", took, err, want)
			}
		}
		out.release <- struct{}{}
		if got := <-out.began; strings.Count(got, "\n") != 2 {
			t.Errorf("written after the stall: %q", got)
		}
		out.release <- struct{}{}
	})
}
