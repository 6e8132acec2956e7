package redisstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// fakeTwilio counts the requests, and answers some of them with 429.
type fakeTwilio struct {
	mu      sync.Mutex
	seen    int
	busy    map[string]int
	played  map[string]int
	overlap int
}

// Do implements delivery.Sender.
func (f *fakeTwilio) Do(
	_ context.Context, _ *twilio.Account, r *twilio.Request, permit func() error,
) (*twilio.Answer, error) {
	if err := permit(); err != nil {
		return nil, err
	}
	return f.answer(r.Path.Participant, r.Change, f.arrive(r.Path.Participant))
}

func (f *fakeTwilio) answer(
	participant string, change *property.Values, refused bool,
) (*twilio.Answer, error) {
	<-time.After(time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy[participant]--
	if refused {
		return nil, &twilio.Error{HTTPStatus: 429}
	}
	if change.Set().Has(property.AnnounceURL) {
		f.played[change.Get(property.AnnounceURL)]++
	}
	return &twilio.Answer{HTTPStatus: 200, RequestID: fmt.Sprint("RQ", f.seen)}, nil
}

func (f *fakeTwilio) arrive(participant string) (refused bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	f.busy[participant]++
	if f.busy[participant] > 1 {
		f.overlap++
	}
	return f.seen%7 == 0
}

// deliverers returns two replicas' on one Redis and one Twilio.
func deliverers(t *testing.T, b *backend, to *fakeTwilio) [2]*delivery.Deliverer {
	t.Helper()
	cfg := delivery.Default()
	cfg.Bounds = testBounds()
	cfg.Bounds.Queue = 50
	cfg.Retrying.Base = time.Millisecond
	var two [2]*delivery.Deliverer
	for i := range two {
		s, err := Dial(Config{URL: b.url, Lease: longLease, Timeout: patience}, cfg.Bounds, quiet)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		two[i] = delivery.New(cfg, to, s, quiet)
	}
	return two
}

func announcement(n int) *delivery.Update {
	change := new(property.Values)
	change.Put(property.AnnounceURL, fmt.Sprint("https://media.example/", n))
	return &delivery.Update{
		Request: twilio.Request{
			Path:   twilio.Path{AccountSID: "AC1", ConferenceSID: "CF1", Participant: fmt.Sprint("CA", n%2)},
			Change: change,
		},
		Account:   &twilio.Account{SID: "AC1", BaseURL: "https://twilio.test"},
		Caller:    "caller",
		RequestID: fmt.Sprint("id", n),
	}
}

// TestRequestIDsOfTwoReplicas sends each of many announcements twice to each of two
// replicas: it is played once, and all of its callers get the same answer.
func TestRequestIDsOfTwoReplicas(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		const updates = 12
		to := &fakeTwilio{busy: map[string]int{}, played: map[string]int{}}
		two := deliverers(t, b, to)
		var callers sync.WaitGroup
		for n := range updates {
			callers.Go(func() { deliverFourTimes(t, two, announcement(n)) })
		}
		callers.Wait()
		if to.overlap > 0 {
			t.Errorf("%d were sent while another was in flight", to.overlap)
		}
		for url, times := range to.played {
			if times != 1 {
				t.Errorf("%s was played %d times", url, times)
			}
		}
		if len(to.played) != updates {
			t.Errorf("%d were played, want %d", len(to.played), updates)
		}
	})
}

func deliverFourTimes(t *testing.T, two [2]*delivery.Deliverer, update *delivery.Update) {
	answers := make(chan string)
	const times = 4
	for i := range times {
		go func() {
			answer, err := two[i%2].Deliver(within(t), update)
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- answer.RequestID
		}()
	}
	first := <-answers
	for range times - 1 {
		if other := <-answers; other != first {
			t.Errorf("one answer is %q and another %q", first, other)
		}
	}
}

// instant answers at once.
type instant struct{}

func (instant) Do(context.Context, *twilio.Account, *twilio.Request, func() error) (*twilio.Answer, error) {
	return &twilio.Answer{HTTPStatus: 200}, nil
}

// BenchmarkDeliver delivers updates with a Redis on the same machine.
func BenchmarkDeliver(b *testing.B) {
	cfg := delivery.Default()
	s, err := Dial(Config{URL: startReal(b).url}, cfg.Bounds, quiet)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	d := delivery.New(cfg, instant{}, s, quiet)
	var n atomic.Int64
	for _, id := range []bool{false, true} {
		b.Run(fmt.Sprintf("request id %t", id), func(b *testing.B) {
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					update := announcement(int(n.Add(1)))
					update.Path.Participant = update.RequestID
					if !id {
						update.RequestID = ""
					}
					if _, err := d.Deliver(context.Background(), update); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
