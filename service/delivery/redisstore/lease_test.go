package redisstore

import (
	"errors"
	"testing"
	"time"

	"conferenced/service/delivery"
)

// replicas returns two replicas on one Redis.
func replicas(t *testing.T, b *backend, failure Failure) (one, other *Store) {
	t.Helper()
	cfg := Config{URL: b.url, Failure: failure, Lease: longLease}
	return dial(t, cfg), dial(t, cfg)
}

func TestStoppedReplicaCannotSendLate(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		stopped, other := replicas(t, b, Open)
		seen := observe(stopped)
		claimNew(t, stopped, key("1"))
		first := join(t, stopped, "CA1", muted)
		wantClosed(t, "the first has its turn", first.Turn)
		stopped.stopProcess(t)

		second := join(t, other, "CA1", held)
		claimNew(t, other, key("1")) // Waits until the lease has ended.
		wantClosed(t, "the next has its turn once the lease has ended", second.Turn)
		if err := errors.Join(valid(t, second), other.Hold(within(t), key("1"))); err != nil {
			t.Errorf("the other replica cannot go on: %v", err)
		}
		wantRefused(t, valid(t, first), delivery.StateUnavailable)
		wantRefused(t, stopped.Hold(within(t), key("1")), delivery.StateUnavailable)
		seen.want(t, map[string]int{"lost turn": 1, "lost request_id": 1, "separated": 0})
		first.Leave()
		stopped.Settle(t.Context(), key("1"), nil)
		if err := errors.Join(valid(t, second), other.Hold(within(t), key("1"))); err != nil {
			t.Errorf("the stopped replica took the lease away: %v", err)
		}
		second.Leave()
		other.Settle(t.Context(), key("1"), nil)
	})
}

// TestStoppedReplicaContinuesWithoutRedis: it cannot know whether another replica has
// overtaken it, so it does not go on even if the configuration lets updates go on.
func TestStoppedReplicaContinuesWithoutRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		stopped, other := replicas(t, b, Open)
		claimNew(t, stopped, key("1"))
		first := join(t, stopped, "CA1", muted)
		stopped.stopProcess(t)
		second := join(t, other, "CA1", muted)
		claimNew(t, other, key("1")) // Waits until the lease has ended.
		wantClosed(t, "the next has its turn once the lease has ended", second.Turn)
		second.Leave()
		other.Settle(t.Context(), key("1"), nil)
		b.stop()
		wantRefused(t, valid(t, first), delivery.StateUnavailable)
		wantRefused(t, stopped.Hold(within(t), key("1")), delivery.StateUnavailable)
		stopped.round() // Once it runs again, this stays so.
		wantRefused(t, valid(t, first), delivery.StateUnavailable)
		wantRefused(t, stopped.Hold(within(t), key("1")), delivery.StateUnavailable)
		first.Leave()
		stopped.Settle(t.Context(), key("1"), nil)
	})
}

// TestLeasesAreRenewed holds leases for longer than they last if they are not renewed.
func TestLeasesAreRenewed(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		const lease = 10 * time.Second
		cfg := Config{URL: b.url, Lease: lease}
		one, other := dial(t, cfg), dial(t, cfg)
		claimNew(t, one, key("1"))
		first, second := join(t, one, "CA1", muted), join(t, other, "CA1", held)
		for began := time.Now(); time.Since(began) < lease; {
			stopped, _ := replicas(t, b, Mixed)
			join(t, stopped, "CA2", muted)
			stopped.stopProcess(t)
			next := join(t, one, "CA2", held)
			wantClosed(t, "the lease of a stopped replica has ended", next.Turn)
			next.Leave()
		}
		wantOpen(t, "the lease of a running replica has ended", second.Turn)
		if err := errors.Join(valid(t, first), one.Hold(within(t), key("1"))); err != nil {
			t.Errorf("a lease is lost: %v", err)
		}
		one.Settle(t.Context(), key("1"), nil)
		first.Leave()
		second.Leave()
	})
}

// TestOwnerStopsAfterItMayHaveSent: the update is not sent again under its request id,
// since its outcome is unknown. Once the owner reports the outcome, that is returned.
func TestOwnerStopsAfterItMayHaveSent(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		stopped, other := replicas(t, b, Mixed)
		claimNew(t, stopped, key("1"))
		if err := stopped.Hold(within(t), key("1")); err != nil {
			t.Fatal(err)
		}
		stopped.stopProcess(t)
		record, err := other.Claim(within(t), key("1"), content)
		if err != nil || record == nil || !record.Lost || record.Applied != delivery.Maybe {
			t.Errorf("the claim: %+v, %v, want an unknown outcome", record, err)
		}
		stopped.Settle(t.Context(), key("1"), &delivery.Record{Content: content, Superseded: true})
		record, err = other.Claim(within(t), key("1"), content)
		if err != nil || record == nil || !record.Superseded {
			t.Errorf("the claim: %+v, %v, want the record", record, err)
		}
	})
}

func TestEveryKeyExpires(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		claimNew(t, s, key("1"))
		s.Settle(t.Context(), key("1"), &delivery.Record{Content: content, Lost: true})
		claimNew(t, s, key("2"))
		if err := s.Hold(within(t), key("2")); err != nil {
			t.Fatal(err)
		}
		claimNew(t, s, key("3"))
		s.Know(t.Context(), participant("desk"), "CA1")
		first, second := join(t, s, "desk", muted), join(t, s, "desk", held)
		first.Leave()
		wantClosed(t, "the second has its turn", second.Turn)
		conn := s.redis.connection()
		keys, err := conn.Do(t.Context(), conn.B().Keys().Pattern("*").Build()).AsStrSlice()
		if err != nil || len(keys) < 7 {
			t.Fatalf("the keys are %q, %v", keys, err)
		}
		for _, name := range keys {
			left, err := conn.Do(t.Context(), conn.B().Pttl().Key(name).Build()).AsInt64()
			if err != nil || left <= 0 || left > 8*longLease.Milliseconds() {
				t.Errorf("%s expires in %d ms, %v", name, left, err)
			}
		}
		second.Leave()
		s.Settle(t.Context(), key("2"), nil)
		s.Settle(t.Context(), key("3"), nil)
	})
}

// TestLeaseEndsWhileAConnectionIsMade: Stands notices it without asking Redis.
func TestLeaseEndsWhileAConnectionIsMade(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		stopped, other := replicas(t, b, Mixed)
		first := join(t, stopped, "CA1", muted)
		wantClosed(t, "the first has its turn", first.Turn)
		if err := errors.Join(valid(t, first), first.Stands()); err != nil {
			t.Fatal(err)
		}
		stopped.stopProcess(t)
		second := join(t, other, "CA1", held)
		wantClosed(t, "the next has its turn once the lease has ended", second.Turn)
		wantRefused(t, first.Stands(), delivery.StateUnavailable)
		if err := second.Stands(); err != nil {
			t.Errorf("the turn of the other replica does not stand: %v", err)
		}
		first.Leave()
		second.Leave()
	})
}

func TestStandsWithoutRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		update, event := join(t, s, "CA1", muted), joinEvent(t, s, "CA2")
		next := join(t, s, "CA1", held)
		b.stop()
		s.endLeases()
		await(t, "both updates are in a queue of this replica", func() bool { return s.local.Sizes().Waiting == 2 })
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
