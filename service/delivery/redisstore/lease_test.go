package redisstore

import (
	"testing"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// replicas returns two replicas on one Redis: one whose lease ends soon after it is
// stopped, and another.
func replicas(t *testing.T, b *backend, failure Failure) (stopped, other *Store) {
	t.Helper()
	return dial(t, Config{URL: b.url, Failure: failure, Lease: shortLease}),
		dial(t, Config{URL: b.url, Failure: failure, Lease: longLease})
}

// makeStopShort moves the last round to the latest time at which it would not have
// renewed the lease of the claim, which is the oldest lease.
func (s *Store) makeStopShort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewed = s.claims[key("1")].until.Add(s.interval() - s.cfg.Lease)
}

func TestStoppedReplicaCannotSendLate(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		stopped, other := replicas(t, b, Open)
		seen := observe(stopped)
		claimNew(t, stopped, key("1"))
		stopped.fresh = 0
		first := join(t, stopped, "CA1", muted)
		wantBegins(t, "the first", first)
		first.End(delivery.End{Applied: outcome.Maybe, Again: true})
		stopped.background.Wait()
		stopped.freeze()

		second := join(t, other, "CA1", held)
		claimNew(t, other, key("1")) // Waits until the lease has ended.
		wantBegins(t, "the next once the lease has ended", second)
		wantHeld(t, other, key("1"))
		first.Resume()
		wantRefused(t, begin(t, first), outcome.StateUnavailable)
		wantRefused(t, stopped.Hold(within(t), key("1")), outcome.StateUnavailable)
		seen.want(t, map[string]int{"lost turn": 1, "lost request_id": 1, "separated": 0})
		first.Leave()
		stopped.Settle(key("1"), nil)
		stopped.background.Wait()
		third := join(t, other, "CA1", announce)
		wantWaits(t, "the third", third)
		wantHeld(t, other, key("1")) // The stopped replica has not taken it.
		finish(second, outcome.Yes)
		send(t, "the third", third)
		other.Settle(key("1"), nil)
	})
}

// TestStoppedReplicaContinuesWithoutRedis: it cannot know whether another replica has
// overtaken it, so it does not go on even if the configuration lets updates go on.
func TestStoppedReplicaContinuesWithoutRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		stopped, other := replicas(t, b, Open)
		claimNew(t, stopped, key("1"))
		first := join(t, stopped, "CA1", muted)
		stopped.freeze()
		stopped.makeStopShort()
		second := join(t, other, "CA1", muted)
		claimNew(t, other, key("1")) // Waits until the lease has ended.
		send(t, "the next once the lease has ended", second)
		other.Settle(key("1"), nil)
		other.background.Wait()
		b.stop()
		wantRefused(t, begin(t, first), outcome.StateUnavailable)
		wantRefused(t, stopped.Hold(within(t), key("1")), outcome.StateUnavailable)
		stopped.round() // Once it runs again, this stays so.
		wantRefused(t, first.Stands(), outcome.StateUnavailable)
		wantRefused(t, stopped.Hold(within(t), key("1")), outcome.StateUnavailable)
		first.Leave()
		stopped.Settle(key("1"), nil)
	})
}

// TestLeasesAreRenewed holds leases for longer than they last if they are not renewed.
func TestLeasesAreRenewed(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		const lease = 3 * shortLease
		cfg := Config{URL: b.url, Lease: lease}
		one, other := dial(t, cfg), dial(t, cfg)
		claimNew(t, one, key("1"))
		first, second := join(t, one, "CA1", muted), join(t, other, "CA1", held)
		for began := time.Now(); time.Since(began) < lease; {
			stopped, _ := replicas(t, b, Mixed)
			join(t, stopped, "CA2", muted)
			stopped.freeze()
			send(t, "the next once the lease of a stopped replica has ended", join(t, one, "CA2", held))
		}
		wantWaits(t, "the second, behind a running replica", second)
		wantBegins(t, "the first", first)
		wantHeld(t, one, key("1"))
		one.Settle(key("1"), nil)
		finish(first, outcome.Yes)
		send(t, "the second", second)
	})
}

