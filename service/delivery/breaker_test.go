package delivery

import (
	"testing"
	"time"

	"conferenced/service/outcome"
)

// breaking returns a configuration whose breaker opens for ten seconds after three
// consecutive failures.
func breaking() Config {
	cfg := plain()
	cfg.Breaking = Breaking{Failures: 3, OpenFor: 10 * time.Second, Probes: 1}
	return cfg
}

// wantBreaker checks the breaker of the first upstream.
func (w *world) wantBreaker(want string) {
	w.t.Helper()
	if got := w.Upstreams()[0].Breaker; got != want {
		w.t.Errorf("the breaker is %s, want %s", got, want)
	}
}

// fail opens the breaker.
func (w *world) fail() {
	w.t.Helper()
	w.twilio.respond = func(*call) step { return step{err: status(503)} }
	for range w.cfg.Breaking.Failures {
		w.finish(on("CA1", mute))
	}
	w.wantBreaker("open")
	w.twilio.respond = nil
}

func TestBreakerOpensAfterConsecutiveFailures(t *testing.T) {
	tests := []struct {
		name string
		ends []error
		want string
	}{
		{"successes", []error{nil, nil, nil, nil}, "closed"},
		{"5xx", []error{status(500), status(503), status(599)}, "open"},
		{"lost answers", []error{errNoAnswer, errNoAnswer, errNoAnswer}, "open"},
		{"failed connections", []error{errNotSent, errNotSent, errNotSent}, "open"},
		{"different failures", []error{errNotSent, status(503), errNoAnswer}, "open"},
		{"fewer failures than the threshold", []error{errNoAnswer, errNoAnswer}, "closed"},
		{"failures with a success in between", []error{errNoAnswer, errNoAnswer, nil, errNoAnswer, errNoAnswer}, "closed"},
		{"failures with a 404 in between", []error{errNoAnswer, errNoAnswer, status(404), errNoAnswer, errNoAnswer}, "closed"},
		{"4xx", []error{status(400), status(401), status(404), status(409)}, "closed"},
		{"429", []error{status(429), status(429), status(429), status(429)}, "closed"},
		{"unreadable answers", []error{unreadable(200), unreadable(302), unreadable(200)}, "closed"},
		{"requests that cannot be built", []error{errNoRequest, errNoRequest, errNoRequest}, "closed"},
		{"failures with an inconclusive attempt in between", []error{errNoAnswer, errNoAnswer, errNoRequest, errNoAnswer}, "open"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, breaking(), func(w *world) {
				w.twilio.respond = failing(test.ends...)
				for range test.ends {
					w.finish(on("CA1", mute))
				}
				w.wantSends(len(test.ends))
				w.wantBreaker(test.want)
			})
		})
	}
}

func TestOpenBreakerRefuses(t *testing.T) {
	with(t, breaking(), func(w *world) {
		w.fail()
		w.pass(4 * time.Second)
		p := w.finish(on("CA2", mute))
		w.wantEnd(p, "circuit open, no")
		if got := outcome.From(p.err).RetryAfter; got != 6*time.Second {
			w.t.Errorf("retry after %v, want 6s", got)
		}
		if got := w.Stats().Refused; got != 1 {
			w.t.Errorf("%d refused, want 1", got)
		}
		w.wantSends(3)
	})
}

func TestEachAccountAndHostHasItsOwnBreaker(t *testing.T) {
	with(t, breaking(), func(w *world) {
		w.fail()
		w.twilio.respond = failing()
		w.wantEnd(w.finish(at("AC2", on("CA1", mute))), "ok")
		elsewhere := on("CA1", mute)
		elsewhere.Account.BaseURL = "https://another.test"
		w.wantEnd(w.finish(elsewhere), "ok")
		w.wantEnd(w.finish(on("CA1", mute)), "circuit open, no")
		want := []UpstreamState{
			{AccountSID: "AC1", Host: "https://another.test", Breaker: "closed"},
			{AccountSID: "AC1", Host: "https://twilio.test", Breaker: "open"},
			{AccountSID: "AC2", Host: "https://twilio.test", Breaker: "closed"},
		}
		for i, state := range w.Upstreams() {
			if state != want[i] {
				w.t.Errorf("%+v, want %+v", state, want[i])
			}
		}
	})
}

