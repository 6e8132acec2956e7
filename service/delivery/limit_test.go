package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"conferenced/service/twilio"
)

// gate is a limiter under test, and what it did.
type gate struct {
	*limiter
	t *testing.T

	logging sync.Mutex
	granted []string // Callers, in the order of their grants.
}

func withGate(t *testing.T, limits Limits, test func(*gate)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &gate{limiter: newLimiter(limits), t: t}
		test(g)
		synctest.Wait()
		if _, inFlight, waiting := g.load(); inFlight != 0 || waiting != 0 {
			t.Errorf("%d left in flight, %d waiting", inFlight, waiting)
		}
		if len(g.callers) != 0 || g.turns.Len() != 0 {
			t.Errorf("callers left: %v, %d turns", g.callers, g.turns.Len())
		}
	})
}

// visit is one acquire.
type visit struct {
	ended chan struct{} // Closed after the others are set.
	began time.Time     // Of the attempt.
	err   error
}

// letIn is a visit that has a slot.
func letIn() *visit {
	v := &visit{ended: make(chan struct{}), began: time.Now()}
	close(v.ended)
	return v
}

func (v *visit) done() bool {
	select {
	case <-v.ended:
		return true
	default:
		return false
	}
}

func (v *visit) isIn() bool { return v.done() && v.err == nil }

func (v *visit) isOverloaded() bool {
	var refused *RefusedError
	return v.done() && errors.As(v.err, &refused) && refused.Reason == Overloaded
}

// retryAfter is when a visit that was refused is told to try again.
func (v *visit) retryAfter() time.Duration {
	var refused *RefusedError
	if !v.done() || !errors.As(v.err, &refused) {
		return -1
	}
	return refused.RetryAfter
}

func (v *visit) String() string {
	switch {
	case !v.done():
		return "waiting"
	case v.err == nil:
		return "let in"
	default:
		return fmt.Sprintf("%v, retry after %v", v.err, v.retryAfter())
	}
}

// enter acquires for a caller.
func (g *gate) enter(ctx context.Context, caller string) *visit {
	v := &visit{ended: make(chan struct{})}
	go func() {
		defer close(v.ended)
		v.err = g.acquire(ctx, nil, caller)
		v.began = time.Now()
		if v.err == nil {
			g.log(caller)
		}
	}()
	synctest.Wait()
	return v
}

func (g *gate) log(caller string) {
	g.logging.Lock()
	defer g.logging.Unlock()
	g.granted = append(g.granted, caller)
}

// enterAll acquires n times at once.
func (g *gate) enterAll(n int, caller string) []*visit {
	visits := make([]*visit, n)
	for i := range visits {
		visits[i] = g.enter(g.t.Context(), caller)
	}
	return visits
}

// leave releases a slot after an attempt that Twilio answered.
func (g *gate) leave(v *visit) { g.end(v, false) }

// refuse releases a slot after a 429.
func (g *gate) refuse(v *visit) { g.end(v, true) }

func (g *gate) end(v *visit, refused bool) {
	g.t.Helper()
	synctest.Wait()
	if !v.isIn() {
		g.t.Fatalf("no slot to give back: %v", v)
	}
	g.release(v.began, true, refused)
	synctest.Wait()
}

// timer is what looks after those who wait for the rate.
func (g *gate) timer() *time.Timer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.next
}

func (g *gate) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (g *gate) want(limit, inFlight, waiting int) {
	g.t.Helper()
	if l, i, w := g.load(); l != limit || i != inFlight || w != waiting {
		g.t.Fatalf("limit %d, in flight %d, waiting %d, want %d, %d, %d", l, i, w, limit, inFlight, waiting)
	}
}

func TestLimitBeginsAtTheCeiling(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 3, MinConcurrency: 1, Queue: 5}, func(g *gate) {
		visits := g.enterAll(4, "a")
		g.want(3, 3, 1)
		g.leave(visits[0])
		g.want(3, 3, 0)
		for _, v := range visits[1:] {
			g.leave(v)
		}
	})
}