// TestOwnerStopsAfterItMayHaveSent: the update is not sent again under its request id,
// since its outcome is unknown. Once the owner reports the outcome, that is returned.
func TestOwnerStopsAfterItMayHaveSent(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		stopped, other := replicas(t, b, Mixed)
		claimNew(t, stopped, key("1"))
		wantHeld(t, stopped, key("1"))
		stopped.freeze()
		record, err := other.Claim(within(t), key("1"), content)
		if err != nil || record == nil || *record != (delivery.Record{Content: content}) {
			t.Errorf("the claim: %+v, %v, want an unknown outcome", record, err)
		}
		stopped.Settle(key("1"), &delivery.Record{Content: content, Err: outcome.Superseded.Err(outcome.Facts{})})
		stopped.background.Wait()
		record, err = other.Claim(within(t), key("1"), content)
		if err != nil || record == nil || !outcome.Is(record.Err, outcome.Superseded) {
			t.Errorf("the claim: %+v, %v, want the record", record, err)
		}
	})
}

func TestEveryKeyExpires(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		claimNew(t, s, key("1"))
		s.Settle(key("1"), &delivery.Record{Content: content})
		claimNew(t, s, key("2"))
		wantHeld(t, s, key("2"))
		claimNew(t, s, key("3"))
		stores{s, s}.know(t, "desk", "CA1")
		first, second := join(t, s, "desk", muted), join(t, s, "desk", held)
		send(t, "the first", first)
		wantBegins(t, "the second", second)
		conn := s.redis.connection()
		keys, err := conn.Do(t.Context(), conn.B().Keys().Pattern("*").Build()).AsStrSlice()
		if err != nil || len(keys) < 7 {
			t.Fatalf("the keys are %q, %v", keys, err)
		}
		for _, name := range keys {
			left, err := conn.Do(t.Context(), conn.B().Pttl().Key(name).Build()).AsInt64()
			if err != nil || left <= 0 || left > markerAge.Milliseconds() {
				t.Errorf("%s expires in %d ms, %v", name, left, err)
			}
		}
		second.Leave()
		s.Settle(key("2"), nil)
		s.Settle(key("3"), nil)
	})
}

// TestLeaseEndsWhileAConnectionIsMade: Stands notices it without asking Redis.
func TestLeaseEndsWhileAConnectionIsMade(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		stopped, other := replicas(t, b, Mixed)
		first := join(t, stopped, "CA1", muted)
		wantBegins(t, "the first", first)
		if err := first.Stands(); err != nil {
			t.Fatal(err)
		}
		stopped.freeze()
		second := join(t, other, "CA1", held)
		wantBegins(t, "the next once the lease has ended", second)
		wantRefused(t, first.Stands(), outcome.StateUnavailable)
		if err := second.Stands(); err != nil {
			t.Errorf("the turn of the other replica does not stand: %v", err)
		}
		first.Leave()
		second.Leave()
	})
}

// TestReplicaDies: an update that may have been sent supersedes the updates it covers, and
// one that was only chosen supersedes nothing.
func TestReplicaDies(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for name, sent := range map[string]bool{"CA1": true, "CA2": false} {
			stopped, other := replicas(t, b, Mixed)
			first := join(t, other, name, announce)
			wantBegins(t, "the first", first)
			older, newer := join(t, other, name, muted), join(t, stopped, name, muted)
			finish(first, outcome.Yes)
			wantPassedOver(t, older)
			if sent {
				wantBegins(t, "the newer", newer)
			}
			stopped.freeze()
			newest := join(t, other, name, muted)
			if !sent {
				send(t, "the older, before any other newer update", older)
			} else {
				wantOver(t, older, outcome.Superseded)
			}
			send(t, "the newest", newest)
			newer.Leave()
		}
	})
}

func TestStandsWithoutRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: shortLease})
		update, announcement := join(t, s, "CA1", muted), join(t, s, "CA2", announce)
		wantBegins(t, "an update", update)
		wantBegins(t, "an announcement", announcement)
		next := join(t, s, "CA1", held)
		b.stop()
		await(t, "both updates are in a queue of this replica", func() bool { return s.local.Sizes().Waiting == 2 })
		if err := update.Stands(); err != nil {
			t.Errorf("an update does not stand: %v", err)
		}
		wantRefused(t, announcement.Stands(), outcome.StateUnavailable)
		wantWaits(t, "the next", next)
		finish(update, outcome.Yes)
		send(t, "the next", next)
		announcement.Leave()
	})
}
