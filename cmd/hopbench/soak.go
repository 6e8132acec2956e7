package main

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// soakClients call at the same time, each by one of the three ways.
	soakClients = 24
	// soakCallers is how many the clients take turns as.
	soakCallers = 512
	// soakCalls is how many calls a client makes before it is another caller on
	// a new connection.
	soakCalls = 400
	// soakLooks is how often the memory is looked at.
	soakLooks = 60
)

// soak calls conferenced for a long time, with ever new participants and
// changing callers, and writes what memory it has.
func (b *bench) soak(ctx context.Context, stdout io.Writer) error {
	b.callers = newCallers(soakCallers)
	s, err := b.startConferenced(ctx, "conferenced", b.binary, b.stub)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, b.options.soak+patience)
	defer cancel()
	end := time.Now().Add(b.options.soak)
	counts := make([]counter, soakClients)
	group, ctx := errgroup.WithContext(ctx)
	for client := range soakClients {
		group.Go(func() error { return b.churn(ctx, s, client, end, &counts[client]) })
	}
	group.Go(func() error { return b.watch(ctx, s, end, counts, stdout) })
	return group.Wait()
}

// churn calls until the end, as one caller after the other.
func (b *bench) churn(ctx context.Context, s *process, client int, end time.Time, calls *counter) error {
	opens := []open{overGRPC, overREST, overTwilioPath}
	for turn := 0; time.Now().Before(end); turn++ {
		who := b.callers[(client+turn*soakClients)%len(b.callers)]
		how, err := opens[client%len(opens)](s, []caller{who})
		if err != nil {
			return err
		}
		err = churnOne(ctx, how.do, client, turn, end, calls)
		how.close()
		if err != nil {
			return fmt.Errorf("call %d of client %d: %w", calls.Load(), client, err)
		}
	}
	return nil
}

// churnOne makes the calls of one caller: two to each participant.
func churnOne(ctx context.Context, do call, client, turn int, end time.Time, calls *counter) error {
	for n := 0; n < soakCalls && time.Now().Before(end); n++ {
		fresh := client + soakClients*(turn*soakCalls/2/participants+n/2/participants)
		if err := do(ctx, fresh, n/2); err != nil {
			return err
		}
		calls.Add(1)
	}
	return nil
}

type counter = atomic.Int64

// watch writes a row about the memory now and then, and a summary at the end.
func (b *bench) watch(ctx context.Context, s *process, end time.Time, counts []counter, stdout io.Writer) error {
	if _, err := fmt.Fprint(stdout, "| after | calls | RSS MiB | heap MiB | goroutines |\n|---|---|---|---|---|\n"); err != nil {
		return err
	}
	var resident []float64
	ticks := time.NewTicker(b.options.soak / soakLooks)
	defer ticks.Stop()
	for time.Now().Before(end) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
		now, err := b.look(ctx, s, b.options.soak-time.Until(end), counts, stdout)
		if err != nil {
			return err
		}
		resident = append(resident, now)
	}
	third := max(len(resident)/3, 1)
	middle, last := spreadOf(resident[third:2*third]), spreadOf(resident[len(resident)-third:])
	_, err := fmt.Fprintf(stdout, "\nRSS of the last third is %.2f × that of the second (medians); the most was %.1f MiB.\n",
		last.median/middle.median, spreadOf(resident).high)
	return err
}

// look writes one row, and empties the server's files. It returns the resident
// memory in MiB.
func (b *bench) look(
	ctx context.Context, s *process, after time.Duration, counts []counter, stdout io.Writer,
) (float64, error) {
	metrics, err := s.metrics(ctx)
	if err != nil {
		return 0, err
	}
	now, _, err := memory(s.command.Process.Pid)
	if err != nil {
		return 0, err
	}
	var calls int64
	for i := range counts {
		calls += counts[i].Load()
	}
	if _, err := fmt.Fprintf(stdout, "| %v | %d | %.1f | %.1f | %.0f |\n", after.Round(100*time.Millisecond), calls,
		mebibytes(now), metrics[heapInUse]/(1<<20), metrics[goroutines]); err != nil {
		return 0, err
	}
	return mebibytes(now), s.empty()
}