func TestLimitShrinksOnARefusal(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 8, MinConcurrency: 3, Queue: 100}, func(g *gate) {
		first := g.enterAll(8, "a")
		rest := g.enterAll(8, "a")
		g.pass(time.Second)
		g.refuse(first[0])
		g.want(4, 7, 8) // More are on the way than may be, so nobody is let in.
		g.refuse(first[1])
		g.want(4, 6, 8) // It began before the limit was halved: no news.
		g.leave(first[2])
		g.leave(first[3])
		g.want(4, 4, 8)
		g.pass(time.Second)
		g.leave(first[4])
		g.want(4, 4, 7)
		g.pass(time.Second)
		g.refuse(rest[0]) // It began after: a new round.
		g.want(3, 3, 7)   // Not below the floor.
		g.pass(time.Second)
		for _, v := range append(first[5:], rest[1:]...) {
			g.leave(v)
			g.pass(time.Second)
		}
	})
}

func TestLimitStaysAtTheFloor(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 8, MinConcurrency: 2, Queue: 100}, func(g *gate) {
		for range 10 {
			v := g.enter(g.t.Context(), "a")
			g.pass(time.Second)
			g.refuse(v)
		}
		g.want(2, 0, 0)
	})
}

func TestLimitGrowsByOneARound(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 8, MinConcurrency: 1, Queue: 100}, func(g *gate) {
		round := func(n int) {
			visits := g.enterAll(n, "a")
			g.pass(time.Second)
			for _, v := range visits {
				g.leave(v)
			}
		}
		visits := g.enterAll(8, "a")
		g.pass(time.Second)
		g.refuse(visits[0])
		for _, v := range visits[1:4] {
			g.leave(v)
		}
		for _, v := range visits[4:] { // Too few to say anything about the limit.
			g.release(v.began, false, false)
		}
		g.want(4, 0, 0)

		// A round is that many successes at a time; the last of them find the
		// limit half used.
		limits := []int{}
		for range 30 {
			limit, _, _ := g.load()
			round(limit)
			next, _, _ := g.load()
			if next > limit+1 {
				g.t.Fatalf("grew from %d to %d in one round", limit, next)
			}
			limits = append(limits, next)
		}
		if !slices.IsSorted(limits) || limits[0] > 5 || limits[29] != 8 {
			g.t.Errorf("the limits are %v, want them to grow slowly to the ceiling of 8", limits)
		}
	})
}

func TestLimitDoesNotGrowWhileItIsNotUsed(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 64, MinConcurrency: 1, Queue: 100}, func(g *gate) {
		v := g.enter(g.t.Context(), "a")
		g.pass(time.Second)
		g.refuse(v)
		for range 1000 {
			v := g.enter(g.t.Context(), "a")
			g.leave(v)
		}
		g.want(32, 0, 0)
	})
}

func TestLimitIsNotMovedByAttemptsWithoutAnswer(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 2, MinConcurrency: 1, Queue: 100}, func(g *gate) {
		v := g.enter(g.t.Context(), "a")
		g.pass(time.Second)
		g.refuse(v)
		g.want(1, 0, 0)
		for range 100 {
			v := g.enter(g.t.Context(), "a")
			g.release(v.began, false, false)
		}
		g.want(1, 0, 0)
		g.leave(g.enter(g.t.Context(), "a"))
		g.want(2, 0, 0)
	})
}

func TestQueueIsFull(t *testing.T) {
	for _, queue := range []int{0, 2} {
		t.Run(fmt.Sprint("of ", queue), func(t *testing.T) {
			withGate(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: queue}, func(g *gate) {
				visits := g.enterAll(1+queue, "a")
				if v := g.enter(g.t.Context(), "a"); !v.isOverloaded() {
					g.t.Fatalf("%v, want it refused", v)
				}
				g.want(1, 1, queue)
				for _, v := range visits {
					g.leave(v)
				}
			})
		})
	}
}

func TestCallersTakeTurns(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 100}, func(g *gate) {
		visits := g.enterAll(6, "noisy")
		visits = append(visits, g.enterAll(2, "quiet")...)
		visits = append(visits, g.enterAll(1, "other")...)
		for range visits {
			g.leave(letIn())
		}
		want := []string{"noisy", "noisy", "quiet", "other", "noisy", "quiet", "noisy", "noisy", "noisy"}
		if !slices.Equal(g.granted, want) {
			g.t.Errorf("the turns were %v, want %v", g.granted, want)
		}
	})
}

