package delivery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"conferenced/service/twilio"
)

// breaking opens after three failures in a row, for ten seconds.
func breaking() Config {
	cfg := plain()
	cfg.Breaking = Breaking{Failures: 3, OpenFor: 10 * time.Second, Probes: 1}
	return cfg
}

// wantBreaker checks the state of the first lane.
func (w *world) wantBreaker(want string) {
	w.t.Helper()
	if got := w.Lanes()[0].Breaker; got != want {
		w.t.Errorf("the breaker is %s, want %s", got, want)
	}
}

// fail makes the breaker open.
func (w *world) fail() {
	w.t.Helper()
	w.twilio.respond = func(*call) step { return step{err: status(503)} }
	for range w.cfg.Breaking.Failures {
		w.finish(on("CA1", mute))
	}
	w.wantBreaker("open")
	w.twilio.respond = nil
}

func TestWhatOpensTheBreaker(t *testing.T) {
	tests := []struct {
		name string
		ends []error
		want string
	}{
		{"all is well", []error{nil, nil, nil, nil}, "closed"},
		{"5xx", []error{status(500), status(503), status(599)}, "open"},
		{"lost", []error{errNoAnswer, errNoAnswer, errNoAnswer}, "open"},
		{"not sent", []error{errNotSent, errNotSent, errNotSent}, "open"},
		{"any of them", []error{errNotSent, status(503), errNoAnswer}, "open"},
		{"not enough of them", []error{errNoAnswer, errNoAnswer}, "closed"},
		{"not in a row", []error{errNoAnswer, errNoAnswer, nil, errNoAnswer, errNoAnswer}, "closed"},
		{"an answer to the caller is in between", []error{errNoAnswer, errNoAnswer, status(404), errNoAnswer, errNoAnswer}, "closed"},
		{"the caller's errors", []error{status(400), status(401), status(404), status(409)}, "closed"},
		{"429", []error{status(429), status(429), status(429), status(429)}, "closed"},
		{"what cannot be read", []error{unreadable(200), unreadable(302), unreadable(200)}, "closed"},
		{"no request", []error{errNoRequest, errNoRequest, errNoRequest}, "closed"},
		{"no request in between says nothing", []error{errNoAnswer, errNoAnswer, errNoRequest, errNoAnswer}, "open"},
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
		var refused *RefusedError
		if !errors.As(p.err, &refused) || refused.RetryAfter != 6*time.Second {
			w.t.Errorf("%+v, want to try again after 6s", refused)
		}
		if got := w.Stats().Refused; got != 1 {
			w.t.Errorf("%d refused, want 1", got)
		}
		w.wantSends(3)
	})
}

func TestBreakersAreOfAnAccountAndAHost(t *testing.T) {
	with(t, breaking(), func(w *world) {
		w.fail()
		w.twilio.respond = failing()
		w.wantEnd(w.finish(at("AC2", on("CA1", mute))), "ok")
		elsewhere := on("CA1", mute)
		elsewhere.Account.BaseURL = "https://another.test"
		w.wantEnd(w.finish(elsewhere), "ok")
		w.wantEnd(w.finish(on("CA1", mute)), "circuit open, no")
		want := []Lane{
			{AccountSID: "AC1", Host: "https://another.test", Breaker: "closed"},
			{AccountSID: "AC1", Host: "https://twilio.test", Breaker: "open"},
			{AccountSID: "AC2", Host: "https://twilio.test", Breaker: "closed"},
		}
		for i, lane := range w.Lanes() {
			if lane != want[i] {
				w.t.Errorf("%+v, want %+v", lane, want[i])
			}
		}
	})
}

