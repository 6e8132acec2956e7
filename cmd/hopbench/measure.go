package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// sample is what one contestant showed at a number of clients in one round.
type sample struct {
	perSecond   float64
	p50, p99    float64 // Milliseconds.
	cpu         float64 // Microseconds of the server's per call.
	allocations float64 // Of the server's per call.
	peak        float64 // MiB that the server had resident at most.
}

// contestant is a server and a way of calling it.
type contestant struct {
	name   string
	server *process
	way
	// against names the peer that it is compared with; "": none.
	against string
	// scrape is how many allocations reading the server's metrics costs it.
	scrape float64
}

const (
	mallocs    = "go_memstats_mallocs_total"
	goroutines = "go_goroutines"
	heapInUse  = "go_memstats_heap_inuse_bytes"
	stackInUse = "go_memstats_stack_inuse_bytes"
)

// join makes a contestant, and warms its server up.
func (b *bench) join(ctx context.Context, name string, s *process, open open, against string) error {
	how, err := open(s, b.callers)
	if err != nil {
		return err
	}
	c := &contestant{name: name, server: s, way: how, against: against}
	b.contestants = append(b.contestants, c)
	if _, err := closedLoop(ctx, c.do, usualClients, b.slice/2); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return c.calibrate(ctx)
}

// calibrate takes what reading the metrics costs, when nothing else goes on.
func (c *contestant) calibrate(ctx context.Context) error {
	c.scrape = math.Inf(1)
	for range 5 {
		cost, err := c.allocationsOf(ctx, func() error { return nil })
		if err != nil {
			return err
		}
		c.scrape = min(c.scrape, cost)
	}
	return nil
}

// measure loads the contestant for a while, after a tenth of that unmeasured.
func (c *contestant) measure(ctx context.Context, clients int, d time.Duration) (sample, error) {
	s, err := c.tryMeasure(ctx, clients, d)
	if err != nil {
		return s, fmt.Errorf("%s with %d clients: %w", c.name, clients, err)
	}
	return s, nil
}

func (c *contestant) tryMeasure(ctx context.Context, clients int, d time.Duration) (sample, error) {
	pid := c.server.command.Process.Pid
	if _, err := closedLoop(ctx, c.do, clients, d/10); err != nil {
		return sample{}, err
	}
	forgetPeak(pid)
	var t timings
	var spent time.Duration
	allocated, err := c.allocationsOf(ctx, func() (err error) {
		spent, err = cpuOf(pid, func() (err error) {
			t, err = closedLoop(ctx, c.do, clients, d)
			return err
		})
		return err
	})
	if err != nil {
		return sample{}, err
	}
	_, peak, err := memory(pid)
	if err != nil {
		return sample{}, err
	}
	calls := float64(len(t.latencies))
	return sample{
		perSecond: t.perSecond(), p50: milliseconds(t.quantile(0.5)), p99: milliseconds(t.quantile(0.99)),
		cpu: float64(spent.Microseconds()) / calls, allocations: (allocated - c.scrape) / calls, peak: mebibytes(peak),
	}, c.server.empty()
}

// allocationsOf is how many the server makes while work is done, and while it is
// asked for that.
func (c *contestant) allocationsOf(ctx context.Context, work func() error) (float64, error) {
	before, err := c.server.metrics(ctx)
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := c.server.metrics(ctx)
	return after[mallocs] - before[mallocs], err
}

// cpuOf is what the process spends while work is done.
func cpuOf(pid int, work func() error) (time.Duration, error) {
	before, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := cpuTime(pid)
	return after - before, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
