package redisstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"conferenced/service/delivery"
)

// TestDeadlineOfOneCaller: a caller whose deadline ends while Redis is slow does not
// end the requests of others on the same connection.
func TestDeadlineOfOneCaller(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease, Failure: Closed})
		join(t, s, "CA1", muted).Leave()
		await(t, "the replica listens", func() bool { return s.listens(t) })
		before := b.connections()
		resume := b.hang()

		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := s.Join(short, participant("CA1"), muted, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error of the short call is %v, want its deadline", err)
		}
		long := make(chan error)
		go func() {
			ticket, err := s.Join(within(t), participant("CA2"), muted, false)
			if err == nil {
				ticket.Leave()
			}
			long <- err
		}()
		resume()
		if err := <-long; err != nil {
			t.Errorf("the error of the long call is %v", err)
		}
		if after := b.connections(); after != before {
			t.Errorf("%d connections were made, want the %d from before", after, before)
		}
	})
}

// listens reports whether the replica receives notifications.
func (s *Store) listens(t *testing.T) bool {
	t.Helper()
	conn := s.redis.connection()
	listeners, err := conn.Do(t.Context(), conn.B().PubsubNumsub().Channel(channel(s.replica)).Build()).AsIntMap()
	return err == nil && listeners[channel(s.replica)] == 1
}

// TestRedisHangs: it accepts connections and answers nothing. Updates go on or do not
// as without Redis, and after some failures no update waits for it.
func TestRedisHangs(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease, Timeout: time.Second})
		join(t, s, "CA1", muted).Leave()
		resume := b.hang()
		for range maxFailures {
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
		if s.State().Up {
			t.Error("Redis counts as up")
		}

		resume()
		await(t, "announcements are accepted again", func() bool { return reaches(t, s) })
	})
}
