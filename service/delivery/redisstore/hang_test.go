package redisstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"conferenced/service/delivery"
)

// TestImpatientCallerTakesNothingFromOthers: a caller whose deadline ends while
// Redis is slow does not end what others have asked on the same connection.
func TestImpatientCallerTakesNothingFromOthers(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease, Failure: Closed})
		join(t, s, "CA1", muted).Leave()
		await(t, "it listens", func() bool { return s.listens(t) })
		before := b.connections()
		resume := b.hang()

		impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := s.Join(impatient, participant("CA1"), muted, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the impatient one was told %v, want that its deadline has passed", err)
		}
		patient := make(chan error)
		go func() {
			ticket, err := s.Join(within(t), participant("CA2"), muted, false)
			if err == nil {
				ticket.Leave()
			}
			patient <- err
		}()
		resume()
		if err := <-patient; err != nil {
			t.Errorf("the patient one was told %v", err)
		}
		if after := b.connections(); after != before {
			t.Errorf("%d connections were made, want the %d that there were", after, before)
		}
	})
}

// listens says whether the store hears what other replicas say.
func (s *Store) listens(t *testing.T) bool {
	t.Helper()
	client := *s.client.Load()
	heard, err := client.Do(t.Context(), client.B().PubsubNumsub().Channel(s.channel()).Build()).AsIntMap()
	return err == nil && heard[s.channel()] == 1
}

// TestFreshTurnIsNotAskedFor: Redis has just said whose it is.
func TestFreshTurnIsNotAskedFor(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		s.fresh = longLease
		first, second := join(t, s, "CA1", muted), join(t, s, "CA1", held)
		b.hang()
		if err := valid(t, first); err != nil {
			t.Errorf("the turn is not valid: %v", err)
		}
		s.fresh = 0
		impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := first.Valid(impatient); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a turn that is not fresh: %v, want that Redis was asked", err)
		}
		first.Leave()
		second.Leave()
	})
}

// TestRedisHangs: it takes connections and says nothing. Who goes on and who does
// not is as without Redis, and once it is known, nobody waits for it.
func TestRedisHangs(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: shortLease})
		join(t, s, "CA1", muted).Leave()
		resume := b.hang()
		for range tolerated {
			ticket := join(t, s, "CA1", muted)
			wantClosed(t, "an update has its turn", ticket.Turn)
			if err := valid(t, ticket); err != nil {
				t.Errorf("an update cannot go on: %v", err)
			}
			ticket.Leave()
			_, err := s.Join(within(t), participant("CA1"), muted, true)
			wantRefused(t, err, delivery.StateUnavailable)
			_, err = s.Claim(within(t), key("1"), content)
			wantRefused(t, err, delivery.StateUnavailable)
		}
		if !s.down() {
			t.Error("it is not known that Redis hangs")
		}

		resume()
		await(t, "announcements are taken again", func() bool {
			ticket, err := s.Join(within(t), participant("CA1"), muted, true)
			if err == nil {
				ticket.Leave()
			}
			return err == nil
		})
	})
}
