package redisstore

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// channel returns the channel on which the replica is notified about its updates.
func channel(replica string) string { return "conferenced:replica:" + replica }

// listen receives notifications until the context ends. The renewal of leases makes up
// for notifications that are lost while the replica is not subscribed. A Redis that denies
// the subscription may still answer requests, so that is no failure.
func (s *Store) listen(ctx context.Context) {
	var denied atomic.Bool
	hooked := rueidis.WithOnSubscriptionHook(ctx, func(rueidis.PubSubSubscription) {
		if denied.Swap(false) {
			s.logger.Warn("redis lets this replica listen again")
		}
	})
	for ctx.Err() == nil {
		if conn := s.redis.connection(); conn != nil {
			err := conn.Receive(hooked, conn.B().Subscribe().Channel(channel(s.replica)).Build(),
				func(m rueidis.PubSubMessage) { s.notify(m.Message) })
			_, isAnswer := rueidis.IsRedisErr(err)
			switch {
			case err == nil, errors.Is(err, context.Canceled):
			case !isAnswer:
				s.redis.failed("", err)
			case !denied.Swap(true):
				s.logger.Error("redis does not let this replica listen", "channel", channel(s.replica), "cause", err)
			}
		}
		_ = sleep(ctx, s.interval())
	}
}

// notify handles a message of a script about an update of this replica.
func (s *Store) notify(message string) {
	state, id, _ := strings.Cut(message, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[id]; e != nil {
		e.handleState(state, "")
	}
}
