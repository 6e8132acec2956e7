package delivery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"conferenced/service/outcome"
)

// limiterTest is a limiter in a synctest bubble.
type limiterTest struct {
	*limiter
	t *testing.T

	orderMu sync.Mutex
	order   []string // The callers that were granted a slot, the first one first.
}

func withLimiter(t *testing.T, limits Limits, test func(*limiterTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &limiterTest{limiter: newLimiter(limits), t: t}
		test(l)
		synctest.Wait()
		if _, inFlight, waiting := l.load(); inFlight != 0 || waiting != 0 || len(l.single.queues)+len(l.bulk.queues) != 0 {
			t.Errorf("%d left in flight, %d waiting in %d queues", inFlight, waiting, len(l.single.queues)+len(l.bulk.queues))
		}
	})
}

// acquisition is one call of acquire.
type acquisition struct {
	ended chan struct{} // Closed after the others are set.
	began time.Time     // When the attempt began.
	err   error
}

// started returns an acquisition that has had its slot since now.
func started() *acquisition {
	a := &acquisition{ended: make(chan struct{}), began: time.Now()}
	close(a.ended)
	return a
}

func (a *acquisition) done() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

func (a *acquisition) hasSlot() bool { return a.done() && a.err == nil }

func (a *acquisition) isOverloaded() bool {
	return a.done() && outcome.Is(a.err, outcome.Overloaded)
}

// retryAfter returns the RetryAfter of a refused acquisition, or -1.
func (a *acquisition) retryAfter() time.Duration {
	if !a.isOverloaded() {
		return -1
	}
	return outcome.From(a.err).RetryAfter
}

func (a *acquisition) String() string {
	switch {
	case !a.done():
		return "waiting"
	case a.err == nil:
		return "has a slot"
	default:
		return fmt.Sprintf("%v, retry after %v", a.err, a.retryAfter())
	}
}

// start acquires a slot for the caller, on a goroutine.
func (l *limiterTest) start(ctx context.Context, caller string) *acquisition {
	a := &acquisition{ended: make(chan struct{})}
	go func() {
		defer close(a.ended)
		a.err = l.acquire(ctx, nil, demand{caller: caller})
		a.began = time.Now()
		if a.err == nil {
			l.orderMu.Lock()
			defer l.orderMu.Unlock()
			l.order = append(l.order, caller)
		}
	}()
	synctest.Wait()
	return a
}

// startAll acquires n slots for the caller.
func (l *limiterTest) startAll(n int, caller string) []*acquisition {
	all := make([]*acquisition, n)
	for i := range all {
		all[i] = l.start(l.t.Context(), caller)
	}
	return all
}

// succeed releases slots after attempts that Twilio answered.
func (l *limiterTest) succeed(all ...*acquisition) {
	l.t.Helper()
	for _, a := range all {
		l.end(a, false)
	}
}

// rateLimit releases a slot after a 429.
func (l *limiterTest) rateLimit(a *acquisition) { l.end(a, true) }

func (l *limiterTest) end(a *acquisition, rateLimited bool) {
	l.t.Helper()
	synctest.Wait()
	if !a.hasSlot() {
		l.t.Fatalf("no slot to release: %v", a)
	}
	l.release(a.began, true, rateLimited)
	synctest.Wait()
}

func (l *limiterTest) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (l *limiterTest) want(limit, inFlight, waiting int) {
	l.t.Helper()
	if gotLimit, gotInFlight, gotWaiting := l.load(); gotLimit != limit || gotInFlight != inFlight || gotWaiting != waiting {
		l.t.Fatalf("limit %d, in flight %d, waiting %d, want %d, %d, %d",
			gotLimit, gotInFlight, gotWaiting, limit, inFlight, waiting)
	}
}

func TestA429HalvesTheLimit(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 8, MinConcurrency: 3, Queue: 100}, func(l *limiterTest) {
		first := l.startAll(8, "a")
		rest := l.startAll(8, "a")
		l.pass(time.Second)
		l.rateLimit(first[0])
		l.want(4, 7, 8) // More are in flight than the new limit, so none starts.
		l.rateLimit(first[1])
		l.want(4, 6, 8) // That attempt began before the limit was halved.
		l.succeed(first[2:4]...)
		l.want(4, 4, 8)
		l.pass(time.Second)
		l.succeed(first[4])
		l.want(4, 4, 7)
		l.pass(time.Second)
		l.rateLimit(rest[0]) // That attempt began after the limit was halved.
		l.want(3, 3, 7)      // Not below MinConcurrency.
		l.pass(time.Second)
		for _, a := range append(first[5:], rest[1:]...) {
			l.succeed(a)
			l.pass(time.Second)
		}
	})
}

