package redisstore

import (
	"testing"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// enter claims the request id and joins the queue of CA1.
func enter(t *testing.T, s delivery.Store, id string) (delivery.Entry, *delivery.Record, error) {
	t.Helper()
	return s.Enter(within(t), key(id), content, queued("caller", "CA1", announce))
}

func enterNew(t *testing.T, s delivery.Store, id string) delivery.Entry {
	t.Helper()
	e, record, err := enter(t, s, id)
	if record != nil || err != nil {
		t.Fatalf("%s: %v, %v, want to own it", id, record, err)
	}
	return e
}

// wantSent sends the update, which has that request id.
func wantSent(t *testing.T, s delivery.Store, id string, e delivery.Entry) {
	t.Helper()
	wantBegins(t, id, e)
	wantHeld(t, s, key(id))
	e.End(delivery.End{Applied: outcome.Yes, CallSID: "CA1", Label: "desk"})
	s.Settle(key(id), &delivery.Record{Content: content})
	e.Leave()
}

// The replica a may be of the version before, which has no Enter.

func TestEnterClaimsAndJoins(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		first := enterNew(t, s.b, "1")
		second := enterNew(t, s.b, "2")
		third := join(t, s.a, "CA1", announce)
		wantWaits(t, "the second", second)
		for _, replica := range []delivery.Store{s.a, s.b} {
			_, err := replica.Claim(within(t), key("1"), otherContent)
			wantRefused(t, err, outcome.RequestIDReused)
		}
		wantSent(t, s.b, "1", first)
		wantSent(t, s.b, "2", second)
		send(t, "the third", third)
		s.wait()
		wantSent(t, s.b, "3", enterNew(t, s.b, "3"))
		s.wait()
		for _, id := range []string{"1", "2", "3"} {
			if record, err := s.a.Claim(within(t), key(id), content); record == nil || err != nil {
				t.Errorf("%s: %v, %v, want the record", id, record, err)
			}
			if _, record, err := enter(t, s.b, id); record == nil || err != nil {
				t.Errorf("%s: %v, %v, want the record", id, record, err)
			}
		}
	})
}

func TestEnterWaitsForTheFirstUpdate(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		claimNew(t, s.a, key("1"))
		claimNew(t, s.a, key("2"))
		entered := make(chan delivery.Entry)
		go func() {
			_, record, err := enter(t, s.b, "1")
			if record == nil || err != nil {
				t.Errorf("the first has a record: %v, %v", record, err)
			}
			e, record, err := enter(t, s.b, "2")
			if record != nil || err != nil {
				t.Errorf("the first has no record: %v, %v", record, err)
			}
			entered <- e
		}()
		s.a.Settle(key("1"), &delivery.Record{Content: content})
		s.a.Settle(key("2"), nil)
		wantSent(t, s.b, "2", <-entered)
		s.wait()
	})
}

// TestEnterAFullQueue: the request id is free again.
func TestEnterAFullQueue(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		var queue []delivery.Entry
		for range testBounds().Queue + 1 {
			queue = append(queue, join(t, s.a, "CA1", announce))
		}
		_, _, err := enter(t, s.b, "1")
		wantRefused(t, err, outcome.Overloaded)
		s.wait()
		claimNew(t, s.a, key("1"))
		s.a.Settle(key("1"), nil)
		for _, e := range queue {
			e.Leave()
		}
	})
}

// TestEnterAQueueThatHasBecomeEmpty: Redis has not noted that the update may be sent, so
// Hold asks.
func TestEnterAQueueThatHasBecomeEmpty(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		s.freeze()
		s.fresh = longLease
		seen := observe(s)
		e, _, err := s.tryEnter(within(t), key("1"), s.newClaim(key("1"), content), queued("caller", "CA1", announce), false)
		if err != nil {
			t.Fatal(err)
		}
		wantSent(t, s, "1", e)
		s.background.Wait()
		seen.want(t, map[string]int{"line ok": 2, "claim ok": 3})
	})
}

// TestReplicaDiesAfterEnter: the outcome of an update is unknown only if it may have been
// sent. A replica of the version before sees the same.
func TestReplicaDiesAfterEnter(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for id, dial := range map[string]func(*testing.T, Config) *Store{"current": dial, "before": dialPrevious} {
			stopped, _ := replicas(t, b, Mixed)
			other := dial(t, Config{URL: b.url, Lease: longLease})
			first := enterNew(t, stopped, "first "+id)
			wantBegins(t, "the first", first)
			waits := enterNew(t, stopped, "waits "+id)
			stopped.freeze()
			record, err := other.Claim(within(t), key("first "+id), content)
			if err != nil || record == nil || *record != (delivery.Record{Content: content}) {
				t.Errorf("%s: the claim of the first: %+v, %v, want an unknown outcome", id, record, err)
			}
			claimNew(t, other, key("waits "+id))
			other.Settle(key("waits "+id), nil)
			first.Leave()
			waits.Leave()
		}
	})
}

// TestEnterWithoutRedis: the policy decides, and neither place is kept.
func TestEnterWithoutRedis(t *testing.T) {
	s := dial(t, Config{URL: "redis://127.0.0.1:1", Failure: Mixed, Lease: longLease})
	_, _, err := enter(t, s, "1")
	wantRefused(t, err, outcome.StateUnavailable)
	if left := s.Sizes(); left.Records != 0 || left.Waiting != 0 {
		t.Errorf("left: %+v", left)
	}
	open := dial(t, Config{URL: "redis://127.0.0.1:1", Failure: Open, Lease: longLease})
	wantSent(t, open, "1", enterNew(t, open, "1"))
}

// TestLabelInUseIsKept: an answer that shows nothing new refreshes it.
func TestLabelInUseIsKept(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: time.Second})
		age := func(key string) time.Duration {
			left, err := s.redis.connection().Do(t.Context(), s.redis.connection().B().Pttl().Key(key).Build()).AsInt64()
			if err != nil {
				t.Fatal(err)
			}
			return time.Duration(left) * time.Millisecond
		}
		s.freeze()
		names := []string{queueKey(participant("").Conference) + ":label:desk", queueKey(participant("").Conference) + ":call:CA1"}
		stores{s, s}.know(t, "desk", "CA1")
		for _, name := range names {
			s.redis.connection().Do(t.Context(), s.redis.connection().B().Pexpire().Key(name).Milliseconds(testBounds().LabelAge.Milliseconds()/3).Build())
		}
		stores{s, s}.know(t, "desk", "CA1")
		for _, name := range names {
			if left := age(name); left < testBounds().LabelAge/2 {
				t.Errorf("%s ends in %v", name, left)
			}
		}
	})
}
