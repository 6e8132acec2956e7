package delivery

import (
	"context"
	"testing"
	"time"
)

// withGrace returns a configuration with request IDs, three attempts, and a grace
// period of two seconds.
func withGrace() Config {
	cfg := withRequestIDs()
	cfg.Retrying.Attempts = 3
	cfg.Grace = 2 * time.Second
	return cfg
}

func TestCallerReturnsWhenItsContextEnds(t *testing.T) {
	with(t, withGrace(), func(w *world) {
		p := w.deliver(w.within(time.Second), on("CA1", mute))
		<-p.done
		w.wantClock(time.Second)
		w.wantEnd(p, "deadline, maybe")
		w.wantSends(1)
		w.answer(1, nil)
	})
}

func TestAttemptContinuesAfterItsCallerLeft(t *testing.T) {
	with(t, withGrace(), func(w *world) {
		ctx, cancel := w.cancellable()
		first := w.deliver(ctx, on("CA1", mute))
		cancel()
		w.wantEnd(first, "cancelled, maybe")

		next := w.start(on("CA1", unmute))
		w.pass(time.Second)
		w.wantSent(muteCA1) // The next update waits until the first attempt ends.

		w.answer(1, nil)
		w.wantSent(muteCA1, unmuteCA1)
		w.answer(2, nil)
		w.wantEnd(next, "ok")
		if got := w.Stats().Abandoned; got != 1 {
			w.t.Errorf("%d updates were abandoned, want 1", got)
		}
	})
}

func TestAttemptIsCancelledAfterTheGrace(t *testing.T) {
	with(t, withGrace(), func(w *world) {
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
	cfg := withGrace()
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

// TestWithoutGraceADeadlineIsADeadline checks that a race between the caller's
// deadline and the cancelled attempt does not change the outcome.
func TestWithoutGraceADeadlineIsADeadline(t *testing.T) {
	cfg := withGrace()
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

// TestCallerLeavesBeforeThereIsAConnection checks that the update is not sent, and
// that the next update of the participant is.
func TestCallerLeavesBeforeThereIsAConnection(t *testing.T) {
	with(t, withGrace(), func(w *world) {
		w.twilio.connected = make(chan struct{})
		ctx, cancel := w.cancellable()
		first := w.deliver(ctx, on("CA1", mute))
		next := w.start(on("CA1", unmute))
		cancel()
		close(w.twilio.connected)
		w.wantEnd(first, "cancelled, no")
		w.wantSent(unmuteCA1)
		w.answer(1, nil)
		w.wantEnd(next, "ok")
		if got := w.Stats().Abandoned; got != 0 {
			w.t.Errorf("%d updates were abandoned, want 0", got)
		}
	})
}

// TestNoRetryAfterTheCallerLeft has every result that is retried while the caller
// waits.
func TestNoRetryAfterTheCallerLeft(t *testing.T) {
	for name, end := range map[string]error{"429": status(429), "503": status(503), "lost": errNoAnswer, "not sent": errNotSent} {
		t.Run(name, func(t *testing.T) {
			with(t, withGrace(), func(w *world) {
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

// TestRecordHoldsTheResultOfAnAbandonedAttempt repeats a call whose caller left while
// its update was in flight.
func TestRecordHoldsTheResultOfAnAbandonedAttempt(t *testing.T) {
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
		{"a 429, so that it is sent again", status(429), "pending", 2},
		{"not sent, so that it is sent now", errNotSent, "pending", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, withGrace(), func(w *world) {
				ctx, cancel := w.cancellable()
				w.deliver(ctx, withID("id", on("CA1", mute)))
				cancel()
				w.pass(time.Second)
				again := w.start(withID("id", on("CA1", mute)))
				w.wantEnd(again, "pending")
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

func TestRecordOfACancelledAttemptIsALostAnswer(t *testing.T) {
	with(t, withGrace(), func(w *world) {
		ctx, cancel := w.cancellable()
		w.deliver(ctx, withID("id", on("CA1", mute)))
		cancel()
		w.pass(time.Minute)
		w.wantEnd(w.finish(withID("id", on("CA1", mute))), "lost, maybe")
		w.wantSends(1)
	})
}

func TestRecordOfAnUpdateWhoseCallerLeftBeforeTheRetry(t *testing.T) {
	with(t, withGrace(), func(w *world) {
		w.twilio.respond = failing(retryAfter(503, time.Minute))
		ctx, cancel := w.cancellable()
		w.deliver(ctx, withID("id", on("CA1", mute)))
		cancel()
		w.wantEnd(w.finish(withID("id", on("CA1", mute))), "lost, maybe")
		w.wantSends(1)
	})
}

// TestAnswerAtTheEndOfTheDeadlineIsKept checks that an answer that arrives as the
// caller's context ends is kept for its request ID.
func TestAnswerAtTheEndOfTheDeadlineIsKept(t *testing.T) {
	with(t, withRequestIDs(), func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		defer cancel()
		w.Observe(Observer{Attempted: func(context.Context, Attempt) { cancel() }})
		w.twilio.respond = func(*call) step { return answerFor("desk", "CA1") }
		<-w.deliver(ctx, withID("id", on("CA1", mute))).done
		w.wantEnd(w.finish(withID("id", on("CA1", mute))), "ok")
		w.wantSends(1)
		if got := w.Stats().Sizes; got.Labels != 1 || got.Queues != 0 {
			w.t.Errorf("%+v, want the label known, and nothing queued", got)
		}
	})
}

func TestCallWithAnEndedContextSendsAndSupersedesNothing(t *testing.T) {
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