func TestLimitGrowsByOnePerRound(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 8, MinConcurrency: 1, Queue: 100}, func(l *limiterTest) {
		all := l.startAll(8, "a")
		l.pass(time.Second)
		l.rateLimit(all[0])
		l.succeed(all[1:4]...)
		for _, a := range all[4:] { // Attempts without an answer do not raise it.
			l.release(a.began, false, false)
		}
		l.want(4, 0, 0)

		limits := []int{}
		for range 30 {
			limit, _, _ := l.load()
			round := l.startAll(limit, "a")
			l.pass(time.Second)
			l.succeed(round...)
			next, _, _ := l.load()
			if next > limit+1 {
				l.t.Fatalf("grew from %d to %d in one round", limit, next)
			}
			limits = append(limits, next)
		}
		if !slices.IsSorted(limits) || limits[0] > 5 || limits[29] != 8 {
			l.t.Errorf("the limits are %v, want them to grow slowly to the ceiling of 8", limits)
		}
	})
}

func TestLimitDoesNotGrowWhileItIsNotUsed(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 64, MinConcurrency: 1, Queue: 100}, func(l *limiterTest) {
		a := l.start(l.t.Context(), "a")
		l.pass(time.Second)
		l.rateLimit(a)
		for range 1000 {
			l.succeed(l.start(l.t.Context(), "a"))
		}
		l.want(32, 0, 0)
	})
}

func TestCallersAreServedInRotation(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 100}, func(l *limiterTest) {
		all := l.startAll(6, "noisy")
		all = append(all, l.startAll(2, "quiet")...)
		all = append(all, l.startAll(1, "other")...)
		for range all {
			l.succeed(started())
		}
		want := []string{"noisy", "noisy", "quiet", "other", "noisy", "quiet", "noisy", "noisy", "noisy"}
		if !slices.Equal(l.order, want) {
			l.t.Errorf("the order is %v, want %v", l.order, want)
		}
	})
}

func TestCallerWithTheMostWaitersLosesItsNewest(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 6}, func(l *limiterTest) {
		first := l.start(l.t.Context(), "noisy")
		noisy := l.startAll(4, "noisy")
		other := l.startAll(2, "other")
		quiet := l.start(l.t.Context(), "quiet")
		if !noisy[3].isOverloaded() {
			l.t.Errorf("the newest is %v, want it refused", noisy[3])
		}
		for _, a := range append(noisy[:3:3], append(other, quiet)...) {
			if a.done() {
				l.t.Errorf("%v, want it to wait", a)
			}
		}
		l.want(1, 1, 6)

		// After this, each caller has two waiters.
		quiet2 := l.start(l.t.Context(), "quiet")
		if !noisy[2].isOverloaded() || quiet2.done() {
			l.t.Errorf("%v and %v, want the first refused for the second", noisy[2], quiet2)
		}
		for _, caller := range []string{"noisy", "other", "quiet"} {
			if a := l.start(l.t.Context(), caller); !a.isOverloaded() {
				l.t.Errorf("%s: %v, want it refused", caller, a)
			}
		}
		l.want(1, 1, 6)
		l.succeed(first, noisy[0], other[0], quiet, noisy[1], other[1], quiet2)
	})
}

func TestFullQueueEvictsOnlyFromACallerWithMoreWaiters(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 3}, func(l *limiterTest) {
		all := l.startAll(3, "a")
		all = append(all, l.start(l.t.Context(), "b"))
		if a := l.start(l.t.Context(), "b"); !a.isOverloaded() {
			l.t.Errorf("%v, want it refused", a)
		}
		for range all {
			l.succeed(started())
		}
	})
}

