package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

const (
	account    = "AC00000000000000000000000000000001"
	conference = "CF00000000000000000000000000000001"
	call       = "CA00000000000000000000000000000001"
	requestID  = "6f1c7f0e-9f55-4c1e-8a9b-0d6f4c9d2c11"
	method     = "/conference.v1.ConferenceService/UpdateParticipant"
)

// flakyFile fails while broken, after it has taken the first bytes of a line.
type flakyFile struct {
	strings.Builder
	broken  bool
	partial int
}

func (f *flakyFile) Write(line []byte) (int, error) {
	if f.broken {
		n := min(f.partial, len(line))
		f.Builder.Write(line[:n])
		return n, errors.New("no space left")
	}
	return f.Builder.Write(line)
}

func (f *flakyFile) Close() error { return nil }

func flakySink(t *testing.T) (*AuditSink, *flakyFile) {
	t.Helper()
	file := new(flakyFile)
	sink, err := newAuditSink(func() (io.WriteCloser, error) { return file, nil })
	if err != nil {
		t.Fatal(err)
	}
	return sink, file
}

// audited makes a call through the interceptor.
func audited(
	ctx context.Context, sink *AuditSink, failOpen bool, request any, handler grpc.UnaryHandler,
) (any, error) {
	where := Where{
		Protocol: func(context.Context) string { return "grpc" },
		Client:   func(context.Context) string { return "192.0.2.1" },
	}
	intercept := Audit(sink, failOpen, slog.New(slog.DiscardHandler), where)
	return intercept(ctx, request, &grpc.UnaryServerInfo{FullMethod: method}, handler)
}

func answering(response any, err error) grpc.UnaryHandler {
	return func(ctx context.Context, _ any) (any, error) {
		CallFrom(ctx).Caller, CallFrom(ctx).KnownBy = "ui", "token"
		CallFrom(ctx).TwilioRequestID = "RQ1"
		return response, err
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
		if time.Since(record.Time) > time.Hour || record.Time.After(time.Now()) {
			t.Errorf("time: got %v", record.Time)
		}
		all = append(all, record)
	}
	return all
}

