package delivery

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"conferenced/service/twilio"
)

// instant answers at once, so that a benchmark measures this package alone.
type instant struct{}

var answerAtOnce = &twilio.Answer{HTTPStatus: 200, Participant: twilio.Participant{Label: new("desk"), CallSID: new("CA1")}}

func (instant) Do(_ context.Context, _ *twilio.Account, _ *twilio.Request, permit func() error) (*twilio.Answer, error) {
	if err := permit(); err != nil {
		return nil, err
	}
	return answerAtOnce, nil
}

func benchmarked(b *testing.B) (*Deliverer, context.Context) {
	cfg := Default()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	b.Cleanup(cancel)
	b.ReportAllocs()
	return New(cfg, instant{}, NewMemory(cfg.Bounds), quiet), ctx
}

func BenchmarkDeliver(b *testing.B) {
	d, ctx := benchmarked(b)
	update := on("CA1", mute)
	for b.Loop() {
		if _, err := d.Deliver(ctx, update); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeliverEverythingOff measures an update with every mechanism disabled.
func BenchmarkDeliverEverythingOff(b *testing.B) {
	_, ctx := benchmarked(b)
	d := New(plain(), instant{}, NewMemory(Default().Bounds), quiet)
	update := on("CA1", mute)
	for b.Loop() {
		if _, err := d.Deliver(ctx, update); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeliverWithRequestID(b *testing.B) {
	d, ctx := benchmarked(b)
	update := on("CA1", mute)
	for n := 0; b.Loop(); n++ {
		update.RequestID = strconv.Itoa(n)
		if _, err := d.Deliver(ctx, update); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	d, ctx := benchmarked(b)
	update := withID("id", on("CA1", mute))
	for b.Loop() {
		if _, err := d.Deliver(ctx, update); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeliverToManyParticipants updates the 250 participants of the largest
// conference that Twilio allows.
func BenchmarkDeliverToManyParticipants(b *testing.B) {
	d, ctx := benchmarked(b)
	var updates [250]*Update
	for i := range updates {
		updates[i] = on(fmt.Sprint("CA", i), mute)
	}
	var next atomic.Int64
	b.SetParallelism(len(updates) / 2)
	b.RunParallel(func(pb *testing.PB) {
		update := updates[int(next.Add(1))%len(updates)]
		for pb.Next() {
			if _, err := d.Deliver(ctx, update); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