func TestWaitPastTheDeadlineIsRefusedAtOnce(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 2, MinConcurrency: 1, Queue: 100}, func(l *limiterTest) {
		all := l.startAll(2, "a")
		l.pass(time.Second) // Attempts take a second.
		l.succeed(all...)

		all = l.startAll(7, "a")
		all = append(all, l.startAll(1, "c")...)
		tests := []struct {
			name   string
			caller string
			within time.Duration
			wait   time.Duration // 0: it is not refused.
		}{
			{"behind the caller's own waiters", "a", 3 * time.Second, 4 * time.Second},
			{"exactly at the deadline", "a", 4 * time.Second, 4 * time.Second},
			{"before the deadline", "a", 5 * time.Second, 0},
			{"a caller without waiters, behind one of each other caller", "b", time.Second, 2 * time.Second},
			{"a caller without waiters, before the deadline", "b", 2*time.Second + 1, 0},
		}
		for _, test := range tests {
			ctx, cancel := context.WithTimeout(l.t.Context(), test.within)
			a := l.start(ctx, test.caller)
			switch {
			case test.wait == 0 && a.done():
				l.t.Errorf("%s: %v, want it to wait", test.name, a)
			case test.wait > 0 && (!a.isOverloaded() || a.retryAfter() != test.wait):
				l.t.Errorf("%s: %v, want it refused with a wait of %v", test.name, a, test.wait)
			}
			cancel()
			synctest.Wait()
		}
		for range all {
			l.succeed(started())
		}
	})
}

func TestEvictedWaiterGetsARetryAfter(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 3}, func(l *limiterTest) {
		a := l.start(l.t.Context(), "a")
		l.pass(time.Second)
		l.succeed(a)
		all := l.startAll(4, "a")
		l.start(l.t.Context(), "b")
		if !all[3].isOverloaded() || all[3].retryAfter() != 4*time.Second {
			l.t.Errorf("%v, want it refused for 4s: three of its own and one other", all[3])
		}
		for range all {
			l.succeed(started())
		}
	})
}

func TestMeanLatencyIsSmoothed(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 1, MinConcurrency: 1}, func(l *limiterTest) {
		for _, took := range []time.Duration{time.Second, 2 * time.Second} {
			a := l.start(l.t.Context(), "a")
			l.pass(took)
			l.succeed(a)
		}
		last := l.start(l.t.Context(), "a")
		l.pass(time.Minute)
		l.release(last.began, false, false) // An attempt without an answer does not count.
		a := l.start(l.t.Context(), "a")
		refused := l.start(l.t.Context(), "a")
		if want := 1100 * time.Millisecond; refused.retryAfter() != want {
			l.t.Errorf("%v, want the mean of %v", refused, want)
		}
		l.succeed(a)
	})
}

// TestSlotOfACancelledWaiter has a waiter that is granted a slot as its context ends.
// It passes the slot on.
func TestSlotOfACancelledWaiter(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 100}, func(l *limiterTest) {
		first := l.start(l.t.Context(), "a")
		cancelled, err := l.startOrQueue(l.t.Context(), demand{caller: "b"})
		if err != nil {
			l.t.Fatal(err)
		}
		next := l.start(l.t.Context(), "c")
		l.succeed(first)
		if !cancelled.granted || next.done() {
			l.t.Fatalf("granted: %t, the next: %v; want it granted, and the next to wait", cancelled.granted, next)
		}
		l.cancel(cancelled)
		l.succeed(next)
	})
}

// TestEvictedWaiterIsCancelled has a waiter without a slot to return.
func TestEvictedWaiterIsCancelled(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 2}, func(l *limiterTest) {
		first, next := l.start(l.t.Context(), "a"), l.start(l.t.Context(), "a")
		evicted, err := l.startOrQueue(l.t.Context(), demand{caller: "a"})
		if err != nil {
			l.t.Fatal(err)
		}
		other := l.start(l.t.Context(), "b")
		l.cancel(evicted)
		l.want(1, 1, 2)
		l.succeed(first, next, other)
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
		{"less than one a second", Limits{Rate: 0.5, Burst: 1, Queue: 10}, []int{0, 2000, 4000}},
		{
			"with a concurrency limit",
			Limits{MaxConcurrency: 9, MinConcurrency: 1, Rate: 10, Burst: 1, Queue: 10},
			[]int{0, 100, 200, 300},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			withLimiter(t, test.limits, func(l *limiterTest) {
				began := time.Now()
				all := l.startAll(len(test.starts), "a")
				l.pass(time.Minute)
				for i, a := range all {
					if got, want := a.began.Sub(began), time.Duration(test.starts[i])*time.Millisecond; got != want {
						l.t.Errorf("start %d came after %v, want %v", i, got, want)
					}
				}
				l.succeed(all...)
			})
		})
	}
}