func TestQuietCallerIsNotStarved(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 2, MinConcurrency: 1, Queue: 50}, func(g *gate) {
		g.enterAll(52, "noisy")
		for range 20 {
			v := g.enter(g.t.Context(), "quiet")
			g.enter(g.t.Context(), "noisy") // There is always more.
			g.leave(letIn())
			if g.enter(g.t.Context(), "noisy"); !v.done() {
				g.leave(letIn())
			}
			if !v.isIn() {
				g.t.Fatalf("%v after two turns, want it let in", v)
			}
			g.leave(v)
		}
		for g.inFlight > 0 {
			g.leave(letIn())
		}
	})
}

func TestRoomIsMadeByRefusingTheNewestOfTheLongestQueue(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 6}, func(g *gate) {
		first := g.enter(g.t.Context(), "noisy")
		noisy := g.enterAll(4, "noisy")
		other := g.enterAll(2, "other")
		quiet := g.enter(g.t.Context(), "quiet")
		if !noisy[3].isOverloaded() {
			g.t.Errorf("the newest is %v, want it refused", noisy[3])
		}
		for _, v := range append(noisy[:3:3], append(other, quiet)...) {
			if v.done() {
				g.t.Errorf("%v, want it to wait", v)
			}
		}
		g.want(1, 1, 6)

		// Two for each: whoever wants more than that is refused.
		quiet2 := g.enter(g.t.Context(), "quiet")
		if !noisy[2].isOverloaded() || quiet2.done() {
			g.t.Errorf("%v and %v, want the first refused for the second", noisy[2], quiet2)
		}
		for _, caller := range []string{"noisy", "other", "quiet"} {
			if v := g.enter(g.t.Context(), caller); !v.isOverloaded() {
				g.t.Errorf("%s: %v, want it refused", caller, v)
			}
		}
		g.want(1, 1, 6)
		for _, v := range []*visit{first, noisy[0], other[0], quiet, noisy[1], other[1], quiet2} {
			g.leave(v)
		}
	})
}

// A caller with one less than the longest queue would only change places.
func TestRoomIsNotMadeForOneWhoWouldHaveAsMany(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 3}, func(g *gate) {
		visits := g.enterAll(3, "a")
		visits = append(visits, g.enter(g.t.Context(), "b"))
		if v := g.enter(g.t.Context(), "b"); !v.isOverloaded() {
			g.t.Errorf("%v, want it refused", v)
		}
		for range visits {
			g.leave(letIn())
		}
	})
}

func TestWaitThatWouldPassTheDeadlineIsRefusedAtOnce(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 2, MinConcurrency: 1, Queue: 100}, func(g *gate) {
		visits := g.enterAll(2, "a")
		g.pass(time.Second) // Attempts take a second.
		g.leave(visits[0])
		g.leave(visits[1])

		visits = g.enterAll(2, "a")
		visits = append(visits, g.enterAll(5, "a")...)
		visits = append(visits, g.enterAll(1, "c")...)
		tests := []struct {
			name   string
			caller string
			within time.Duration
			wait   time.Duration // 0: it is not refused.
		}{
			{"behind its own", "a", 3 * time.Second, 4 * time.Second},
			{"exactly at the deadline", "a", 4 * time.Second, 4 * time.Second},
			{"in time", "a", 5 * time.Second, 0},
			{"of a caller with none, behind one turn of each", "b", time.Second, 2 * time.Second},
			{"of a caller with none, in time", "b", 2*time.Second + 1, 0},
		}
		for _, test := range tests {
			ctx, cancel := context.WithTimeout(g.t.Context(), test.within)
			v := g.enter(ctx, test.caller)
			switch {
			case test.wait == 0 && v.done():
				g.t.Errorf("%s: %v, want it to wait", test.name, v)
			case test.wait > 0 && (!v.isOverloaded() || v.retryAfter() != test.wait):
				g.t.Errorf("%s: %v, want it refused with a wait of %v", test.name, v, test.wait)
			}
			cancel()
			synctest.Wait()
		}
		for range visits {
			g.leave(letIn())
		}
	})
}

func TestRefusedForAnotherIsToldWhenToTryAgain(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 3}, func(g *gate) {
		v := g.enter(g.t.Context(), "a")
		g.pass(time.Second)
		g.leave(v)
		visits := g.enterAll(4, "a")
		g.enter(g.t.Context(), "b")
		if !visits[3].isOverloaded() || visits[3].retryAfter() != 4*time.Second {
			g.t.Errorf("%v, want it refused for 4s: three of its own and one other", visits[3])
		}
		for range visits {
			g.leave(letIn())
		}
	})
}

