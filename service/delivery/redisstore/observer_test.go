package redisstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// observed counts the calls of an observer.
type observed struct {
	mu    sync.Mutex
	times map[string]int
}

// observe counts from now on. The store must not have been used before.
func observe(s *Store) *observed {
	o := &observed{times: map[string]int{}}
	s.Observe(delivery.StoreObserver{
		Requested: func(op delivery.StoreOperation, result delivery.StoreResult, took time.Duration) {
			if (took == 0) != (result == delivery.StoreNotAsked) {
				o.add(fmt.Sprintf("%s after %v", result, took))
			}
			o.add(string(op) + " " + string(result))
		},
		LeaseLost: func(lease delivery.StoreLease) { o.add("lost " + string(lease)) },
		Separated: func() { o.add("separated") },
	})
	return o
}

func (o *observed) add(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.times[what]++
}

func (o *observed) of(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.times[what]
}

func (o *observed) want(t *testing.T, want map[string]int) {
	t.Helper()
	for what, times := range want {
		if got := o.of(what); got != times {
			t.Errorf("%s: %d times, want %d", what, got, times)
		}
	}
}

// TestRequestsOfAnUpdate counts them. Redis is not asked before an attempt if it has
// just said whose turn it is.
func TestRequestsOfAnUpdate(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		s.freeze() // From now on, only the test makes requests.
		seen := observe(s)
		for _, test := range []struct {
			fresh    time.Duration
			requests int
		}{{longLease, 2}, {0, 3}} {
			s.fresh = test.fresh
			before := seen.of("line ok")
			e := join(t, s, "CA1", muted)
			wantBegins(t, "the update", e)
			e.End(delivery.End{Applied: outcome.Yes, CallSID: "CA1", Label: "desk"})
			e.Leave()
			s.background.Wait()
			seen.want(t, map[string]int{"line ok": before + test.requests, "claim ok": 0})
		}
		claimNew(t, s, key("1"))
		wantHeld(t, s, key("1"))
		s.Settle(key("1"), nil)
		s.background.Wait()
		seen.want(t, map[string]int{"line ok": 5, "claim ok": 3, "separated": 0, "lost turn": 0, "lost request_id": 0})
		s.fresh = longLease
		wantSent(t, s, "2", enterNew(t, s, "2"))
		s.background.Wait()
		seen.want(t, map[string]int{"line ok": 7, "claim ok": 5})
	})
}

func TestRequestsWithoutAnAnswer(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		// The client must not give up the connection before the request.
		separator := "?"
		if strings.Contains(b.url, separator) {
			separator = "&"
		}
		s := dial(t, Config{URL: b.url + separator + "write_timeout=1m", Lease: longLease, Timeout: time.Second})
		seen := observe(s)
		resume := b.hang()
		defer resume()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Join(short, queued("caller", "CA1", muted)); err == nil {
			t.Error("the call whose deadline has ended is in the queue")
		}
		_, err := s.Claim(within(t), key("1"), content)
		wantRefused(t, err, outcome.StateUnavailable)
		seen.want(t, map[string]int{"line cut_off": 1, "claim timeout": 1, "claim error": 0})
	})
}

func TestStateOfRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		b.stop()
		s := dial(t, Config{URL: b.url, Lease: longLease})
		seen := observe(s)
		began := s.State()
		if began.Up || began.Since.IsZero() {
			t.Errorf("the state is %+v, want it down", began)
		}
		_, err := s.Claim(within(t), key("1"), content)
		wantRefused(t, err, outcome.StateUnavailable)
		if seen.of("claim not_asked") == 0 {
			t.Error("a claim asked a Redis that is down")
		}
		b.start()
		await(t, "the state is up", func() bool { return s.State().Up })
		up := s.State()
		b.stop()
		await(t, "the state is down", func() bool { return !s.State().Up })
		if !up.Since.After(began.Since) || !s.State().Since.After(up.Since) {
			t.Errorf("down since %v, up since %v, down since %v", began.Since, up.Since, s.State().Since)
		}
	})
}
