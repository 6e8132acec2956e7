package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
	"conferenced/service/sandbox"
)

func TestDeadlineOfACall(t *testing.T) {
	const byDefault = 10 * time.Second
	tests := []struct {
		name    string
		callers time.Duration // 0: none
		want    time.Duration
	}{
		{"none: the default", 0, 10*time.Second - 50*time.Millisecond},
		{"a long one: the maximum margin", time.Minute, time.Minute - 50*time.Millisecond},
		{"one beyond the maximum", 10 * time.Minute, 2*time.Minute - 50*time.Millisecond},
		{"one where both margins are the same", 500 * time.Millisecond, 450 * time.Millisecond},
		{"a short one: a tenth", 100 * time.Millisecond, 90 * time.Millisecond},
		{"the shortest", time.Nanosecond, time.Nanosecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, c := call.New(t.Context(), call.GRPC)
				start := time.Now()
				if test.callers > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.callers)
					defer cancel()
				}
				var ended <-chan struct{}
				intercept := limitDeadline(byDefault, 2*time.Minute)
				response, err := intercept(ctx, "request", nil, func(ctx context.Context, request any) (any, error) {
					at, ok := ctx.Deadline()
					if !ok || time.Until(at) != test.want {
						t.Errorf("the handler has %v (%v), want %v", time.Until(at), ok, test.want)
					}
					if left := c.Deadline.Sub(start); left < test.want || left > test.want+maxMargin {
						t.Errorf("the record has %v, want %v and a margin", left, test.want)
					}
					ended = ctx.Done()
					return request, io.EOF
				})
				if response != "request" || !errors.Is(err, io.EOF) {
					t.Errorf("the handler's answer became %v, %v", response, err)
				}
				select {
				case <-ended:
				default:
					t.Error("the handler's context outlives the call")
				}
			})
		})
	}
}

func TestACallWithoutTimeLeft(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := chain(steps(t, Config{}))(ctx, muting(sandbox.AgentSID), new(grpc.UnaryServerInfo), func(context.Context, any) (any, error) {
		t.Error("the handler was called")
		return nil, nil
	})
	want := refusal{kind: outcome.Deadline}
	want.check(t, reply{status: status.Convert(err).Proto()})
}

// hangs makes the sandbox hang at every request, which it reports to the channel.
func hangs(arrived chan<- struct{}) func(*setup) {
	return func(s *setup) {
		s.box.Fault = func(*http.Request) sandbox.Fault {
			arrived <- struct{}{}
			return sandbox.Fault{Kind: sandbox.Hang}
		}
	}
}

// checkPassed wants a deadline to have passed while Twilio hung. On a busy machine it may
// pass before the attempt begins.
func checkPassed(t *testing.T, got reply) {
	t.Helper()
	want := refusal{kind: outcome.Deadline, applied: "maybe"}
	if appliedOf(got) == "no" {
		want.applied = "no"
	}
	want.check(t, got)
}

func appliedOf(got reply) string {
	return outcometest.Info(status.FromProto(got.status)).GetMetadata()[outcome.KeyApplied]
}

// tryLonger calls try with timeouts that double, until it reports that the timeout was
// long enough for a busy machine.
func tryLonger(try func(timeout time.Duration) (longEnough bool)) {
	for timeout := 250 * time.Millisecond; !try(timeout) && timeout < patience; {
		timeout *= 2
	}
}

func TestDefaultDeadlineOverBothProtocols(t *testing.T) {
	r := start(t, func(s *setup) { s.DefaultTimeout = 500 * time.Millisecond })
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			checkPassed(t, way.call(t, t.Context(), r, muting("fault:hang")))
		})
	}
}

func TestGrpcTimeoutOverREST(t *testing.T) {
	r := start(t)
	path := "/v1/conferences/" + sandbox.ConferenceSID + "/participants/fault:hang"
	checkPassed(t, sendREST(t, t.Context(), r, http.MethodPatch, path, `{"muted": true}`, "Grpc-Timeout", "500m"))
}

// gRPC ends a call at the client's deadline, on both sides, without details. A busy
// machine can use up the server's margin before it, so there are several tries.
func TestDetailsOutrunTheClientsDeadline(t *testing.T) {
	r := start(t)
	var got reply
	for until := time.Now().Add(patience); len(got.status.GetDetails()) == 0 && time.Now().Before(until); {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		got = callGRPC(t, ctx, r, muting("fault:hang"))
		cancel()
	}
	checkPassed(t, got)
}

func TestAClientThatDisconnects(t *testing.T) {
	leave := map[string]func(*testing.T, context.Context, *running){
		"grpc": func(t *testing.T, ctx context.Context, r *running) {
			_, err := r.service().UpdateParticipant(ctx, muting(sandbox.AgentSID))
			if got := status.Code(err); got != codes.Canceled {
				t.Errorf("code %v", got)
			}
		},
		"rest": func(t *testing.T, ctx context.Context, r *running) {
			path, body := restOf(t, muting(sandbox.AgentSID))
			outgoing, err := http.NewRequestWithContext(ctx, http.MethodPatch, r.restURL(path), strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if incoming, err := r.rest.Do(outgoing); err == nil {
				incoming.Body.Close()
				t.Errorf("an answer: %d", incoming.StatusCode)
			}
		},
	}
	for protocol, call := range leave {
		t.Run(protocol, func(t *testing.T) {
			arrived := make(chan struct{}, 10)
			r := start(t, hangs(arrived))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var gone atomic.Bool
			go func() {
				<-arrived
				gone.Store(true)
				cancel()
			}()
			call(t, ctx, r)
			if !gone.Load() {
				t.Error("the call ended before it was cancelled")
			}
			r.log.awaitLine(t, "call")
			checkCallLines(t, r.log, []line{{
				"level": "INFO", "method": updateMethod, "protocol": protocol, "code": "Canceled",
				"account_sid": sandbox.AccountSID, "conference_sid": sandbox.ConferenceSID, "call_sid": sandbox.AgentSID,
				"reason": "CANCELLED", "applied": "maybe", "cause": "context canceled", "set": "muted=true", "attempts": 1.0,
			}})
		})
	}
}

// TestLongDeadlineIsAnswered: a deadline far beyond the maximum ends with DEADLINE and
// not with the connection.
func TestLongDeadlineIsAnswered(t *testing.T) {
	r := start(t, func(s *setup) { s.DefaultTimeout, s.MaxTimeout = 20*time.Millisecond, 30*time.Millisecond })
	path := "/v1/conferences/" + sandbox.ConferenceSID + "/participants/fault:hang"
	checkPassed(t, sendREST(t, t.Context(), r, http.MethodPatch, path, `{"muted": true}`, "Grpc-Timeout", "10M"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	checkPassed(t, bothWays[0].call(t, ctx, r, muting("fault:hang")))
}