func TestMeanLatencyFollowsSlowly(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 3}, func(g *gate) {
		for _, took := range []time.Duration{time.Second, 2 * time.Second} {
			v := g.enter(g.t.Context(), "a")
			g.pass(took)
			g.leave(v)
		}
		if want := 1100 * time.Millisecond; g.latency != want {
			g.t.Errorf("the mean is %v, want %v", g.latency, want)
		}
		v := g.enter(g.t.Context(), "a")
		g.pass(time.Minute)
		g.release(v.began, false, false) // No answer says nothing of how long one takes.
		if want := 1100 * time.Millisecond; g.latency != want {
			g.t.Errorf("the mean is %v, want %v", g.latency, want)
		}
	})
}

func TestWhoeverWaitsMayLeave(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 100}, func(g *gate) {
		first := g.enter(g.t.Context(), "a")
		ctx, cancel := context.WithCancel(g.t.Context())
		leaving := g.enter(ctx, "b")
		staying := g.enter(g.t.Context(), "c")
		cancel()
		synctest.Wait()
		if !leaving.done() || !errors.Is(leaving.err, context.Canceled) {
			g.t.Errorf("%v, want it cancelled", leaving)
		}
		g.want(1, 1, 1)
		g.leave(first)
		g.leave(staying)
	})
}

// A slot that is granted to somebody who is just leaving goes to the next.
func TestGrantToOneWhoLeavesIsNotLost(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 100}, func(g *gate) {
		first := g.enter(g.t.Context(), "a")
		leaving, err := g.enqueue(g.t.Context(), "b")
		if err != nil {
			g.t.Fatal(err)
		}
		next := g.enter(g.t.Context(), "c")
		g.leave(first)
		if !leaving.granted || next.done() {
			g.t.Fatalf("granted: %t, the next: %v; want it granted, and the next to wait", leaving.granted, next)
		}
		g.giveUp(leaving)
		g.leave(next)
	})
}

// One who was refused to make room, and leaves before he knows it, has nothing
// to give back.
func TestRefusedOneWhoLeavesGivesNothingBack(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 2}, func(g *gate) {
		first := g.enter(g.t.Context(), "a")
		next := g.enter(g.t.Context(), "a")
		leaving, err := g.enqueue(g.t.Context(), "a")
		if err != nil {
			g.t.Fatal(err)
		}
		other := g.enter(g.t.Context(), "b")
		g.giveUp(leaving)
		g.want(1, 1, 2)
		g.leave(first)
		g.leave(next)
		g.leave(other)
	})
}

func TestRateIsLimited(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		starts []int // In milliseconds.
	}{
		{"without a burst", Limits{Rate: 10, Burst: 1, Queue: 10}, []int{0, 100, 200, 300}},
		{"with a burst", Limits{Rate: 10, Burst: 3, Queue: 10}, []int{0, 0, 0, 100, 200}},
		{"a slow one", Limits{Rate: 0.5, Burst: 1, Queue: 10}, []int{0, 2000, 4000}},
		{
			"under a limit of attempts at a time that is wider",
			Limits{MaxConcurrency: 9, MinConcurrency: 1, Rate: 10, Burst: 1, Queue: 10},
			[]int{0, 100, 200, 300},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			withGate(t, test.limits, func(g *gate) {
				began := time.Now()
				visits := g.enterAll(len(test.starts), "a")
				g.pass(time.Minute)
				for i, v := range visits {
					if got, want := v.began.Sub(began), time.Duration(test.starts[i])*time.Millisecond; got != want {
						g.t.Errorf("start %d came after %v, want %v", i, got, want)
					}
					g.leave(v)
				}
			})
		})
	}
}

func TestRateIsIntegratedOverTime(t *testing.T) {
	withGate(t, Limits{Rate: 7, Burst: 2, Queue: 1000}, func(g *gate) {
		began := time.Now()
		visits := g.enterAll(702, "a")
		g.pass(100 * time.Second)
		for i, v := range visits {
			if !v.done() {
				g.t.Fatalf("%d of 702 have begun", i)
			}
			g.leave(v)
		}
		if took := visits[701].began.Sub(began); took < 99*time.Second {
			g.t.Errorf("took %v, want 700 at 7 a second", took)
		}
	})
}

func TestRateDoesNotStoreUpMoreThanTheBurst(t *testing.T) {
	withGate(t, Limits{Rate: 10, Burst: 2, Queue: 10}, func(g *gate) {
		g.pass(time.Hour)
		visits := g.enterAll(4, "a")
		g.want(0, 2, 2)
		g.pass(time.Minute)
		for _, v := range visits {
			g.leave(v)
		}
	})
}

