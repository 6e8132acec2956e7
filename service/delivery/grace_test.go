package delivery

import (
	"context"
	"errors"
	"testing"
	"time"

	"conferenced/service/twilio"
)

// gracious remembers and retries, and lets attempts go on for two seconds.
func gracious() Config {
	cfg := remembering()
	cfg.Retrying.Attempts = 3
	cfg.Grace = 2 * time.Second
	return cfg
}

func TestCallerReturnsWhenItsContextEnds(t *testing.T) {
	with(t, gracious(), func(w *world) {
		p := w.deliver(w.within(time.Second), on("CA1", mute))
		<-p.done
		w.wantClock(time.Second)
		w.wantEnd(p, "deadline, maybe")
		w.wantSends(1)
		w.answer(1, nil)
	})
}

func TestAttemptOutlivesItsCaller(t *testing.T) {
	with(t, gracious(), func(w *world) {
		ctx, cancel := w.cancellable()
		first := w.deliver(ctx, on("CA1", mute))
		cancel()
		w.wantEnd(first, "cancelled, maybe")

		next := w.start(on("CA1", unmute))
		w.pass(time.Second)
		w.wantSent(muteCA1) // The next one waits for the end of the first.

		w.answer(1, nil)
		w.wantSent(muteCA1, unmuteCA1)
		w.answer(2, nil)
		w.wantEnd(next, "ok")
		if got := w.Stats().Abandoned; got != 1 {
			w.t.Errorf("%d updates were abandoned, want 1", got)
		}
	})
}

func TestAttemptIsCutOffAfterTheGrace(t *testing.T) {
	with(t, gracious(), func(w *world) {
		ctx, cancel := w.cancellable()
		w.deliver(ctx, on("CA1", mute))
		next := w.start(on("CA1", unmute))
		w.pass(time.Hour)
		cancel()
		w.pass(2*time.Second - 1)
		w.wantSends(1)
		w.pass(1)
		w.wantSent(muteCA1, unmuteCA1)
		w.answer(2, nil)
		w.wantEnd(next, "ok")
	})
}

func TestWithoutGraceAnAttemptEndsWithItsCaller(t *testing.T) {
	cfg := gracious()
	cfg.Grace = 0
	with(t, cfg, func(w *world) {
		ctx, cancel := w.cancellable()
		first := w.deliver(ctx, on("CA1", mute))
		next := w.start(on("CA1", unmute))
		cancel()
		w.wantEnd(first, "cancelled, maybe")
		w.wantSent(muteCA1, unmuteCA1)
		w.answer(2, nil)
		w.wantEnd(next, "ok")
	})
}

// Whoever comes first of the caller and the attempt that is cut off with it, the
// deadline is called a deadline.
func TestWithoutGraceADeadlineIsADeadline(t *testing.T) {
	cfg := gracious()
	cfg.Grace = 0
	with(t, cfg, func(w *world) {
		for range 50 {
			w.wantEnd(w.deliver(w.within(0), on("CA1", mute)), "deadline, no")
			p := w.deliver(w.within(time.Second), on("CA1", mute))
			w.pass(time.Second)
			w.wantEnd(p, "deadline, maybe")
		}
	})
}

// TestNothingMoreIsSentOnceTheCallerIsGone has every attempt that would be made
// again if somebody still waited for it.
func TestNothingMoreIsSentOnceTheCallerIsGone(t *testing.T) {
	for name, end := range map[string]error{"429": status(429), "503": status(503), "lost": errNoAnswer, "not sent": errNotSent} {
		t.Run(name, func(t *testing.T) {
			with(t, gracious(), func(w *world) {
				ctx, cancel := w.cancellable()
				w.deliver(ctx, on("CA1", mute))
				cancel()
				w.answer(1, end)
				w.pass(time.Hour)
				w.wantSends(1)
			})
		})
	}
}

// TestRecordTellsHowAnAbandonedAttemptEnded asks again with the request id of an
// update whose caller left while it was on the way.
func TestRecordTellsHowAnAbandonedAttemptEnded(t *testing.T) {
	tests := []struct {
		name  string
		end   error
		again string
		sends int
	}{
		{"applied", nil, "ok", 1},
		{"rejected", status(400), "400, no", 1},
		{"failed", status(503), "503, maybe", 1},
		{"lost", errNoAnswer, "lost, maybe", 1},
		{"refused, so that it is sent", status(429), "under way", 2},
		{"not sent, so that it is now", errNotSent, "under way", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, gracious(), func(w *world) {
				ctx, cancel := w.cancellable()
				w.deliver(ctx, by("id", on("CA1", mute)))
				cancel()
				w.pass(time.Second)
				again := w.start(by("id", on("CA1", mute)))
				w.wantEnd(again, "under way")
				w.answer(1, test.end)
				w.wantEnd(again, test.again)
				w.wantSends(test.sends)
				if test.sends == 2 {
					w.answer(2, nil)
					w.wantEnd(again, "ok")
				}
			})
		})
	}
}

func TestRecordOfAnAttemptThatWasCutOffSaysThatItsAnswerWasLost(t *testing.T) {
	with(t, gracious(), func(w *world) {
		ctx, cancel := w.cancellable()
		w.deliver(ctx, by("id", on("CA1", mute)))
		cancel()
		w.pass(time.Minute)
		w.wantEnd(w.finish(by("id", on("CA1", mute))), "lost, maybe")
		w.wantSends(1)
	})
}

