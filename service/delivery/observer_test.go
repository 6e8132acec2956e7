package delivery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// recorder records the events of an observer.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

type attemptKey struct{}

func (n *recorder) note(format string, values ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, values...))
}

func (n *recorder) observer() Observer {
	return Observer{
		Waited: func(_ context.Context, queue Queue, wait time.Duration) {
			if wait > 0 {
				n.note("waited %v for %s", wait, queue)
			}
		},
		Attempting: func(ctx context.Context, _ twilio.Operation, number int) context.Context {
			return context.WithValue(ctx, attemptKey{}, number)
		},
		Attempted: func(ctx context.Context, a Attempt) {
			n.note("attempt %v took %v: %s connected=%v reused=%v %d/%d %s", ctx.Value(attemptKey{}),
				a.Took, a.Result, a.Connected, a.Reused, a.HTTPStatus, a.TwilioCode, a.TwilioRequestID)
		},
		Refused: func(_ context.Context, kind outcome.Kind) {
			n.note("refused: %s", strings.ToLower(strings.ReplaceAll(kind.Reason, "_", " ")))
		},
		Panicked: func() { n.note("panicked") },
	}
}

func (n *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.lines, want) {
		t.Errorf("observed:\n\t%s\nwant:\n\t%s", strings.Join(n.lines, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// observed is with, with an observer.
func observed(t *testing.T, cfg Config, test func(*world, *recorder)) {
	t.Helper()
	with(t, cfg, func(w *world) {
		n := new(recorder)
		w.Observe(n.observer())
		test(w, n)
	})
}

func TestObserverGetsTheResultsOfAttempts(t *testing.T) {
	tests := []struct {
		name string
		end  step
		want string
	}{
		{"ok", step{answer: &twilio.Answer{HTTPStatus: 200, RequestID: "RQ1", Reused: true}},
			"ok connected=true reused=true 200/0 RQ1"},
		{"a 404", step{err: &twilio.Error{HTTPStatus: 404, Code: 20404, RequestID: "RQ1"}},
			"rejected connected=true reused=false 404/20404 RQ1"},
		{"a 429", step{err: &twilio.Error{HTTPStatus: 429, Reused: true}}, "rate_limited connected=true reused=true 429/0 "},
		{"a 503", step{err: status(503)}, "failed connected=true reused=false 503/0 "},
		{"a redirect", step{err: unreadable(307)}, "unexpected connected=true reused=false 307/0 "},
		{"not sent", step{err: errNotSent}, "not_sent connected=false reused=false 0/0 "},
		{"lost", step{err: errNoAnswer}, "lost connected=true reused=false 0/0 "},
		{"no request", step{err: errNoRequest}, "defective connected=false reused=false 0/0 "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			observed(t, ordered(), func(w *world, n *recorder) {
				test.end.after = time.Second
				w.twilio.respond = script(test.end)
				w.finish(on("CA1", mute))
				n.want(t, "attempt 1 took 1s: "+test.want)
			})
		})
	}
}

func TestObserverGetsWaitsAndSupersededUpdates(t *testing.T) {
	observed(t, ordered(), func(w *world, n *recorder) {
		w.start(on("CA1", hold))
		older := w.start(on("CA1", mute))
		w.pass(time.Second)
		newer := w.start(on("CA1", unmute))
		w.pass(time.Second)
		w.answer(1, nil)
		w.answer(2, nil)
		w.wantEnd(older, "superseded, no")
		w.wantEnd(newer, "ok")
		n.want(t,
			"attempt 1 took 2s: ok connected=true reused=false 200/0 RQ1",
			"waited 2s for participant", // The older one, as its queue's leader.
			"waited 1s for participant",
			"attempt 1 took 0s: ok connected=true reused=false 200/0 RQ2",
			"refused: superseded")
	})
}

func TestObserverGetsPanics(t *testing.T) {
	observed(t, ordered(), func(w *world, n *recorder) {
		w.twilio.respond = func(*call) step { panic("oh") }
		w.wantEnd(w.finish(on("CA1", mute)), "panicked, maybe")
		n.want(t, "attempt 1 took 0s: defective connected=false reused=false 0/0 ", "panicked")
	})
}
