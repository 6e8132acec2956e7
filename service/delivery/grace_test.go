package delivery

import (
	"context"
	"testing"
	"time"
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

// TestCallerWhoLeavesBeforeThereIsAConnection: the update is not sent any more,
// and another of the participant is.
func TestCallerWhoLeavesBeforeThereIsAConnection(t *testing.T) {
	with(t, gracious(), func(w *world) {
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

// TestAnswerAtTheEndOfTheDeadlineIsKept: an answer that comes as the caller's context
// ends is the outcome for its request id.
func TestAnswerAtTheEndOfTheDeadlineIsKept(t *testing.T) {
	with(t, remembering(), func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		defer cancel()
		w.Observe(Observer{Attempted: func(context.Context, Attempt) { cancel() }})
		w.twilio.respond = func(*call) step { return known("desk", "CA1") }
		<-w.deliver(ctx, by("id", on("CA1", mute))).done
		w.wantEnd(w.finish(by("id", on("CA1", mute))), "ok")
		w.wantSends(1)
		if got := w.Stats().Sizes; got.Labels != 1 || got.Queues != 0 {
			w.t.Errorf("%+v, want the label known, and nothing queued", got)
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
