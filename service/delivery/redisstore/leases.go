package redisstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"conferenced/service/delivery"
)

const (
	// rounds is how often leases are renewed in the time that one lasts.
	rounds = 5
	// maxInterval bounds the time between two rounds, and with that between two
	// probes of a Redis that does not answer.
	maxInterval = time.Second
	// batch is how many waiters are renewed by one request.
	batch = 64
)

// pending is a request to be made once Redis answers again.
type pending struct {
	until time.Time // It is useless after that.
	send  func(context.Context) error
}

// sendLater repeats a request that has failed, for as long as it is useful.
func (s *Store) sendLater(useful time.Duration, send func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) >= s.bounds.Records {
		s.pending = s.pending[1:]
	}
	s.pending = append(s.pending, pending{time.Now().Add(useful), send})
}

// sendPending makes the pending requests, until one fails.
func (s *Store) sendPending(ctx context.Context) {
	s.mu.Lock()
	todo := s.pending
	s.pending = nil
	s.mu.Unlock()
	for i, p := range todo {
		if time.Now().After(p.until) || p.send(ctx) == nil {
			continue
		}
		s.mu.Lock()
		s.pending = append(todo[i:], s.pending...)
		s.mu.Unlock()
		return
	}
}

// interval is the time between two rounds.
func (s *Store) interval() time.Duration {
	return min(maxInterval, max(time.Millisecond, s.cfg.Lease/rounds))
}

// renewLeases makes a round at each interval until the context ends.
func (s *Store) renewLeases(ctx context.Context) {
	ticker := time.NewTicker(s.interval())
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.round()
		case <-ctx.Done():
			return
		}
	}
}

// round probes a Redis that does not answer, renews the leases that are not new, and
// makes the pending requests. It ends with the first request that fails.
func (s *Store) round() {
	s.mu.Lock()
	s.noteStop()
	s.renewed = time.Now()
	s.mu.Unlock()
	s.redis.probe(s.replica)
	ctx := context.Background()
	if s.renewWaiters(ctx) == nil && s.renewClaims(ctx) == nil {
		s.sendPending(ctx)
	}
}

// leaseEnd returns the time until which a lease lasts at least, if the request that
// renewed it was made then: Redis rounds its clock down to milliseconds.
func (s *Store) leaseEnd(asked time.Time) time.Time {
	return asked.Add(s.cfg.Lease - time.Millisecond)
}

// isOld reports whether a lease that ends then was renewed an interval ago or earlier.
func (s *Store) isOld(until time.Time) bool {
	return time.Until(until) <= s.cfg.Lease-s.interval()
}

// noteStop notes that this process runs again if it was stopped. It is called under
// the lock. While Redis answers, each round leaves the leases with at least the time
// compared here, so none of them ends in a stop that goes unnoticed.
func (s *Store) noteStop() {
	if now := time.Now(); now.Sub(s.renewed) >= s.cfg.Lease-s.interval() {
		s.woke = now
	}
}

// endedInStop reports whether a lease that ended then did so while this process was
// stopped. Others may then have gone on without its noticing. It is called under the
// lock.
func (s *Store) endedInStop(until time.Time) bool {
	s.noteStop()
	return until.Before(s.woke)
}

// renewWaiters renews the leases of waiters. If Redis cannot be reached, the waiters
// whose lease has ended leave its queues.
func (s *Store) renewWaiters(ctx context.Context) error {
	for conference, waiters := range s.waitersToRenew() {
		for some := range slices.Chunk(waiters, batch) {
			if err := s.renew(ctx, conference, some); err != nil {
				s.lapseAll()
				return err
			}
		}
	}
	return nil
}

// waitersToRenew returns those whose lease is old, and those that wait for their
// turn, since a message about them may have been lost.
func (s *Store) waitersToRenew() map[delivery.Conference][]*waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[delivery.Conference][]*waiter{}
	for _, w := range s.waiters {
		if w.shared() && (!w.active || s.isOld(w.until)) {
			found[w.participant.Conference] = append(found[w.participant.Conference], w)
		}
	}
	return found
}

// lapseAll lapses the waiters whose lease has ended. The others of their conference
// lapse with them, in order of arrival, so that none overtakes another.
func (s *Store) lapseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := map[delivery.Conference]bool{}
	for _, w := range s.waiters {
		if w.shared() && !time.Now().Before(w.until) {
			ended[w.participant.Conference] = true
		}
	}
	byArrival := slices.SortedFunc(maps.Values(s.waiters), func(a, b *waiter) int {
		return cmp.Compare(a.arrival, b.arrival)
	})
	for _, w := range byArrival {
		if w.shared() && ended[w.participant.Conference] {
			s.lapse(w)
		}
	}
}

// renewClaims renews the leases of request ids. Whether one was lost is found before
// the next attempt.
func (s *Store) renewClaims(ctx context.Context) error {
	for key, c := range s.claimsToRenew() {
		asked := time.Now()
		answer, err := s.runClaim(ctx, "renew", key, c, "")
		if err != nil {
			return err
		}
		if answer[0] == "mine" {
			s.extend(c, asked)
		}
	}
	return nil
}

func (s *Store) claimsToRenew() map[delivery.Key]*claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[delivery.Key]*claim{}
	for key, c := range s.claims {
		if !c.local && s.isOld(c.until) {
			found[key] = c
		}
	}
	return found
}
