package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// metric is the name of a measured value, with its unit.
type metric string

const (
	throughput metric = "calls/s"
	p50        metric = "p50 ms"
	p99        metric = "p99 ms"

	// Of the servers of a subject together.
	cpu         metric = "CPU µs/call"
	allocations metric = "allocs/call"
	rest        metric = "at rest, MiB"
	peak        metric = "peak MiB"
	goroutines  metric = "goroutines/call"

	redisCPU metric = "Redis µs/call"
)

// measurements are the values of each subject's metrics, one for each round.
type measurements map[string]map[metric][]float64

func (m measurements) add(s subject, name metric, value float64) {
	if m[s.name] == nil {
		m[s.name] = map[metric][]float64{}
	}
	m[s.name][name] = append(m[s.name][name], value)
}

func (m measurements) addTimings(s subject, t timings) {
	m.add(s, throughput, t.perSecond())
	m.add(s, p50, milliseconds(t.quantile(0.5)))
	m.add(s, p99, milliseconds(t.quantile(0.99)))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// compare measures conferenced beside floor and peer, or, at the usual load only,
// beside a baseline, and writes the report.
func (b *bench) compare(ctx context.Context, w io.Writer) error {
	began := time.Now()
	rows, steps := comparedRows, []func(context.Context, *report) error{
		b.measureLoads, b.measureHalfLoad, b.measureInFlight, b.measureStarts,
	}
	if b.baseline != "" {
		rows, steps, b.callers = baselineRows, steps[:1], []int{usualCallers}
	}
	if err := b.connect(ctx, rows); err != nil {
		return err
	}
	var r report
	for _, step := range steps {
		if err := step(ctx, &r); err != nil {
			return err
		}
	}
	r.took = time.Since(began)
	return b.writeReport(w, r)
}

// measureLoads measures the subjects round by round at each number of callers.
func (b *bench) measureLoads(ctx context.Context, r *report) error {
	r.loads = map[int]measurements{}
	for _, callers := range b.callers {
		r.loads[callers] = measurements{}
	}
	for round := range b.rounds {
		b.say("round %d of %d", round+1, b.rounds)
		for _, callers := range b.callers {
			for _, s := range b.inTurn(round) {
				if err := b.measureLoad(ctx, s, callers, r.loads[callers]); err != nil {
					return fmt.Errorf("%s with %d callers: %w", s.name, callers, err)
				}
			}
		}
	}
	return nil
}

// inTurn returns the subjects in the order of a round. Each round begins with the next
// subject.
func (b *bench) inTurn(round int) []subject {
	first := round % len(b.subjects)
	return slices.Concat(b.subjects[first:], b.subjects[:first])
}

// measureLoad measures a subject for one slice, after a tenth of a slice that does not
// count. Reading the number of allocations allocates too: the difference of two readings
// in a row is subtracted.
func (b *bench) measureLoad(ctx context.Context, s subject, callers int, into measurements) error {
	if _, err := closedLoop(ctx, s.call, callers, b.slice/10); err != nil {
		return err
	}
	for _, p := range s.servers {
		p.resetPeak()
	}
	mallocs := func(p *process) (float64, error) { return p.metric(ctx, "go_memstats_mallocs_total") }
	first, err1 := sum(s.servers, mallocs)
	before, err2 := sum(s.servers, mallocs)
	cpuBefore, err3 := sum(s.servers, (*process).cpuTime)
	redisBefore, err4 := sum(s.redis, (*process).cpuTime)
	t, err5 := closedLoop(ctx, s.call, callers, b.slice)
	redisAfter, err6 := sum(s.redis, (*process).cpuTime)
	cpuAfter, err7 := sum(s.servers, (*process).cpuTime)
	after, err8 := sum(s.servers, mallocs)
	peakMiB, err9 := sum(s.servers, (*process).peakMemory)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		return err
	}
	reading, all := before-first, after-before
	calls := float64(len(t.latencies))
	into.addTimings(s, t)
	into.add(s, cpu, float64((cpuAfter-cpuBefore).Microseconds())/calls)
	into.add(s, redisCPU, float64((redisAfter-redisBefore).Microseconds())/calls)
	into.add(s, allocations, (all-reading)/calls)
	into.add(s, peak, peakMiB)
	return truncateFiles(s.servers...)
}

