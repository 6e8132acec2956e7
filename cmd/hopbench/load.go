package main

import (
	"context"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// timings are those of the calls of a load.
type timings struct {
	latencies []time.Duration // Sorted.
	took      time.Duration   // From the first call's begin to the last one's end.
}

// perSecond is the throughput.
func (t timings) perSecond() float64 { return float64(len(t.latencies)) / t.took.Seconds() }

// quantile is the least latency that a share of the calls did not exceed.
func (t timings) quantile(share float64) time.Duration {
	if len(t.latencies) == 0 {
		return 0
	}
	at := int(math.Ceil(share*float64(len(t.latencies)))) - 1
	return t.latencies[max(at, 0)]
}

// closedLoop has so many clients call for a while, each its next call as soon as
// the last one ended, and at least one.
func closedLoop(ctx context.Context, do call, clients int, d time.Duration) (timings, error) {
	return together(ctx, clients, func(ctx context.Context, client int) ([]time.Duration, error) {
		var latencies []time.Duration
		end := time.Now().Add(d)
		for n := 0; ; n++ {
			begin := time.Now()
			if n > 0 && begin.After(end) {
				return latencies, nil
			}
			if err := do(ctx, client, n); err != nil {
				return nil, err
			}
			latencies = append(latencies, time.Since(begin))
		}
	})
}

// pacers is how many clients share a rate. It bounds the calls at a time.
const pacers = 256

// openLoop makes so many calls per second for a while, whether earlier ones
// have ended or not. A call that has to wait for a client counts from when it
// was due. That the machine woke its client late does not count.
func openLoop(ctx context.Context, do call, rate float64, d time.Duration) (timings, error) {
	every := time.Duration(float64(pacers) / rate * float64(time.Second))
	start := time.Now()
	return together(ctx, pacers, func(ctx context.Context, client int) ([]time.Duration, error) {
		var latencies []time.Duration
		due := start.Add(every * time.Duration(client) / pacers)
		for n := 0; due.Sub(start) < d; n++ {
			begin := due
			if wait := time.Until(due); wait > 0 {
				time.Sleep(wait)
				begin = time.Now()
			}
			if err := do(ctx, client, n); err != nil {
				return nil, err
			}
			latencies = append(latencies, time.Since(begin))
			due = due.Add(every)
		}
		return latencies, nil
	})
}

// together runs the clients until all have ended. The first error ends them.
func together(
	ctx context.Context, clients int, work func(ctx context.Context, client int) ([]time.Duration, error),
) (timings, error) {
	each := make([][]time.Duration, clients)
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for client := range clients {
		group.Go(func() (err error) {
			each[client], err = work(ctx, client)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return timings{}, err
	}
	all := timings{took: time.Since(start), latencies: slices.Concat(each...)}
	slices.Sort(all.latencies)
	return all, nil
}
