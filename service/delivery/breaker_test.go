package delivery

import (
	"testing"
	"time"

	"conferenced/service/outcome"
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
		if got := outcome.From(p.err).RetryAfter; got != 6*time.Second {
			w.t.Errorf("repeat after %v, want 6s", got)
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
				if got := outcome.From(other.err).RetryAfter; got != 0 {
					w.t.Errorf("repeat after %v, want no time", got)
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
			w.wantBreaker("half-open")
			w.start(on("CA2", mute))
			w.answer(5, nil)
			w.wantBreaker("closed")
		})
	})
}

// TestShortDeadlinesSayNothingAboutTwilio: attempts end with their callers, before a
// slow Twilio has answered or a connection is made.
func TestShortDeadlinesSayNothingAboutTwilio(t *testing.T) {
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
