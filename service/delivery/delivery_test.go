package delivery

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestPanicInTheSender(t *testing.T) {
	cfg := Default()
	cfg.Limits.MaxConcurrency, cfg.Limits.MinConcurrency = 1, 1
	with(t, cfg, func(w *world) {
		w.twilio.respond = func(c *call) step {
			if c.n == 1 {
				panic("in the sender")
			}
			return step{}
		}
		p := w.finish(withID("id", on("CA1", announce)))
		w.wantEnd(p, "panicked, maybe")
		w.wantEnd(w.finish(withID("id", on("CA1", announce))), "lost, maybe") // It may have been played.
		w.wantSends(1)
		w.wantEnd(w.finish(on("CA1", mute)), "ok") // The queue and the slot are free again.
		w.wantBreaker("closed")
	})
}

func TestStats(t *testing.T) {
	cfg := withRequestIDs()
	cfg.Retrying.Attempts = 2
	cfg.Bounds.Queue = 3
	cfg.Grace = time.Minute
	with(t, cfg, func(w *world) {
		w.start(withID("id", on("CA1", announce)))
		w.start(on("CA1", unmute))
		ctx, cancel := w.cancellable()
		w.wantEnd(w.deliver(ctx, on("CA1", mute)), "pending")
		w.start(on("CA1", announce))
		w.wantEnd(w.start(on("CA1", hold)), "overloaded, no")
		w.deliver(ctx, on("CA2", mute))
		w.answer(2, nil)
		w.deliver(ctx, on("CA2", mute))
		cancel() // One waits, one is in flight.
		w.answer(3, nil)
		w.twilio.respond = failing()
		w.start(on("CA1", mute))
		w.answer(1, status(429)) // Sent again.
		w.wantEnd(w.start(withID("id", on("CA1", announce))), "ok")
		want := Stats{
			Updates: 7, Attempts: 6, Retries: 1, Superseded: 1, Replays: 1, Refused: 1, Abandoned: 1,
			Sizes: Sizes{Records: 1},
		}
		if got := w.Stats(); got != want {
			w.t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func TestNoUpstreamsBeforeTheFirstUpdate(t *testing.T) {
	with(t, Default(), func(w *world) {
		if got := w.Upstreams(); got == nil || len(got) != 0 {
			w.t.Errorf("%v, want an empty list", got)
		}
	})
}

func TestWait(t *testing.T) {
	cfg := ordered()
	cfg.Grace = 10 * time.Second
	with(t, cfg, func(w *world) {
		if err := w.Wait(w.t.Context()); err != nil {
			w.t.Errorf("with no delivery in progress: %v", err)
		}
		ctx, cancel := w.cancellable()
		w.deliver(ctx, on("CA1", mute))
		cancel()
		if err := w.Wait(w.within(time.Second)); !errors.Is(err, context.DeadlineExceeded) {
			w.t.Errorf("%v, want the deadline", err)
		}
		w.wantClock(time.Second)
		if err := w.Wait(w.t.Context()); err != nil {
			w.t.Errorf("after the grace period: %v", err)
		}
		w.wantClock(10 * time.Second)
	})
}