func TestRecordOfOneWhoseCallerLeftDuringTheWaitForARetry(t *testing.T) {
	with(t, gracious(), func(w *world) {
		w.twilio.respond = failing(retryAfter(503, time.Minute))
		ctx, cancel := w.cancellable()
		w.deliver(ctx, by("id", on("CA1", mute)))
		cancel()
		w.wantEnd(w.finish(by("id", on("CA1", mute))), "lost, maybe")
		w.wantSends(1)
	})
}

// stalled is a store that takes its time to learn from an answer.
type stalled struct {
	Store
	reached, known chan struct{}
}

func (s *stalled) Know(ctx context.Context, _ Participant, _ string) {
	close(s.reached)
	<-ctx.Done()
	close(s.known)
}

func TestCallerWhoseTimeEndsBetweenTheAnswerAndTheEndIsGivenTheAnswer(t *testing.T) {
	stall := &stalled{}
	wrap := func(store Store) Store {
		stall.Store, stall.reached, stall.known = store, make(chan struct{}), make(chan struct{})
		return stall
	}
	withStore(t, ordered(), wrap, func(w *world) {
		ctx, cancel := w.cancellable()
		p := w.deliver(ctx, on("CA1", mute))
		w.end(1, known("front desk", "CA1"))
		<-stall.reached
		w.wantEnd(p, "under way")
		cancel()
		<-stall.known
		w.wantEnd(p, "ok")
	})
}

// hasty is a store that does nothing in no time.
type hasty struct{ Store }

func (s hasty) Know(ctx context.Context, label Participant, callSID string) {
	if ctx.Err() == nil {
		s.Store.Know(ctx, label, callSID)
	}
}

func (s hasty) Settle(ctx context.Context, key Key, record *Record) {
	if ctx.Err() != nil {
		record = nil
	}
	s.Store.Settle(ctx, key, record)
}

// TestWhatIsLeftWhenTheCallersTimeHasEndedIsDone: an answer that came just in time
// is learnt from and kept all the same.
func TestWhatIsLeftWhenTheCallersTimeHasEndedIsDone(t *testing.T) {
	withStore(t, remembering(), func(store Store) Store { return hasty{store} }, func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		defer cancel()
		w.Observe(Observer{Attempted: func(context.Context, Attempt) { cancel() }})
		w.twilio.respond = func(*call) step { return known("desk", "CA1") }
		w.wantEnd(w.deliver(ctx, by("id", on("CA1", mute))), "ok")
		w.wantEnd(w.finish(by("id", on("CA1", mute))), "ok")
		w.wantSends(1)
		if got := w.Stats().Sizes; got.Labels != 1 || got.Lines != 0 {
			w.t.Errorf("%+v, want the label known, and nothing in line", got)
		}
	})
}

func TestCallerWhoIsGoneBeforeTheStartSendsNothingAndSupersedesNothing(t *testing.T) {
	with(t, ordered(), func(w *world) {
		first := w.start(on("CA1", hold))
		waiting := w.start(on("CA1", unmute))
		ctx, cancel := w.cancellable()
		cancel()
		w.wantEnd(w.deliver(ctx, on("CA1", mute)), "cancelled, no")
		w.answer(1, nil)
		w.answer(2, nil)
		w.wantEnd(first, "ok")
		w.wantEnd(waiting, "ok")
		w.wantSent(holdCA1, unmuteCA1)
	})
}

// The caller may leave, or a newer update come, after the limit and the breaker
// let the update go and before it went: what they gave is given back.
func TestJustBeforeTheAttempt(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	superseded := make(chan struct{})
	close(superseded)
	tests := []struct {
		name   string
		ctx    context.Context
		ticket *Ticket
		want   error
	}{
		{"the caller leaves", gone, noLine, context.Canceled},
		{"a newer update comes", context.WithoutCancel(t.Context()), &Ticket{Superseded: superseded}, errSuperseded},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := breaking()
			cfg.Limits = Limits{MaxConcurrency: 1, MinConcurrency: 1}
			with(t, cfg, func(w *world) {
				w.fail()
				w.pass(cfg.Breaking.OpenFor + 1)
				update := on("CA1", mute)
				j := &job{d: w.Deliverer, update: update, lane: w.lane(update.Account), ticket: test.ticket}
				if err := j.clear(test.ctx); !errors.Is(err, test.want) {
					w.t.Errorf("%v, want %v", err, test.want)
				}
				w.twilio.respond = failing()
				w.wantEnd(w.finish(on("CA1", mute)), "ok") // It has the slot, and is the probe.
			})
		})
	}
}

func TestAnswerThatComesAsTheGraceEndsIsKept(t *testing.T) {
	for _, err := range []error{nil, status(400), unreadable(200), errNoAnswer, context.Canceled} {
		if got := unanswered(err); !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
	for _, sent := range []bool{true, false} {
		err := &twilio.TransportError{Sent: sent, Reused: true, Err: context.Canceled}
		var got *twilio.TransportError
		if !errors.As(unanswered(err), &got) || got.Sent != sent || !got.Reused || isContext(got) {
			t.Errorf("%v became %v, want the same without the context's end", err, got)
		}
	}
}