func TestProbeDecides(t *testing.T) {
	tests := []struct {
		name string
		end  error
		want string
	}{
		{"it works", nil, "closed"},
		{"it is answered", status(404), "closed"},
		{"it fails", status(503), "open"},
		{"it cannot be sent", errNotSent, "open"},
		{"it is lost", errNoAnswer, "open"},
		{"it was no request", errNoRequest, "half-open"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, breaking(), func(w *world) {
				w.fail()
				w.pass(10*time.Second + 1)
				w.wantBreaker("half-open")
				w.start(on("CA1", mute))
				w.wantSends(4)
				other := w.start(on("CA2", mute)) // One at a time.
				w.wantEnd(other, "circuit open, no")
				var refused *RefusedError
				if !errors.As(other.err, &refused) || refused.RetryAfter != 0 {
					w.t.Errorf("%+v, want not to know when to try again", refused)
				}
				w.answer(4, test.end)
				w.wantBreaker(test.want)
				if test.want == "open" {
					w.wantEnd(w.finish(on("CA1", mute)), "circuit open, no")
					return
				}
				w.start(on("CA1", mute)) // The next one goes.
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

func TestProbeWhoseCallerLeavesLetsTheNextOneProbe(t *testing.T) {
	t.Run("it is cut off", func(t *testing.T) {
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
	t.Run("it is not answered within the grace", func(t *testing.T) {
		cfg := breaking()
		cfg.Grace = time.Second
		with(t, cfg, func(w *world) {
			w.fail()
			w.pass(10*time.Second + 1)
			ctx, cancel := w.cancellable()
			w.deliver(ctx, on("CA1", mute))
			cancel()
			w.pass(time.Second)
			w.wantBreaker("open") // That says something of Twilio.
		})
	})
}

func TestProbeThatPanicsLetsTheNextOneProbe(t *testing.T) {
	with(t, breaking(), func(w *world) {
		w.fail()
		w.pass(10*time.Second + 1)
		w.twilio.respond = func(*call) step { panic("in the sender") }
		w.wantEnd(w.finish(on("CA1", mute)), "panicked, maybe")
		w.wantBreaker("half-open")
		w.twilio.respond = failing()
		w.wantEnd(w.finish(on("CA1", mute)), "ok")
	})
}

func TestAttemptsThatAreCutOffDoNotOpenTheBreaker(t *testing.T) {
	with(t, breaking(), func(w *world) {
		for range 10 {
			ctx, cancel := w.cancellable()
			w.deliver(ctx, on("CA1", mute))
			cancel()
		}
		w.wantBreaker("closed")
	})
}

// TestNoConnectionForTheGrace: that connecting takes so long says something of
// Twilio, whenever the caller left. A caller who leaves sooner says nothing.
func TestNoConnectionForTheGrace(t *testing.T) {
	for patience, want := range map[time.Duration]string{time.Second: "open", time.Second - 1: "closed"} {
		t.Run(want, func(t *testing.T) {
			cfg := breaking()
			cfg.Grace = time.Second
			with(t, cfg, func(w *world) {
				var results []Result
				w.Observe(Observer{Attempted: func(_ context.Context, a Attempt) { results = append(results, a.Result) }})
				w.twilio.unreachable = true
				for range cfg.Breaking.Failures {
					p := w.deliver(w.within(patience), on("CA1", mute))
					<-p.done
					w.wantEnd(p, "deadline, no")
				}
				w.wantBreaker(want)
				if seen := map[string]Result{"open": NotSent, "closed": CutOff}[want]; results[0] != seen {
					w.t.Errorf("the attempt was %s, want %s", results[0], seen)
				}
			})
		})
	}
}

// The place of a probe that was not sent, or ended without a word of Twilio, goes
// to the next.
func TestProbeThatSaysNothingLetsTheNextOneProbe(t *testing.T) {
	synctest.Test(t, testProbeThatSaysNothing)
}

func testProbeThatSaysNothing(t *testing.T) {
	b := newBreaker(Breaking{Failures: 1, OpenFor: time.Second, Probes: 1}, &twilio.Account{}, quiet)
	report, err := b.allow()
	if err != nil {
		t.Fatal(err)
	}
	report(errNoAnswer)
	<-time.After(time.Second + 1)
	for _, end := range []error{errSuperseded, context.Canceled, context.DeadlineExceeded, errPanicked, errNoRequest} {
		report, err := b.allow()
		if err != nil {
			t.Fatalf("before %v: %v", end, err)
		}
		report(end)
		if got := b.state(); got != "half-open" {
			t.Errorf("after %v the breaker is %s", end, got)
		}
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

// Whoever waits for the limit while the breaker opens is refused in turn, and
// gives the slot on.
func TestBreakerOpensOverThoseWhoWait(t *testing.T) {
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

func TestBreakerIsOff(t *testing.T) {
	with(t, plain(), func(w *world) {
		w.twilio.respond = func(*call) step { return step{err: errNoAnswer} }
		for range 100 {
			w.wantEnd(w.finish(on("CA1", mute)), "lost, maybe")
		}
		w.wantBreaker("off")
	})
}