func TestRateRefusesWhatWouldPassTheDeadline(t *testing.T) {
	withGate(t, Limits{Rate: 1, Burst: 1, Queue: 10}, func(g *gate) {
		visits := g.enterAll(3, "a") // Two wait, until 1s and 2s.
		ctx, cancel := context.WithTimeout(g.t.Context(), 2500*time.Millisecond)
		defer cancel()
		v := g.enter(ctx, "a")
		if !v.isOverloaded() || v.retryAfter() != 3*time.Second {
			g.t.Errorf("%v, want it refused for 3s", v)
		}
		g.pass(time.Minute)
		for _, v := range visits {
			g.leave(v)
		}
	})
}

func TestRateServesThoseWhoWaitAfterOneHasLeft(t *testing.T) {
	withGate(t, Limits{Rate: 1, Burst: 1, Queue: 10}, func(g *gate) {
		first := g.enter(g.t.Context(), "a")
		ctx, cancel := context.WithCancel(g.t.Context())
		g.enter(ctx, "b")
		timer := g.timer()
		cancel()
		synctest.Wait()
		next := g.enter(g.t.Context(), "c")
		if g.timer() != timer {
			g.t.Error("there is another timer, want the one that there was")
		}
		g.pass(time.Second)
		if !next.done() {
			g.t.Fatal("the next one still waits")
		}
		g.leave(first)
		g.leave(next)
		g.pass(time.Minute)
		g.leave(g.enter(g.t.Context(), "a"))
	})
}

// One who comes when the rate allows one more, but those who wait do not know it
// yet, does not go before them.
func TestRateIsFairToThoseWhoWait(t *testing.T) {
	withGate(t, Limits{Rate: 1, Burst: 1, Queue: 10}, func(g *gate) {
		first := g.enter(g.t.Context(), "a")
		waiting := g.enter(g.t.Context(), "b")
		g.timer().Stop()
		g.pass(time.Second)
		late := g.enter(g.t.Context(), "c")
		g.tick()
		synctest.Wait()
		if !waiting.done() || late.done() {
			g.t.Errorf("%v and %v, want the first let in, and the second to wait", waiting, late)
		}
		g.pass(time.Second)
		for _, v := range []*visit{first, waiting, late} {
			g.leave(v)
		}
	})
}

func TestRateAndLimitTogether(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Rate: 10, Burst: 1, Queue: 10}, func(g *gate) {
		visits := g.enterAll(3, "a")
		g.pass(time.Second)
		g.want(1, 1, 2) // The rate would allow it.
		g.leave(visits[0])
		g.want(1, 1, 1)
		g.leave(visits[1])
		g.want(1, 0, 1) // The limit would allow it.
		g.pass(100 * time.Millisecond)
		g.want(1, 1, 0)
		g.leave(visits[2])
	})
}

func TestNoLimits(t *testing.T) {
	withGate(t, Limits{}, func(g *gate) {
		for _, v := range g.enterAll(100, "a") {
			if !v.isIn() {
				g.t.Fatalf("%v, want it let in", v)
			}
			g.leave(v)
		}
		g.want(0, 0, 0)
		g.free()
		g.want(0, 0, 0)
	})
}

// limited lets a few attempts go at a time.
func limited(concurrency int) Config {
	cfg := retrying(2)
	cfg.Limits = Limits{MaxConcurrency: concurrency, MinConcurrency: 1, Queue: 10}
	return cfg
}

func TestAttemptsOfAnAccountAreLimited(t *testing.T) {
	with(t, limited(2), func(w *world) {
		for i := range 4 {
			w.start(on(fmt.Sprint("CA", i), mute))
		}
		w.wantSends(2)
		want := Lane{AccountSID: "AC1", Host: "https://twilio.test", Breaker: "off", ConcurrencyLimit: 2, InFlight: 2, Waiting: 2}
		if got := w.Lanes(); len(got) != 1 || got[0] != want {
			w.t.Errorf("%+v, want %+v", got, want)
		}
		w.start(at("AC2", on("CA1", mute))) // Another account is not limited by it.
		w.wantSends(3)
		w.twilio.respond = failing()
		for n := range 3 {
			w.answer(n+1, nil)
		}
		w.wantSends(5)
	})
}

