package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/gateway"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
	"conferenced/service/telemetry"
)

func steps(t *testing.T, cfg Config) []interceptor {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = discarded
	}
	cfg.DefaultTimeout, cfg.MaxTimeout = patience, patience
	cfg.Settings = settingsOf(t, "")
	steps, _, err := interceptors(cfg, telemetry.NewMetrics("", ""), new(Server).refuseLate)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// TestOrderByEffect makes calls that two interceptors refuse. The outcome shows which of
// them came first.
func TestOrderByEffect(t *testing.T) {
	log := new(logged)
	logger, err := telemetry.NewLogger(log, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	way := chain(steps(t, Config{Logger: logger}))
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	invalid := &request{Muted: yes}
	valid := muting(sandbox.AgentSID)
	tests := []struct {
		name    string
		ctx     context.Context
		request *request
		handler grpc.UnaryHandler
		want    line
	}{
		{"the log sees a validation's refusal", t.Context(), invalid, nil, line{"code": "InvalidArgument", "reason": "INVALID_REQUEST"}},
		{"the deadline is checked before the request", late, invalid, nil, line{"code": "DeadlineExceeded", "reason": "DEADLINE"}},
		{"the log sees a panic as a status", t.Context(), valid, panics("oh"), line{"code": "Internal", "reason": "INTERNAL"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(log.lines(t, "call"))
			_, err := way(test.ctx, test.request, &grpc.UnaryServerInfo{FullMethod: updateMethod}, test.handler)
			if status.Code(err) == codes.OK {
				t.Error("no error")
			}
			lines := log.lines(t, "call")[before:]
			if len(lines) != 1 {
				t.Fatalf("%d lines", len(lines))
			}
			got := line{"code": lines[0]["code"], "reason": lines[0]["reason"]}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func panics(value any) grpc.UnaryHandler {
	return func(context.Context, any) (any, error) { panic(value) }
}

// panicking is a ConferenceService that panics.
type panicking struct {
	conferencev1.UnimplementedConferenceServiceServer
	value any
}

func (p panicking) UpdateParticipant(context.Context, *request) (*conferencev1.UpdateParticipantResponse, error) {
	panic(p.value)
}

// servePanics serves a panicking service over both protocols, behind the interceptors.
func servePanics(t *testing.T, value any) *running {
	t.Helper()
	r := &running{Server: new(Server), log: new(logged), rest: newHTTPClient(t)}
	logger, err := telemetry.NewLogger(r.log, "debug", "json")
	if err != nil {
		t.Fatal(err)
	}
	r.metrics = telemetry.NewMetrics("", "")
	r.arrivals = newArrivals(r.metrics)
	interceptors := steps(t, Config{Logger: logger})
	desc := conferencev1.ConferenceService_ServiceDesc

	server := r.newGRPC(interceptors, nil)
	server.RegisterService(r.arrivals.withReceiving(desc), panicking{value: value})
	listener := listen(t, "127.0.0.1:0")
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	r.conn = dial(t, listener.Addr().String())

	handler, err := gateway.New(panicking{value: value}, chain(interceptors), gateway.Config{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	rest := httptest.NewServer(handler)
	t.Cleanup(rest.Close)
	r.HTTP = rest.Listener.Addr()
	return r
}

var panicked = refusal{kind: outcome.Internal, applied: "maybe"}

func TestPanicOfTheService(t *testing.T) {
	tests := []struct {
		name   string
		value  any
		logged string
	}{
		{"a text is not logged", "secret-4711", "string"},
		{"an error is not logged", errors.New("secret-4711"), "*errors.errorString"},
		{"an error of the runtime is logged", runtimeError(), "runtime error: index out of range [1] with length 0"},
	}
	for _, test := range tests {
		for _, way := range bothWays {
			t.Run(way.name+"/"+test.name, func(t *testing.T) {
				r := servePanics(t, test.value)
				panicked.check(t, way.call(t, t.Context(), r, muting(sandbox.AgentSID)))
				checkPanicLine(t, r.log, test.logged)
				checkCallLines(t, r.log, []line{{
					"level": "ERROR", "method": updateMethod, "protocol": way.name, "code": "Internal", "set": "muted=true",
					"conference_sid": sandbox.ConferenceSID, "call_sid": sandbox.AgentSID,
					"reason": "INTERNAL", "applied": "maybe",
				}})
				if strings.Contains(r.log.String(), "secret-4711") {
					t.Errorf("the log has the panic's value:\n%s", r.log)
				}
			})
		}
	}
}

func runtimeError() (value any) {
	defer func() { value = recover() }()
	empty := make([]int, 0)
	return empty[len(empty)+1]
}

// checkPanicLine checks the only line about a panic, which has the place of the panic.
func checkPanicLine(t *testing.T, log *logged, value string) {
	t.Helper()
	lines := log.lines(t, "panic")
	if len(lines) != 1 {
		t.Fatalf("%d lines about a panic:\n%s", len(lines), log)
	}
	if got := lines[0].text("value"); got != value {
		t.Errorf("the value is logged as %q, want %q", got, value)
	}
	if got := lines[0].text("stack"); !strings.Contains(got, "UpdateParticipant") {
		t.Errorf("the stack does not show the service:\n%s", got)
	}
}

// A server without accounts panics in the service, in the composition of New and not of
// a test.
func TestPanicInAServerOfNew(t *testing.T) {
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			r := start(t, func(s *setup) { s.Settings = liveSettings(t, nil) })
			panicked.check(t, way.call(t, t.Context(), r, muting(sandbox.AgentSID)))
			checkPanicLine(t, r.log, "runtime error: invalid memory address or nil pointer dereference")
			if got := r.log.lines(t, "call"); len(got) != 1 || got[0].text("code") != "Internal" {
				t.Errorf("lines about calls: %v", got)
			}
			wantValues(t, r, map[string]float64{
				`conferenced_panics_total`: 1,
				`conferenced_calls_total{code="Internal",method="` + updateMethod + `",protocol="` + way.name + `"}`: 1,
			})
		})
	}
}

// brokenLog panics when a call is logged.
type brokenLog struct{ slog.Handler }

func (h brokenLog) Handle(ctx context.Context, record slog.Record) error {
	if record.Message == "call" {
		panic("the log is broken")
	}
	return h.Handler.Handle(ctx, record)
}

func TestPanicOutsideTheService(t *testing.T) {
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			log := new(logged)
			r := start(t, func(s *setup) {
				s.Logger = slog.New(brokenLog{slog.NewJSONHandler(log, nil)})
			})
			for range 2 { // The process continues.
				panicked.check(t, way.call(t, t.Context(), r, to(sandbox.AgentSID, &request{})))
			}
			if got := len(log.lines(t, "panic")); got != 2 {
				t.Errorf("%d lines about a panic", got)
			}
		})
	}
}

func TestOrderOfTheInterceptors(t *testing.T) {
	want := []string{
		"last resort", "record", "deadline", "trace", "metrics", "access log", "audit", "admission", "validation", "recovery",
	}
	var got []string
	for _, step := range steps(t, Config{Tracing: new(telemetry.Tracing), Audit: new(telemetry.AuditSink)}) {
		got = append(got, step.name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
