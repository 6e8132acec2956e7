package redisstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"conferenced/service/outcome"
)

// TestDeadlineOfOneCaller: a caller whose deadline ends while Redis is slow does not
// end the requests of others on the same connection.
func TestDeadlineOfOneCaller(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease, Failure: Closed})
		send(t, "an update", join(t, s, "CA1", muted))
		await(t, "the replica listens", func() bool { return s.listens(t) })
		before := b.connections()
		resume := b.hang()

		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := s.Join(short, queued("caller", "CA1", muted)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error of the short call is %v, want its deadline", err)
		}
		long := make(chan error)
		go func() {
			e, err := s.Join(within(t), queued("caller", "CA2", muted))
			if err == nil {
				e.Leave()
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
		send(t, "an update", join(t, s, "CA1", muted))
		resume := b.hang()
		for range maxFailures {
			send(t, "an update goes on", join(t, s, "CA1", muted))
			_, err := s.Join(within(t), queued("caller", "CA1", announce))
			wantRefused(t, err, outcome.StateUnavailable)
			_, err = s.Claim(within(t), key("1"), content)
			wantRefused(t, err, outcome.StateUnavailable)
		}
		if s.State().Up {
			t.Error("Redis counts as up")
		}

		resume()
		await(t, "announcements are accepted again", func() bool { return reaches(t, s) })
	})
}
