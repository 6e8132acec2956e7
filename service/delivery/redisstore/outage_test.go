package redisstore

import (
	"errors"
	"testing"

	"conferenced/service/delivery"
)

// TestWithoutRedis: which updates go on.
func TestWithoutRedis(t *testing.T) {
	for _, test := range []struct {
		failure               Failure
		update, event, withID bool
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
				s.Settle(t.Context(), key("1"), nil)
			} else {
				wantRefused(t, err, delivery.StateUnavailable)
			}
			for event, goesOn := range map[bool]bool{false: test.update, true: test.event} {
				ticket, err := s.Join(within(t), participant("CA1"), muted, event)
				if !goesOn {
					wantRefused(t, err, delivery.StateUnavailable)
					continue
				}
				if err != nil {
					t.Fatalf("event %t: %v", event, err)
				}
				wantClosed(t, "it has its turn", ticket.Turn)
				if err := valid(t, ticket); err != nil {
					t.Errorf("event %t: the turn is not valid: %v", event, err)
				}
				ticket.Leave()
			}
		})
	}
}

// TestRedisDiesWhileUpdatesWait: the updates that go on keep their order within the
// replica.
func TestRedisDiesWhileUpdatesWait(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		seen := observe(s)
		claimNew(t, s, key("1"))
		first := join(t, s, "CA1", muted)
		event := joinEvent(t, s, "CA1")
		second := join(t, s, "CA1", held)
		b.stop()
		s.endLeases()

		wantClosed(t, "an event ends", event.Turn)
		wantRefused(t, valid(t, event), delivery.StateUnavailable)
		event.Leave()
		wantRefused(t, s.Hold(within(t), key("1")), delivery.StateUnavailable)
		s.Settle(t.Context(), key("1"), nil)
		if err := valid(t, first); err != nil {
			t.Errorf("the first cannot go on: %v", err)
		}
		await(t, "both updates are in a queue of this replica", func() bool { return s.local.Sizes().Waiting == 2 })
		wantOpen(t, "both have their turn", second.Turn)
		third := join(t, s, "CA1", held)
		wantClosed(t, "the newest supersedes the second", second.Superseded)
		second.Leave()
		first.Leave()
		wantClosed(t, "the newest has its turn", third.Turn)
		if err := valid(t, third); err != nil {
			t.Errorf("the newest cannot go on: %v", err)
		}
		third.Leave()
		seen.want(t, map[string]int{"separated": 3, "lost turn": 0, "lost request_id": 0})
	})
}

func TestRedisComesBack(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		one, other := replicas(t, b, Closed)
		join(t, one, "CA1", muted).Leave()
		b.stop()
		await(t, "updates are refused", func() bool { return !reaches(t, one) })
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
		update, event := join(t, s, "CA1", muted), joinEvent(t, s, "CA2")
		b.stop()
		b.start()
		await(t, "Redis is reached again", func() bool { return reaches(t, s) })
		wantRefused(t, s.Hold(within(t), key("1")), delivery.StateUnavailable)
		wantRefused(t, valid(t, event), delivery.StateUnavailable)
		if err := valid(t, update); err != nil {
			t.Errorf("an update that goes on without Redis: %v", err)
		}
		update.Leave()
		event.Leave()
		s.Settle(t.Context(), key("1"), nil)
	})
}

// TestRedisLosesTheLatest: it returns to an earlier state, as after a failover to a
// replica that lagged behind. Waiters that joined since are fenced, not superseded.
func TestRedisLosesTheLatest(t *testing.T) {
	t.Parallel()
	b := startReal(t)
	s := dial(t, Config{URL: b.url, Lease: longLease, Failure: Closed})
	first := join(t, s, "CA1", muted)
	wantClosed(t, "the first has its turn", first.Turn)
	conn := s.redis.connection()
	if err := conn.Do(t.Context(), conn.B().Save().Build()).Error(); err != nil {
		t.Fatal(err)
	}
	update, event := join(t, s, "CA1", held), joinEvent(t, s, "CA1")
	claimNew(t, s, key("1"))
	b.stop()
	b.start()
	await(t, "Redis is reached again", func() bool { return reaches(t, s) })

	if err := valid(t, first); err != nil {
		t.Errorf("the turn that was kept is not valid: %v", err)
	}
	first.Leave()
	for _, lost := range []*delivery.Ticket{update, event} {
		wantRefused(t, valid(t, lost), delivery.StateUnavailable)
		wantOpen(t, "a lost waiter is superseded", lost.Superseded)
		lost.Leave()
	}
	wantRefused(t, s.Hold(within(t), key("1")), delivery.StateUnavailable)
	s.Settle(t.Context(), key("1"), nil)
}

// TestOpenWithoutRedis: everything goes on within each replica. What arrives once Redis
// is back is shared again.
func TestOpenWithoutRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		one, other := replicas(t, b, Open)
		join(t, one, "CA1", muted).Leave()
		b.stop()
		for _, s := range []*Store{one, other} {
			first, second := joinEvent(t, s, "CA1"), joinEvent(t, s, "CA1")
			wantClosed(t, "the first has its turn", first.Turn)
			wantOpen(t, "two of a replica have their turn", second.Turn)
			first.Leave()
			wantClosed(t, "the second has its turn", second.Turn)
			second.Leave()
			claimNew(t, s, key("1")) // In each of them.
			if err := s.Hold(within(t), key("1")); err != nil {
				t.Errorf("the request id is not held: %v", err)
			}
		}
		b.start()
		for _, s := range []*Store{one, other} {
			await(t, "Redis is reached again", func() bool { return s.State().Up && s.listens(t) })
			s.Settle(t.Context(), key("1"), &delivery.Record{Content: content, Lost: true})
		}
		wantNotified(t, one, other)
		claimNew(t, one, key("2"))
		if _, err := other.tryClaim(within(t), key("2"), content); !errors.Is(err, errClaimed) {
			t.Errorf("a request id that another replica owns: %v", err)
		}
		one.Settle(t.Context(), key("2"), nil)
	})
}
