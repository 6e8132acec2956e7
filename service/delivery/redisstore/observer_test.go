package redisstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"conferenced/service/delivery"
)

// tally is what an observer was told, by what it is and how often.
type tally struct {
	mu    sync.Mutex
	times map[string]int
}

// observe makes the tally of a store that nothing was asked of yet.
func observe(s *Store) *tally {
	c := &tally{times: map[string]int{}}
	s.Observe(Observer{
		Asked: func(op Operation, result Result, took time.Duration) {
			if (took == 0) != (result == NotAsked) {
				c.add(fmt.Sprintf("a wait of %v", took))
			}
			c.add(string(op) + " " + string(result))
		},
		Lost:  func(what Holding) { c.add("lost " + string(what)) },
		Alone: func() { c.add("alone") },
	})
	return c
}

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times[what]++
}

func (c *tally) of(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[what]
}

func (c *tally) want(t *testing.T, want map[string]int) {
	t.Helper()
	for what, times := range want {
		if got := c.of(what); got != times {
			t.Errorf("%s: told %d times, want %d", what, got, times)
		}
	}
}

// TestQuestionsAreObserved: each kind, and how often an update asks.
func TestQuestionsAreObserved(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		s.fresh = 0
		told := observe(s)
		if state := s.State(); !state.Up || state.Since.IsZero() {
			t.Errorf("the state is %+v, want that it is up", state)
		}
		s.freeze() // Nothing is asked from now on that the test does not ask.
		ticket := join(t, s, "CA1", muted)
		if err := valid(t, ticket); err != nil {
			t.Error(err)
		}
		ticket.Leave()
		s.telling.Wait()
		told.want(t, map[string]int{"line ok": 3, "claim ok": 0})
		s.Know(t.Context(), participant("desk"), "CA1")
		told.want(t, map[string]int{"line ok": 4})
		claimNew(t, s, key("1"))
		if err := s.Hold(within(t), key("1")); err != nil {
			t.Error(err)
		}
		s.Settle(t.Context(), key("1"), nil)
		told.want(t, map[string]int{"line ok": 4, "claim ok": 3, "alone": 0, "lost turn": 0, "lost request_id": 0})
	})
}

func TestOutageIsObserved(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: shortLease})
		told := observe(s)
		began := s.State().Since
		waiting := join(t, s, "CA1", muted)
		b.stop()
		await(t, "it is known that Redis is gone", func() bool { return !s.State().Up })
		if since := s.State().Since; !since.After(began) {
			t.Errorf("it is gone since %v, and was there at %v", since, began)
		}
		await(t, "the place in line is this replica's own", func() bool { return told.of("alone") == 1 })
		join(t, s, "CA2", muted).Leave()
		_, err := s.Claim(within(t), key("1"), content)
		wantRefused(t, err, delivery.StateUnavailable)
		told.want(t, map[string]int{"claim not_asked": 1, "alone": 2})
		if told.of("line not_asked") == 0 {
			t.Error("nothing was told of a place that Redis was not asked for")
		}
		waiting.Leave()

		b.start()
		await(t, "it is known that Redis is back", func() bool { return s.State().Up })
		told.want(t, map[string]int{"lost turn": 0, "lost request_id": 0})
	})
}

func TestSlownessIsObserved(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		// The connection is not given up before the question is.
		mark := "?"
		if strings.Contains(b.url, mark) {
			mark = "&"
		}
		s := dial(t, Config{URL: b.url + mark + "write_timeout=1m", Lease: longLease, Timeout: time.Second})
		told := observe(s)
		resume := b.hang()
		defer resume()
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Join(impatient, participant("CA1"), muted, false); err == nil {
			t.Error("the impatient one has a place")
		}
		_, err := s.Claim(within(t), key("1"), content)
		wantRefused(t, err, delivery.StateUnavailable)
		told.want(t, map[string]int{"line cut_off": 1, "claim timeout": 1, "claim error": 0})
	})
}

// TestWhatIsLostIsObserved: a replica stands still until its leases have ended.
func TestWhatIsLostIsObserved(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		frozen, other := replicas(t, b, Mixed)
		told := observe(frozen)
		claimNew(t, frozen, key("1"))
		first := join(t, frozen, "CA1", muted)
		frozen.freeze()
		second := join(t, other, "CA1", held)
		claimNew(t, other, key("1")) // Waits until the lease has ended.
		wantClosed(t, "the next has its turn once the lease has ended", second.Turn)
		wantRefused(t, valid(t, first), delivery.StateUnavailable)
		wantRefused(t, frozen.Hold(within(t), key("1")), delivery.StateUnavailable)
		told.want(t, map[string]int{"lost turn": 1, "lost request_id": 1, "alone": 0})
		first.Leave()
		second.Leave()
		frozen.Settle(t.Context(), key("1"), nil)
		other.Settle(t.Context(), key("1"), nil)
	})
}

// TestStateBeforeRedisWasThere: it is down, and up with its first answer.
func TestStateBeforeRedisWasThere(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		b.stop()
		s := dial(t, Config{URL: b.url, Lease: shortLease})
		if state := s.State(); state.Up || state.Since.IsZero() {
			t.Errorf("the state is %+v, want that it is down", state)
		}
		b.start()
		await(t, "it is known that Redis is there", func() bool { return s.State().Up })
	})
}
