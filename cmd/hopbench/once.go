package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// flight is what a fresh server needed for many calls at a time.
type flight struct {
	idle, peak   float64 // MiB resident.
	heap, stacks float64 // MiB in use by Go, with the calls under way.
	goroutines   float64 // Per call.
	p99          float64 // Milliseconds.
}

// fillFlights has fresh servers carry many calls at a time.
func (b *bench) fillFlights(ctx context.Context, r *report) error {
	stub, err := b.startStub(ctx, b.slowUpstream)
	if err != nil {
		return err
	}
	defer stub.stop()
	own := func(ctx context.Context, name string) (*process, error) { return b.startOwn(ctx, name, stub) }
	ours := func(ctx context.Context, name string) (*process, error) {
		return b.startConferenced(ctx, name, b.binary, stub)
	}
	r.flights = map[string]flight{}
	for _, f := range []struct {
		name, server string
		start        func(context.Context, string) (*process, error)
		open         open
	}{
		{nameFloor, "floor", own, overGRPC},
		{namePeer, "peer", own, overGRPC},
		{nameGRPC, "conferenced", ours, overGRPC},
		{namePeerREST, "peer", own, overREST},
		{nameREST, "conferenced", ours, overREST},
	} {
		b.say("%d calls in flight: %s", b.inFlight, f.name)
		s, err := f.start(ctx, f.server)
		if err != nil {
			return err
		}
		r.flights[f.name], err = b.fill(ctx, s, f.open)
		s.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// fill has each client make two calls or three, and looks at the server when all
// are in their second.
func (b *bench) fill(ctx context.Context, s *process, open open) (f flight, err error) {
	how, err := open(s, b.callers)
	if err != nil {
		return f, err
	}
	defer how.close()
	pid := s.command.Process.Pid
	idle, err := s.metrics(ctx)
	if err != nil {
		return f, err
	}
	resident, _, err := memory(pid)
	if err != nil {
		return f, err
	}
	type look struct {
		metrics map[string]float64
		err     error
	}
	seen := make(chan look, 1)
	time.AfterFunc(b.slowUpstream*7/4, func() {
		metrics, err := s.metrics(ctx)
		seen <- look{metrics, err}
	})
	t, err := closedLoop(ctx, how.do, b.inFlight, b.slowUpstream*3/2)
	if err != nil {
		return f, err
	}
	busy := <-seen
	if busy.err != nil {
		return f, busy.err
	}
	_, peak, err := memory(pid)
	return flight{
		idle: mebibytes(resident), peak: mebibytes(peak), p99: milliseconds(t.quantile(0.99)),
		heap: busy.metrics[heapInUse] / (1 << 20), stacks: busy.metrics[stackInUse] / (1 << 20),
		goroutines: (busy.metrics[goroutines] - idle[goroutines]) / float64(b.inFlight),
	}, err
}

// timeStarts times how long fresh servers take until they are ready.
func (b *bench) timeStarts(ctx context.Context, r *report) error {
	b.say("cold starts")
	r.starts = map[string][]float64{}
	for range b.starts {
		for _, name := range []string{"floor", "peer", "conferenced"} {
			s, err := b.startAny(ctx, name)
			if err != nil {
				return err
			}
			r.starts[name] = append(r.starts[name], milliseconds(s.ready))
			s.stop()
		}
	}
	return nil
}

func (b *bench) startAny(ctx context.Context, name string) (*process, error) {
	if name == "conferenced" {
		return b.startConferenced(ctx, name, b.binary, b.stub)
	}
	return b.startOwn(ctx, name, b.stub)
}

// weigh takes the size of the binary.
func (b *bench) weigh(_ context.Context, r *report) error {
	info, err := os.Stat(b.binary)
	if err != nil {
		return err
	}
	r.binaryMiB = mebibytes(info.Size())
	return nil
}
