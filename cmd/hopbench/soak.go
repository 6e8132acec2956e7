package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	soakCallers    = 24 // A third over each protocol.
	soakCallsAConn = 400
	soakSamples    = 60
)

// runSoak calls conferenced for a long time, with new participants, tokens and
// connections all the time, and reports its memory.
func (b *bench) runSoak(ctx context.Context, w io.Writer) error {
	p, err := b.start(ctx, "conferenced", b.stub)
	if err != nil {
		return err
	}
	var calls atomic.Int64
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for caller := range soakCallers {
		group.Go(func() error { return b.soakCaller(ctx, p, caller, start.Add(b.soak), &calls) })
	}
	group.Go(func() error { return b.sampleMemory(ctx, p, start, &calls, w) })
	return group.Wait()
}

func (b *bench) soakCaller(ctx context.Context, p *process, caller int, end time.Time, calls *atomic.Int64) error {
	connect := []protocol{overGRPC, overREST, overForm}[caller%3]
	var do call
	disconnect := func() {}
	for n := 0; time.Now().Before(end); n++ {
		if n%soakCallsAConn == 0 {
			disconnect()
			do, disconnect = connect(p)
		}
		participant := n / 2 // Each is updated twice.
		fresh := caller + soakCallers*(participant/participantsACaller)
		if err := do(ctx, fresh, participant); err != nil {
			return fmt.Errorf("call %d of caller %d: %w", n, caller, err)
		}
		calls.Add(1)
	}
	disconnect()
	return nil
}

// sampleMemory writes a line for each sample and a summary at the end.
func (b *bench) sampleMemory(ctx context.Context, p *process, start time.Time, calls *atomic.Int64, w io.Writer) error {
	var samples []float64
	ticks := time.NewTicker(b.soak / soakSamples)
	defer ticks.Stop()
	for time.Since(start) < b.soak {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
		resident, err := p.residentMemory()
		if err := errors.Join(err, truncateFiles(p)); err != nil {
			return err
		}
		samples = append(samples, resident)
		fmt.Fprintf(w, "after %v: %d calls, %.1f MiB resident\n", time.Since(start).Round(100*time.Millisecond), calls.Load(), resident)
	}
	third := max(len(samples)/3, 1)
	second, last := spreadOf(samples[third:2*third]), spreadOf(samples[len(samples)-third:])
	_, err := fmt.Fprintf(w, "The last third has %.2f × the memory of the second (medians). The peak is %.1f MiB.\n",
		last.median/second.median, spreadOf(samples).high)
	return err
}