func TestRateRefusesAWaitPastTheDeadline(t *testing.T) {
	withLimiter(t, Limits{Rate: 1, Burst: 1, Queue: 10}, func(l *limiterTest) {
		all := l.startAll(3, "a") // Two wait, until 1s and 2s.
		ctx, cancel := context.WithTimeout(l.t.Context(), 2500*time.Millisecond)
		defer cancel()
		a := l.start(ctx, "a")
		if !a.isOverloaded() || a.retryAfter() != 3*time.Second {
			l.t.Errorf("%v, want it refused for 3s", a)
		}
		l.pass(time.Minute)
		l.succeed(all...)
	})
}

func TestRateServesTheNextAfterAWaiterIsCancelled(t *testing.T) {
	withLimiter(t, Limits{Rate: 1, Burst: 1, Queue: 10}, func(l *limiterTest) {
		first := l.start(l.t.Context(), "a")
		ctx, cancel := context.WithCancel(l.t.Context())
		l.start(ctx, "b")
		cancel()
		synctest.Wait()
		next := l.start(l.t.Context(), "c")
		l.pass(time.Second)
		l.succeed(first, next)
		l.pass(time.Minute)
		l.succeed(l.start(l.t.Context(), "a"))
	})
}

// TestNewUpdateDoesNotOvertakeWaiters has an update that arrives when the rate allows
// one more attempt and the timer has not served the waiters yet.
func TestNewUpdateDoesNotOvertakeWaiters(t *testing.T) {
	withLimiter(t, Limits{Rate: 1, Burst: 1, Queue: 10}, func(l *limiterTest) {
		first := l.start(l.t.Context(), "a")
		waiting := l.start(l.t.Context(), "b")
		l.rateTimer.Stop()
		l.pass(time.Second)
		newcomer := l.start(l.t.Context(), "c")
		l.onRateTimer()
		synctest.Wait()
		if !waiting.done() || newcomer.done() {
			l.t.Errorf("%v and %v, want the first to have a slot, and the second to wait", waiting, newcomer)
		}
		l.pass(time.Second)
		l.succeed(first, waiting, newcomer)
	})
}

func TestRateAndLimitTogether(t *testing.T) {
	withLimiter(t, Limits{MaxConcurrency: 1, MinConcurrency: 1, Rate: 10, Burst: 1, Queue: 10}, func(l *limiterTest) {
		all := l.startAll(3, "a")
		l.pass(time.Second)
		l.want(1, 1, 2) // The rate would allow another.
		l.succeed(all[0])
		l.want(1, 1, 1)
		l.succeed(all[1])
		l.want(1, 0, 1) // The limit would allow another.
		l.pass(100 * time.Millisecond)
		l.want(1, 1, 0)
		l.succeed(all[2])
	})
}

// limited returns a configuration with a concurrency limit and one retry.
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
		want := UpstreamState{AccountSID: "AC1", Host: "https://twilio.test", Breaker: "off", ConcurrencyLimit: 2, InFlight: 2, Waiting: 2}
		if got := w.Upstreams(); len(got) != 1 || got[0] != want {
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

func TestA429FromTwilioShrinksTheLimit(t *testing.T) {
	with(t, limited(8), func(w *world) {
		p := w.start(on("CA1", mute))
		w.answer(1, status(429))
		if got := w.Upstreams()[0].ConcurrencyLimit; got != 4 {
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
		if got := w.Upstreams()[0].ConcurrencyLimit; got != 1 {
			w.t.Errorf("the limit is %d, want 1", got)
		}
	})
}

// TestUpdateThatWaitsForARetryHoldsNoSlot checks that another update is sent
// meanwhile.
func TestUpdateThatWaitsForARetryHoldsNoSlot(t *testing.T) {
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

func TestRetryRefusedByTheLimitHasTheOutcomeOfTheLastAttempt(t *testing.T) {
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

func TestDeliverIsOverloadedWhenTheQueueIsFull(t *testing.T) {
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