func TestTwiliosRefusalShrinksTheLimit(t *testing.T) {
	with(t, limited(8), func(w *world) {
		p := w.start(on("CA1", mute))
		w.answer(1, status(429))
		if got := w.Lanes()[0].ConcurrencyLimit; got != 4 {
			w.t.Errorf("the limit is %d, want 4", got)
		}
		w.answer(2, nil)
		w.wantEnd(p, "ok")
	})
}

func TestLostAnswersDoNotGrowTheLimit(t *testing.T) {
	cfg := limited(2)
	cfg.Retrying.Attempts = 1
	with(t, cfg, func(w *world) {
		w.twilio.respond = func(c *call) step {
			return step{after: time.Second, err: []error{status(429), errNoAnswer}[min(c.n-1, 1)]}
		}
		for range 10 {
			w.finish(on("CA1", mute))
		}
		if got := w.Lanes()[0].ConcurrencyLimit; got != 1 {
			w.t.Errorf("the limit is %d, want 1", got)
		}
	})
}

// An update that waits for its retry is not on the way.
func TestRetryGivesItsSlotBackMeanwhile(t *testing.T) {
	with(t, limited(1), func(w *world) {
		first := w.start(on("CA1", mute))
		second := w.start(on("CA2", mute))
		w.answer(1, retryAfter(503, time.Second))
		w.wantSends(2)
		w.pass(2 * time.Second)
		w.wantSends(2)
		w.answer(2, nil)
		w.answer(3, nil)
		w.wantEnd(first, "ok")
		w.wantEnd(second, "ok")
	})
}

func TestRetryThatTheLimitRefusesEndsAsItsLastAttempt(t *testing.T) {
	cfg := limited(1)
	cfg.Limits.Queue = 1
	with(t, cfg, func(w *world) {
		first := w.start(on("CA1", mute))
		w.start(on("CA2", mute))
		w.answer(1, retryAfter(503, time.Second))
		w.start(on("CA3", mute))
		w.pass(time.Second)
		w.wantEnd(first, "503, maybe")
		if got := w.Stats().Refused; got != 0 {
			w.t.Errorf("%d refused, want none: it was sent", got)
		}
		w.answer(2, nil)
		w.answer(3, nil)
	})
}

func TestCallerLeavesTheQueue(t *testing.T) {
	with(t, limited(1), func(w *world) {
		w.start(on("CA1", mute))
		ctx, cancel := w.cancellable()
		p := w.deliver(ctx, on("CA2", mute))
		next := w.start(on("CA3", mute))
		cancel()
		w.wantEnd(p, "cancelled, no")
		w.answer(1, nil)
		w.wantSent(muteCA1, "CA3 Muted=true")
		w.answer(2, nil)
		w.wantEnd(next, "ok")
	})
}

func TestDeliverRefusesWhatTheQueueCannotHold(t *testing.T) {
	cfg := limited(1)
	cfg.Limits.Queue = 0
	with(t, cfg, func(w *world) {
		w.start(on("CA1", mute))
		w.wantEnd(w.start(on("CA2", mute)), "overloaded, no")
		if got := w.Stats().Refused; got != 1 {
			w.t.Errorf("%d refused, want 1", got)
		}
		w.answer(1, nil)
	})
}

func TestQuietCallerIsServedBeforeANoisyOne(t *testing.T) {
	with(t, limited(1), func(w *world) {
		for i := range 5 {
			w.start(from("noisy", on(fmt.Sprint("CA", i), mute)))
		}
		w.start(from("quiet", on("CA9", mute)))
		w.twilio.respond = failing()
		w.answer(1, nil)
		w.wantSent("CA0 Muted=true", muteCA1, "CA9 Muted=true", "CA2 Muted=true", "CA3 Muted=true", "CA4 Muted=true")
	})
}

func TestOnlyAnswersMoveTheLimit(t *testing.T) {
	for end, want := range map[error]bool{
		nil: true, status(400): true, status(503): true, unreadable(200): true,
		errNoAnswer: false, errNotSent: false, errNoRequest: false, errPanicked: false, context.Canceled: false,
	} {
		if got := answered(end); got != want {
			t.Errorf("answered(%v) is %v, want %v", end, got, want)
		}
	}
	if isRateLimited(&twilio.Error{HTTPStatus: 503}) || !isRateLimited(status(429)) {
		t.Error("want 429 alone to be a refusal for the rate")
	}
}