func TestProbeClosesOrReopensTheBreaker(t *testing.T) {
	tests := []struct {
		name string
		end  error
		want string
	}{
		{"a success", nil, "closed"},
		{"a 404", status(404), "closed"},
		{"a 503", status(503), "open"},
		{"no connection", errNotSent, "open"},
		{"a lost answer", errNoAnswer, "open"},
		{"a request that cannot be built", errNoRequest, "half-open"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, breaking(), func(w *world) {
				w.fail()
				w.pass(10*time.Second + 1)
				w.wantBreaker("half-open")
				w.start(on("CA1", mute))
				w.wantSends(4)
				other := w.start(on("CA2", mute)) // One probe at a time.
				w.wantEnd(other, "circuit open, no")
				if got := outcome.From(other.err).RetryAfter; got != 0 {
					w.t.Errorf("retry after %v, want 0", got)
				}
				w.answer(4, test.end)
				w.wantBreaker(test.want)
				if test.want == "open" {
					w.wantEnd(w.finish(on("CA1", mute)), "circuit open, no")
					return
				}
				w.start(on("CA1", mute)) // The next one is sent.
				w.answer(5, nil)
				w.wantBreaker("closed")
			})
		})
	}
}

func TestProbesMustAllSucceed(t *testing.T) {
	cfg := breaking()
	cfg.Breaking.Probes = 2
	with(t, cfg, func(w *world) {
		w.fail()
		w.pass(10*time.Second + 1)
		w.start(on("CA1", mute))
		w.start(on("CA2", mute))
		w.wantEnd(w.start(on("CA3", mute)), "circuit open, no")
		w.answer(4, nil)
		w.wantBreaker("half-open")
		w.answer(5, nil)
		w.wantBreaker("closed")
	})
}

func TestProbeWhoseCallerLeavesIsInconclusive(t *testing.T) {
	t.Run("a cancelled attempt", func(t *testing.T) {
		with(t, breaking(), func(w *world) {
			w.fail()
			w.pass(10*time.Second + 1)
			ctx, cancel := w.cancellable()
			w.deliver(ctx, on("CA1", mute))
			cancel()
			w.wantBreaker("half-open")
			w.start(on("CA1", mute))
			w.answer(5, nil)
			w.wantBreaker("closed")
		})
	})
	t.Run("no answer within the grace period", func(t *testing.T) {
		cfg := breaking()
		cfg.Grace = time.Second
		with(t, cfg, func(w *world) {
			w.fail()
			w.pass(10*time.Second + 1)
			ctx, cancel := w.cancellable()
			w.deliver(ctx, on("CA1", mute))
			cancel()
			w.pass(time.Second)
			w.wantBreaker("half-open")
			w.start(on("CA2", mute))
			w.answer(5, nil)
			w.wantBreaker("closed")
		})
	})
}

// TestShortDeadlinesDoNotOpenTheBreaker has attempts that end with their callers,
// before a slow Twilio answers or a connection is made.
func TestShortDeadlinesDoNotOpenTheBreaker(t *testing.T) {
	for name, unreachable := range map[string]bool{"in flight": false, "connecting": true} {
		t.Run(name, func(t *testing.T) {
			cfg := breaking()
			cfg.Grace = time.Second
			with(t, cfg, func(w *world) {
				w.twilio.unreachable = unreachable
				w.twilio.respond = func(*call) step { return step{after: 1200 * time.Millisecond} }
				for range 10 {
					<-w.deliver(w.within(60*time.Millisecond), on("CA1", mute)).done
					w.pass(time.Second)
				}
				w.wantBreaker("closed")
			})
		})
	}
}

func TestRetriesEndWhenTheBreakerOpens(t *testing.T) {
	cfg := breaking()
	cfg.Retrying.Attempts = 10
	with(t, cfg, func(w *world) {
		w.twilio.respond = func(*call) step { return step{err: status(503)} }
		w.wantEnd(w.finish(on("CA1", mute)), "503, maybe")
		w.wantSends(3)
		if got := w.Stats().Refused; got != 0 {
			w.t.Errorf("%d refused, want none: it was sent", got)
		}
	})
}

// TestOpenBreakerRefusesWaiters has updates that wait for the limit when the breaker
// opens. Each is refused and passes its slot on.
func TestOpenBreakerRefusesWaiters(t *testing.T) {
	cfg := breaking()
	cfg.Limits = Limits{MaxConcurrency: 3, MinConcurrency: 1, Queue: 10}
	with(t, cfg, func(w *world) {
		for range 3 {
			w.start(on("CA1", mute))
		}
		w.twilio.respond = func(*call) step { return step{after: time.Second, err: errNoAnswer} }
		waiting := []*pending{}
		for range 5 {
			waiting = append(waiting, w.start(on("CA1", mute)))
		}
		for n := range 3 {
			w.answer(n+1, errNoAnswer)
		}
		w.pass(time.Minute)
		for _, p := range waiting[2:] {
			w.wantEnd(p, "circuit open, no")
		}
	})
}
