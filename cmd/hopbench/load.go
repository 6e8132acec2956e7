package main

import (
	"context"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// timings are the durations of the calls of one load.
type timings struct {
	latencies []time.Duration // Sorted.
	took      time.Duration   // From the begin of the first call to the end of the last one.
}

func (t timings) perSecond() float64 { return float64(len(t.latencies)) / t.took.Seconds() }

// quantile returns the lowest latency that this share of the calls did not
// exceed, 0 if there are no calls.
func (t timings) quantile(share float64) time.Duration {
	if len(t.latencies) == 0 {
		return 0
	}
	at := int(math.Ceil(share*float64(len(t.latencies)))) - 1
	return t.latencies[max(at, 0)]
}

// closedLoop has the callers call for a duration. Each starts its next call when
// its last one has ended, and makes at least one.
func closedLoop(ctx context.Context, do call, callers int, d time.Duration) (timings, error) {
	end := time.Now().Add(d)
	return load(ctx, do, callers, func(_, n int) (begin time.Time, more bool) {
		begin = time.Now()
		return begin, n == 0 || !begin.After(end)
	})
}

// openLoopCallers share the rate of an open loop. They bound the calls in flight.
const openLoopCallers = 256

// openLoop makes calls at a rate for a duration, whether earlier ones have ended
// or not. The latency of a call that waits for its caller counts from the time at
// which it was due. A late timer of this process does not count.
func openLoop(ctx context.Context, do call, perSecond float64, d time.Duration) (timings, error) {
	interval := time.Duration(openLoopCallers / perSecond * float64(time.Second))
	start := time.Now()
	return load(ctx, do, openLoopCallers, func(caller, n int) (begin time.Time, more bool) {
		after := interval*time.Duration(caller)/openLoopCallers + interval*time.Duration(n)
		due := start.Add(after)
		if after >= d || !time.Now().Before(due) {
			return due, after < d
		}
		time.Sleep(time.Until(due))
		return time.Now(), true
	})
}

// load runs the callers until all have ended. The first error ends them. Next
// waits for a caller's n-th call and returns when that begins, or false after the
// last one.
func load(
	ctx context.Context, do call, callers int, next func(caller, n int) (begin time.Time, more bool),
) (timings, error) {
	each := make([][]time.Duration, callers)
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for caller := range callers {
		group.Go(func() error {
			var latencies []time.Duration
			for begin, more := next(caller, 0); more; begin, more = next(caller, len(latencies)) {
				if err := do(ctx, caller, len(latencies)); err != nil {
					return err
				}
				latencies = append(latencies, time.Since(begin))
			}
			each[caller] = latencies
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return timings{}, err
	}
	all := timings{took: time.Since(start), latencies: slices.Concat(each...)}
	slices.Sort(all.latencies)
	return all, nil
}