func TestAuditRecords(t *testing.T) {
	applied := &conferencev1.UpdateParticipantResponse{Participant: &conferencev1.Participant{
		AccountSid: proto.String(account), CallSid: proto.String(call), Label: proto.String("Ada Lovelace"),
	}}
	notFound := outcome.ParticipantNotFound.Err(outcome.Facts{Applied: delivery.Maybe})
	tests := []struct {
		name     string
		request  any
		account  string // As the service took it.
		response any
		err      error
		want     Record
	}{
		{
			name: "an update by label shows the Call SID of the answer",
			request: &conferencev1.UpdateParticipantRequest{
				AccountSid: account, ConferenceSid: conference, CallSid: "Ada Lovelace", RequestId: requestID,
				Muted: proto.Bool(false), HoldUrl: proto.String("https://user:secret@h.example/"),
			},
			response: applied,
			want: Record{
				AccountSID: account, ConferenceSID: conference, CallSID: call, RequestID: requestID,
				Properties: []string{"muted", "hold_url"}, Values: map[string]bool{"muted": false},
				Outcome: "OK", Applied: "yes",
			},
		},
		{
			name: "a failed one shows the reason and what is known",
			request: &conferencev1.UpdateParticipantRequest{
				AccountSid: account, ConferenceSid: conference, CallSid: "Ada Lovelace", Hold: proto.Bool(true),
			},
			err: notFound,
			want: Record{
				AccountSID: account, ConferenceSID: conference,
				Properties: []string{"hold"}, Values: map[string]bool{"hold": true},
				Outcome: "PARTICIPANT_NOT_FOUND", Applied: "maybe",
			},
		},
		{
			name: "what has not the form of an id is left out",
			request: &conferencev1.UpdateParticipantRequest{
				AccountSid: "AC secret", ConferenceSid: "secret", CallSid: "secret", RequestId: "secret",
			},
			err:  outcome.InvalidRequest.Err(outcome.Facts{}),
			want: Record{Outcome: "INVALID_REQUEST", Applied: "no"},
		},
		{
			name:    "a request that leaves the account to the service shows the one it took",
			account: account,
			request: &conferencev1.UpdateParticipantRequest{ConferenceSid: conference, CallSid: call},
			err:     outcome.NotAllowed.Err(outcome.Facts{}),
			want: Record{
				AccountSID: account, ConferenceSID: conference, CallSID: call, Outcome: "NOT_ALLOWED", Applied: "no",
			},
		},
		{
			name:    "a status of gRPC's own",
			request: nil,
			err:     context.DeadlineExceeded,
			want:    Record{Outcome: "INTERNAL", Applied: "maybe"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sink, file := flakySink(t)
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(
				"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
			response, err := audited(ctx, sink, false, test.request, func(ctx context.Context, request any) (any, error) {
				CallFrom(ctx).AccountSID = test.account
				return answering(test.response, test.err)(ctx, request)
			})
			if response != test.response || !errors.Is(err, test.err) {
				t.Errorf("the call: got %v, %v", response, err)
			}
			want := test.want
			want.Caller, want.KnownBy, want.Peer, want.Protocol = "ui", "token", "192.0.2.1", "grpc"
			want.Method, want.TwilioRequestID = method, "RQ1"
			want.TraceID = "4bf92f3577b34da6a3ce929d0e0e4736"
			got := records(t, file.String())
			if diff := cmp.Diff([]Record{want}, got, cmpopts.IgnoreFields(Record{}, "Time"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			for _, secret := range []string{"secret", "Ada"} {
				if strings.Contains(file.String(), secret) {
					t.Errorf("the audit holds %q: %s", secret, file.String())
				}
			}
		})
	}
}

func TestAuditFailsClosed(t *testing.T) {
	sink, file := flakySink(t)
	file.broken, file.partial = true, 10
	calls := 0
	handler := func(context.Context, any) (any, error) {
		calls++
		return &conferencev1.UpdateParticipantResponse{}, nil
	}
	for i, applied := range []string{"yes", "no", "no"} { // The first was made before the failure showed.
		_, err := audited(t.Context(), sink, false, nil, handler)
		info := outcome.Info(status.Convert(err))
		if info.GetReason() != "AUDIT_FAILED" || info.GetMetadata()["applied"] != applied {
			t.Errorf("call %d: got %v", i, err)
		}
	}
	if calls != 1 {
		t.Errorf("calls let through: got %d, want 1", calls)
	}
	file.broken = false
	if _, err := audited(t.Context(), sink, false, nil, handler); err != nil {
		t.Errorf("a call after the file works again: %v", err)
	}
	if got := records(t, file.String()); len(got) != 2 {
		t.Errorf("records: got %d, want those of the two calls made", len(got))
	}
}

func TestAuditFailsOpen(t *testing.T) {
	sink, file := flakySink(t)
	file.broken = true
	for range 3 {
		if _, err := audited(t.Context(), sink, true, nil, answering(nil, nil)); err != nil {
			t.Errorf("the call: got %v", err)
		}
	}
	file.broken = false
	if _, err := audited(t.Context(), sink, true, nil, answering(nil, nil)); err != nil {
		t.Error(err)
	}
	if got := records(t, file.String()); len(got) != 4 {
		t.Errorf("records: got %d, want 4: those that could not be written come later", len(got))
	}
}

func TestAuditKeepsABoundedBacklog(t *testing.T) {
	sink, file := flakySink(t)
	file.broken = true
	for range 2 * maxPending / 100 {
		_, _ = audited(t.Context(), sink, true, nil, answering(nil, nil))
	}
	if len(sink.pending) > maxPending {
		t.Errorf("pending: %d bytes", len(sink.pending))
	}
}

func TestAuditPassesOverOtherServices(t *testing.T) {
	sink, file := flakySink(t)
	file.broken = true
	sink.pending = []byte("x")
	info := &grpc.UnaryServerInfo{FullMethod: "/grpc.health.v1.Health/Check"}
	intercept := Audit(sink, false, slog.New(slog.DiscardHandler), Where{})
	if _, err := intercept(t.Context(), nil, info, answering(nil, nil)); err != nil {
		t.Errorf("a health check: %v", err)
	}
}

func TestAuditFileIsAppendedToAndReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write := func(sink *AuditSink) {
		t.Helper()
		if _, err := audited(t.Context(), sink, false, nil, answering(nil, nil)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		sink, err := OpenAudit(path)
		if err != nil {
			t.Fatal(err)
		}
		write(sink)
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sink, err := OpenAudit(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := sink.Reopen(); err != nil {
		t.Fatal(err)
	}
	write(sink)
	for name, want := range map[string]int{path: 1, path + ".1": 2} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(records(t, string(text))); got != want {
			t.Errorf("%s: got %d records, want %d", filepath.Base(name), got, want)
		}
	}
	if mode := stat(t, path).Mode().Perm(); mode != 0o600 {
		t.Errorf("mode: got %v", mode)
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestAuditFileThatCannotBeOpened(t *testing.T) {
	if _, err := OpenAudit(filepath.Join(t.TempDir(), "none", "audit.log")); err == nil {
		t.Error("no error")
	}
}