// sum adds up a value of the processes.
func sum[T float64 | time.Duration](processes []*process, valueOf func(*process) (T, error)) (T, error) {
	var total T
	for _, p := range processes {
		value, err := valueOf(p)
		if err != nil {
			return 0, err
		}
		total += value
	}
	return total, nil
}

// measureHalfLoad measures latencies at half the rate that the slowest subject
// reaches. It takes fewer, longer rounds: a p99 needs many calls.
func (b *bench) measureHalfLoad(ctx context.Context, r *report) error {
	b.say("half load")
	var rates []float64
	for _, s := range b.subjects {
		rates = append(rates, spreadOf(r.loads[usualCallers][s.name][throughput]).median)
	}
	r.halfRate, r.half = slices.Min(rates)/2, measurements{}
	const fewer = 3
	for round := range max(1, b.rounds/fewer) {
		for _, s := range b.inTurn(round) {
			t, err := openLoop(ctx, s.call, r.halfRate, fewer*b.slice)
			if err := errors.Join(err, truncateFiles(s.servers...)); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			r.half.addTimings(s, t)
		}
	}
	return nil
}

// measureInFlight measures the memory of fresh processes with many calls in
// flight to a slow upstream.
func (b *bench) measureInFlight(ctx context.Context, r *report) error {
	stub, err := b.startStub(ctx, b.latency)
	if err != nil {
		return err
	}
	r.inFlight = measurements{}
	const fewer = 10
	for round := range max(1, b.rounds/fewer) {
		b.say("%d calls in flight", b.inFlight)
		for _, s := range b.inTurn(round) {
			p, err := b.start(ctx, s.system, stub)
			if err != nil {
				return err
			}
			err = b.fill(ctx, s, p, r.inFlight)
			p.stop()
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// fill makes each caller call the process twice, and counts goroutines during the second
// call.
func (b *bench) fill(ctx context.Context, s subject, p *process, into measurements) error {
	do, disconnect := s.protocol(p)
	defer disconnect()
	const running = "go_goroutines"
	atRest, err1 := p.metric(ctx, running)
	restMiB, err2 := p.residentMemory()
	var t timings
	var busy float64
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		t, err = closedLoop(ctx, do, b.inFlight, b.latency*3/2)
		return err
	})
	group.Go(func() (err error) {
		time.Sleep(b.latency * 7 / 4)
		busy, err = p.metric(ctx, running)
		return err
	})
	err3 := group.Wait()
	peakMiB, err4 := p.peakMemory()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	into.addTimings(s, t)
	into.add(s, rest, restMiB)
	into.add(s, peak, peakMiB)
	into.add(s, goroutines, (busy-atRest)/float64(b.inFlight))
	return nil
}

// measureStarts measures the time of cold starts and the size of the binary.
func (b *bench) measureStarts(ctx context.Context, r *report) error {
	b.say("cold starts")
	for range 9 {
		p, err := b.start(ctx, "conferenced", b.stub)
		if err != nil {
			return err
		}
		r.ready = append(r.ready, milliseconds(p.ready))
		p.stop()
	}
	binary, err := os.ReadFile(b.binary)
	r.binarySize = len(binary)
	return err
}

// spread is the median and the range of the values of the rounds.
type spread struct{ median, low, high float64 }

// spreadOf returns the zero spread for no values.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	upper, lower := sorted[len(sorted)/2], sorted[(len(sorted)-1)/2]
	return spread{median: (lower + upper) / 2, low: sorted[0], high: sorted[len(sorted)-1]}
}

// String returns the median and the range, such as 1.20 (1.17–1.24).
func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.low, s.high) }

// paired combines values with the values of another row in the same rounds.
func paired(values, others []float64, combine func(value, other float64) float64) spread {
	combined := make([]float64, min(len(values), len(others)))
	for i := range combined {
		combined[i] = combine(values[i], others[i])
	}
	return spreadOf(combined)
}

func ratio(value, other float64) float64      { return value / other }
func difference(value, other float64) float64 { return value - other }
