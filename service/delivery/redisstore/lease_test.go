package redisstore

import (
	"errors"
	"testing"

	"conferenced/service/delivery"
)

// replicas are one that can be frozen and one that goes on.
func replicas(t *testing.T, b *backend, failure Failure) (first, second *Store) {
	t.Helper()
	cfg := Config{URL: b.url, Failure: failure, Lease: shortLease}
	return dial(t, cfg), dial(t, cfg)
}

func TestFrozenReplicaCannotSendLate(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for _, failure := range []Failure{Mixed, Closed, Open} {
			frozen, other := replicas(t, b, failure)
			claimNew(t, frozen, key("1"))
			first := join(t, frozen, "CA1", muted)
			wantClosed(t, "the first has its turn", first.Turn)
			frozen.freeze()

			second := join(t, other, "CA1", held)
			claimNew(t, other, key("1")) // Waits until the lease has ended.
			wantClosed(t, "the next has its turn once the lease has ended", second.Turn)
			if err := valid(t, second); err != nil {
				t.Errorf("%s: the turn of the living is not valid: %v", failure, err)
			}
			if err := other.Hold(within(t), key("1")); err != nil {
				t.Errorf("%s: the living does not hold the request id: %v", failure, err)
			}
			wantRefused(t, valid(t, first), delivery.StateUnavailable)
			wantRefused(t, frozen.Hold(within(t), key("1")), delivery.StateUnavailable)
			first.Leave()
			frozen.Settle(t.Context(), key("1"), nil)
			if err := valid(t, second); err != nil {
				t.Errorf("%s: the late one took the turn away: %v", failure, err)
			}
			second.Leave()
			other.Settle(t.Context(), key("1"), nil)
		}
	})
}

// TestFrozenReplicaWakesWithoutRedis: it cannot know that it was overtaken.
func TestFrozenReplicaWakesWithoutRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		frozen, other := replicas(t, b, Open)
		claimNew(t, frozen, key("1"))
		first := join(t, frozen, "CA1", muted)
		frozen.freeze()
		second := join(t, other, "CA1", muted)
		wantClosed(t, "the next has its turn once the lease has ended", second.Turn)
		second.Leave()
		b.stop()
		wantRefused(t, valid(t, first), delivery.StateUnavailable)
		wantRefused(t, frozen.Hold(within(t), key("1")), delivery.StateUnavailable)
		first.Leave()
		frozen.Settle(t.Context(), key("1"), nil)
	})
}

// TestLeasesAreRenewed holds a turn and a request id while leases of a dead replica
// end several times.
func TestLeasesAreRenewed(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		one, other := replicas(t, b, Mixed)
		claimNew(t, one, key("1"))
		first, second := join(t, one, "CA1", muted), join(t, other, "CA1", held)
		for range 3 {
			dead, _ := replicas(t, b, Mixed)
			join(t, dead, "CA2", muted)
			dead.freeze()
			next := join(t, one, "CA2", held)
			wantClosed(t, "a dead replica's lease has ended", next.Turn)
			next.Leave()
		}
		wantOpen(t, "the lease of one who lives has ended", second.Turn)
		if err := valid(t, first); err != nil {
			t.Errorf("the turn is not valid: %v", err)
		}
		if err := one.Hold(within(t), key("1")); err != nil {
			t.Errorf("the request id is not held: %v", err)
		}
		one.Settle(t.Context(), key("1"), nil)
		first.Leave()
		second.Leave()
	})
}

// TestOwnerDiesAfterItMayHaveSent: the update is not sent again under its id, for
// nobody knows what became of it. If the owner was not dead, its word counts.
func TestOwnerDiesAfterItMayHaveSent(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		frozen, other := replicas(t, b, Mixed)
		claimNew(t, frozen, key("1"))
		if err := frozen.Hold(within(t), key("1")); err != nil {
			t.Fatal(err)
		}
		frozen.freeze()
		record, err := other.Claim(within(t), key("1"), content)
		if err != nil || record == nil || !record.Lost || record.Applied != delivery.Maybe {
			t.Errorf("the claim: %+v, %v, want a record of what is not known", record, err)
		}
		frozen.Settle(t.Context(), key("1"), &delivery.Record{Content: content, Superseded: true})
		record, err = other.Claim(within(t), key("1"), content)
		if err != nil || record == nil || !record.Superseded {
			t.Errorf("the claim: %+v, %v, want the record", record, err)
		}
	})
}

func TestNothingIsLeftInRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		bounds := testBounds()
		bounds.Retention, bounds.LabelAge = shortLease, shortLease
		s, err := Dial(Config{URL: b.url, Lease: shortLease, Timeout: shortLease / 2}, bounds, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		claimNew(t, s, key("1"))
		s.Settle(t.Context(), key("1"), &delivery.Record{Content: content, Lost: true})
		claimNew(t, s, key("2"))
		s.Know(t.Context(), participant("desk"), "CA1")
		join(t, s, "desk", muted).Leave()
		join(t, s, "CA2", muted)
		s.freeze()
		await(t, "every key has expired", func() bool {
			client := *s.client.Load()
			size, err := client.Do(t.Context(), client.B().Dbsize().Build()).AsInt64()
			return err == nil && size == 0
		})
	})
}

// TestTurnEndsWhileAConnectionIsMade: what was valid before does not stand any more
// once the lease has ended, without Redis's being asked.
func TestTurnEndsWhileAConnectionIsMade(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		frozen, other := replicas(t, b, Mixed)
		first := join(t, frozen, "CA1", muted)
		wantClosed(t, "the first has its turn", first.Turn)
		if err := errors.Join(valid(t, first), first.Stands()); err != nil {
			t.Fatal(err)
		}
		frozen.freeze()
		second := join(t, other, "CA1", held)
		wantClosed(t, "the next has its turn once the lease has ended", second.Turn)
		wantRefused(t, first.Stands(), delivery.StateUnavailable)
		if err := second.Stands(); err != nil {
			t.Errorf("the turn of the living does not stand: %v", err)
		}
		first.Leave()
		second.Leave()
	})
}

// TestTurnStandsWithoutRedis for what goes on without it.
func TestTurnStandsWithoutRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s, _ := replicas(t, b, Mixed)
		update, event := join(t, s, "CA1", muted), joinEvent(t, s, "CA2")
		next := join(t, s, "CA1", held)
		b.stop()
		await(t, "they are in lines of this replica", func() bool { return s.alone.Sizes().Waiting == 2 })
		if err := update.Stands(); err != nil {
			t.Errorf("an update does not stand: %v", err)
		}
		wantRefused(t, event.Stands(), delivery.StateUnavailable)
		wantRefused(t, next.Stands(), delivery.StateUnavailable)
		update.Leave()
		event.Leave()
		next.Leave()
	})
}
