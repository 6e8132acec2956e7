package redisstore

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/property"
)

// TestWithoutRedis: which updates go on.
func TestWithoutRedis(t *testing.T) {
	for _, test := range []struct {
		failure                      Failure
		update, announcement, withID bool
	}{
		{Mixed, true, false, false},
		{Closed, false, false, false},
		{Open, true, true, true},
	} {
		t.Run(string(test.failure), func(t *testing.T) {
			s := dial(t, Config{URL: "redis://127.0.0.1:1", Failure: test.failure, Lease: longLease})
			_, err := s.Claim(within(t), key("1"), content)
			if test.withID {
				if err := errors.Join(err, s.Hold(within(t), key("1"))); err != nil {
					t.Errorf("an update with a request id: %v", err)
				}
				s.Settle(key("1"), nil)
			} else {
				wantRefused(t, err, outcome.StateUnavailable)
			}
			for sets, goesOn := range map[property.Set]bool{muted: test.update, announce: test.announcement} {
				e, err := s.Join(within(t), queued("caller", "CA1", sets))
				if !goesOn {
					wantRefused(t, err, outcome.StateUnavailable)
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", sets, err)
				}
				send(t, "an update that goes on", e)
			}
		})
	}
}

// TestRedisDiesWhileUpdatesWait: the updates that go on keep their order within the
// replica.
func TestRedisDiesWhileUpdatesWait(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: shortLease})
		seen := observe(s)
		claimNew(t, s, key("1"))
		first := join(t, s, "CA1", muted)
		wantBegins(t, "the first", first)
		announcement := join(t, s, "CA1", announce)
		second := join(t, s, "CA1", held)
		b.stop()

		wantOver(t, announcement, outcome.StateUnavailable)
		wantRefused(t, s.Hold(within(t), key("1")), outcome.StateUnavailable)
		s.Settle(key("1"), nil)
		await(t, "both updates are in a queue of this replica", func() bool { return s.local.Sizes().Waiting == 2 })
		wantWaits(t, "the second", second)
		third := join(t, s, "CA1", held)
		finish(first, outcome.No)
		if (stores{}).next(t, []delivery.Entry{second, third}) != 1 {
			t.Error("the second was sent")
		}
		finish(third, outcome.Yes)
		wantOver(t, second, outcome.Superseded)
		seen.want(t, map[string]int{"separated": 3, "lost turn": 0, "lost request_id": 0})
	})
}

// TestUpdateDoesNotOvertakeThoseThatWaitInRedis: it comes after Redis has failed, and
// before the leases of the others have ended.
func TestUpdateDoesNotOvertakeThoseThatWaitInRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		first, retried, waiting := join(t, s, "CA1", muted), join(t, s, "CA2", muted), join(t, s, "CA1", held)
		wantBegins(t, "the first", first)
		wantBegins(t, "one that is repeated", retried)
		retried.End(delivery.End{Applied: outcome.Maybe, Again: true})
		s.background.Wait()
		b.stop()
		last, other := join(t, s, "CA1", muted), join(t, s, "CA2", held)
		for _, e := range []delivery.Entry{waiting, last, other} {
			wantWaits(t, "an update behind another", e)
		}
		finish(first, outcome.Yes)
		send(t, "the second", waiting)
		send(t, "the last", last)
		retried.Resume()
		send(t, "the one that is repeated", retried)
		send(t, "the one behind it", other)
	})
}

// TestRedisFailsWhenAnUpdateBegins: it goes on in a queue of this replica.
func TestRedisFailsWhenAnUpdateBegins(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		s.fresh = 0
		update, announcement := join(t, s, "CA1", muted), join(t, s, "CA2", announce)
		newer := join(t, s, "CA1", muted)
		b.stop()
		wantPassedOver(t, update)
		send(t, "the newer", newer)
		wantOver(t, update, outcome.Superseded)
		wantRefused(t, begin(t, announcement), outcome.StateUnavailable)
		announcement.Leave()
	})
}

func TestRedisComesBack(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		cfg := Config{URL: b.url, Lease: longLease, Failure: Closed}
		one, other := dial(t, cfg), dial(t, cfg)
		send(t, "an update", join(t, one, "CA1", muted))
		b.stop()
		await(t, "updates are refused", func() bool { return !reaches(t, one) })
		one.forgetMarkers()
		other.forgetMarkers()
		b.start()
		wantShared(t, one, other)
	})
}

// TestRedisLosesEverything: no update is sent that relies on what was lost.
func TestRedisLosesEverything(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		s.fresh = 0
		claimNew(t, s, key("1"))
		update, announcement := join(t, s, "CA1", muted), join(t, s, "CA2", announce)
		b.stop()
		b.start()
		await(t, "Redis is reached again", func() bool { return reaches(t, s) })
		wantRefused(t, s.Hold(within(t), key("1")), outcome.StateUnavailable)
		wantRefused(t, begin(t, announcement), outcome.StateUnavailable)
		announcement.Leave()
		send(t, "an update that goes on without Redis", update)
		s.Settle(key("1"), nil)
	})
}

