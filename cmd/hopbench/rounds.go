package main

import (
	"context"
	"io"
	"time"
)

// Names of the contestants.
const (
	nameFloor    = "floor"
	namePeer     = "peer gRPC"
	namePeerREST = "peer REST"
	nameGRPC     = "conferenced gRPC"
	nameREST     = "conferenced REST"
	nameTwilio   = "conferenced Twilio path"
)

// results are the samples by number of clients and contestant, one a round.
type results map[int]map[string][]sample

// compare measures everything and writes the report.
func (b *bench) compare(ctx context.Context, stdout io.Writer) error {
	began := time.Now()
	if err := b.enter(ctx); err != nil {
		return err
	}
	r := report{results: results{}}
	for _, step := range []func(context.Context, *report) error{
		b.playRounds, b.playHalfLoad, b.fillFlights, b.timeStarts, b.weigh,
	} {
		if err := step(ctx, &r); err != nil {
			return err
		}
	}
	r.took = time.Since(began)
	return r.write(stdout, b)
}

// enter starts the contestants.
func (b *bench) enter(ctx context.Context) error {
	b.say("starting the contestants")
	if err := b.enterFloor(ctx); err != nil {
		return err
	}
	peer, err := b.startOwn(ctx, "peer", b.stub)
	if err != nil {
		return err
	}
	if err := b.join(ctx, namePeer, peer, overGRPC, ""); err != nil {
		return err
	}
	if err := b.joinConferenced(ctx, "", b.binary, namePeer, namePeerREST); err != nil {
		return err
	}
	return b.join(ctx, namePeerREST, peer, overREST, "")
}

func (b *bench) enterFloor(ctx context.Context) error {
	s, err := b.startOwn(ctx, "floor", b.stub)
	if err != nil {
		return err
	}
	return b.join(ctx, nameFloor, s, overGRPC, "")
}

// joinConferenced starts a conferenced and has it take part in three ways, by
// gRPC against one peer and by HTTP against another.
func (b *bench) joinConferenced(ctx context.Context, prefix, binary, peerGRPC, peerHTTP string) error {
	s, err := b.startConferenced(ctx, prefix+"conferenced", binary, b.stub)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name    string
		open    open
		against string
	}{
		{nameGRPC, overGRPC, peerGRPC}, {nameREST, overREST, peerHTTP}, {nameTwilio, overTwilioPath, peerHTTP},
	} {
		if err := b.join(ctx, prefix+c.name, s, c.open, c.against); err != nil {
			return err
		}
	}
	return nil
}

// playRounds measures the contestants in turn. Each round begins with another.
func (b *bench) playRounds(ctx context.Context, r *report) error {
	return b.play(ctx, r.results, b.counts)
}

func (b *bench) play(ctx context.Context, into results, counts []int) error {
	for _, clients := range counts {
		into[clients] = map[string][]sample{}
	}
	for round := range b.rounds {
		b.say("round %d of %d", round+1, b.rounds)
		for _, clients := range counts {
			for _, c := range b.inTurn(round) {
				s, err := c.measure(ctx, clients, b.slice)
				if err != nil {
					return err
				}
				into[clients][c.name] = append(into[clients][c.name], s)
			}
		}
	}
	return nil
}

// inTurn are the contestants in the order of a round.
func (b *bench) inTurn(round int) []*contestant {
	first := round % len(b.contestants)
	return append(b.contestants[first:len(b.contestants):len(b.contestants)], b.contestants[:first]...)
}

// halfLoad is what the contestants showed at one rate, one value a round.
type halfLoad struct {
	rate     float64 // Calls per second.
	p50, p99 map[string][]float64
}

// playHalfLoad measures latencies at half of what the slowest contestant does, in
// fewer rounds that are longer: a p99 is of no use without many calls.
func (b *bench) playHalfLoad(ctx context.Context, r *report) error {
	b.say("half load")
	rates := make([]float64, 0, len(b.contestants))
	for _, c := range b.contestants {
		rates = append(rates, medianOf(r.results[usualClients][c.name], throughput))
	}
	r.half = halfLoad{rate: spreadOf(rates).low / 2, p50: map[string][]float64{}, p99: map[string][]float64{}}
	const fewer = 3
	for round := range max(1, b.rounds/fewer) {
		for _, c := range b.inTurn(round) {
			t, err := openLoop(ctx, c.do, r.half.rate, fewer*b.slice)
			if err != nil {
				return err
			}
			r.half.p50[c.name] = append(r.half.p50[c.name], milliseconds(t.quantile(0.5)))
			r.half.p99[c.name] = append(r.half.p99[c.name], milliseconds(t.quantile(0.99)))
			if err := c.server.empty(); err != nil {
				return err
			}
		}
	}
	return nil
}

// column takes one value out of each sample.
func column(samples []sample, value func(sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	return values
}

func throughput(s sample) float64 { return s.perSecond }
func cpu(s sample) float64        { return s.cpu }