// TestRedisLosesTheLatest: it returns to an earlier state, as after a failover to a
// replica that lagged behind. Waiters that joined since are fenced, not superseded.
func TestRedisLosesTheLatest(t *testing.T) {
	t.Parallel()
	b := startReal(t)
	s := dial(t, Config{URL: b.url, Lease: longLease, Failure: Closed})
	first := join(t, s, "CA1", muted)
	conn := s.redis.connection()
	if err := conn.Do(t.Context(), conn.B().Save().Build()).Error(); err != nil {
		t.Fatal(err)
	}
	update, announcement := join(t, s, "CA1", held), join(t, s, "CA1", announce)
	claimNew(t, s, key("1"))
	b.stop()
	b.start()
	await(t, "Redis is reached again", func() bool { return reaches(t, s) })

	send(t, "the one that was kept", first)
	for _, lost := range []delivery.Entry{update, announcement} {
		wantOver(t, lost, outcome.StateUnavailable)
	}
	wantRefused(t, s.Hold(within(t), key("1")), outcome.StateUnavailable)
	s.Settle(key("1"), nil)
}

// TestOpenWithoutRedis: everything goes on within each replica. What arrives once Redis
// is back is shared again.
func TestOpenWithoutRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		cfg := Config{URL: b.url, Lease: longLease, Failure: Open}
		one, other := dial(t, cfg), dial(t, cfg)
		send(t, "an update", join(t, one, "CA1", muted))
		b.stop()
		for _, s := range []*Store{one, other} {
			first, second := join(t, s, "CA1", announce), join(t, s, "CA1", announce)
			wantBegins(t, "the first", first)
			wantWaits(t, "the second", second)
			finish(first, outcome.Yes)
			send(t, "the second", second)
			claimNew(t, s, key("1")) // In each of them.
			wantHeld(t, s, key("1"))
		}
		one.forgetMarkers()
		other.forgetMarkers()
		b.start()
		for _, s := range []*Store{one, other} {
			await(t, "Redis is reached again", func() bool { return s.State().Up && s.listens(t) })
			s.Settle(key("1"), &delivery.Record{Content: content})
		}
		wantNotified(t, one, other)
		claimNew(t, one, key("2"))
		if _, err := other.tryClaim(within(t), key("2"), content); !errors.Is(err, takenError{}) {
			t.Errorf("a request id that another replica owns: %v", err)
		}
		one.Settle(key("2"), nil)
	})
}

// TestLossWhileAnUpdateIsInFlight: its owner restores the claim, and until it has had the
// time for that, no other replica sends the update again.
func TestLossWhileAnUpdateIsInFlight(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		cfg := Config{URL: b.url, Lease: longLease, Failure: Closed}
		owner, other := dial(t, cfg), dial(t, cfg)
		for _, s := range []*Store{owner, other} {
			s.freeze()
			s.round()
		}
		for _, id := range []string{"renewed", "held", "settled"} {
			claimNew(t, owner, key(id))
			wantHeld(t, owner, key(id))
		}
		flush(t, owner)
		for _, id := range []string{"renewed", "held", "settled", "new"} {
			if _, err := other.tryClaim(within(t), key(id), content); errors.Is(err, takenError{}) || !errors.As(err, new(takenError)) {
				t.Errorf("the claim of %s: %v, want it to wait", id, err)
			}
		}
		soon, cancel := context.WithTimeout(t.Context(), longLease/2)
		defer cancel()
		_, err := other.Claim(soon, key("new"), content)
		wantRefused(t, err, outcome.StateUnavailable)

		owner.mu.Lock()
		owner.claims[key("renewed")].until = time.Now() // Its lease is old.
		owner.mu.Unlock()
		owner.round()
		wantHeld(t, owner, key("held"))
		record := &delivery.Record{Content: content, Err: outcome.Superseded.Err(outcome.Facts{})}
		owner.Settle(key("settled"), record)
		owner.background.Wait()
		for _, id := range []string{"renewed", "held"} {
			if _, err := other.tryClaim(within(t), key(id), content); !errors.Is(err, takenError{}) {
				t.Errorf("the claim of %s: %v, want it owned", id, err)
			}
			owner.Settle(key(id), nil)
		}
		if got, err := other.Claim(within(t), key("settled"), content); err != nil || !reflect.DeepEqual(got, record) {
			t.Errorf("the claim: %+v, %v, want the record", got, err)
		}
	})
}

// TestLossOfAClaimThatAnotherReplicaHasTaken: the first owner does not send again.
func TestLossOfAClaimThatAnotherReplicaHasTaken(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		cfg := Config{URL: b.url, Lease: longLease}
		owner := dial(t, cfg)
		owner.freeze()
		claimNew(t, owner, key("1"))
		wantHeld(t, owner, key("1"))
		flush(t, owner)
		other := dial(t, cfg)
		claimNew(t, other, key("1")) // It does not know what was there.
		wantRefused(t, owner.Hold(within(t), key("1")), outcome.StateUnavailable)
		owner.Settle(key("1"), &delivery.Record{Content: content})
		owner.background.Wait()
		wantHeld(t, other, key("1"))
		other.Settle(key("1"), nil)
	})
}

// TestRecoveryEnds after one lease.
func TestRecoveryEnds(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: 3 * shortLease})
		claimNew(t, s, key("1"))
		s.Settle(key("1"), nil)
		s.background.Wait()
		flush(t, s)
		claimNew(t, s, key("1"))
		s.Settle(key("1"), nil)
		s.background.Wait()
		if _, err := s.tryClaim(within(t), key("1"), content); err != nil {
			t.Errorf("the next claim: %v", err)
		}
		s.Settle(key("1"), nil)
	})
}

// forgetMarkers lets the replica not notice that data was lost, so that it need not wait
// for a recovery.
func (s *Store) forgetMarkers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markers = [buckets]marker{}
}

func flush(t *testing.T, s *Store) {
	t.Helper()
	conn := s.redis.connection()
	if err := conn.Do(t.Context(), conn.B().Flushall().Build()).Error(); err != nil {
		t.Fatal(err)
	}
}
