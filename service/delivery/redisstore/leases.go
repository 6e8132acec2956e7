package redisstore

import (
	"cmp"
	"context"
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
	// batch is how many updates in queues are renewed by one request.
	batch = 64
)

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
	if s.renewEntries(ctx) == nil && s.renewClaims(ctx) == nil && s.confirmMarkers(ctx) == nil {
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

// renewEntries renews the leases of updates in queues. If Redis cannot be reached, the
// updates whose lease has ended lapse.
func (s *Store) renewEntries(ctx context.Context) error {
	for conference, entries := range s.entriesToRenew() {
		for some := range slices.Chunk(entries, batch) {
			if err := s.renew(ctx, conference, some); err != nil {
				s.lapseAll()
				return err
			}
		}
	}
	return nil
}

// renew renews the leases of updates in one conference, and handles what Redis says of
// each.
func (s *Store) renew(ctx context.Context, c delivery.Conference, entries []*entry) error {
	args := make([]string, 0, 2*len(entries))
	for _, e := range entries {
		args = append(args, e.update.Participant.Name, e.id)
	}
	r := s.redis.run(ctx, s.queueRequest("renew", c, "", args...))
	if r.err != nil {
		return r.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range entries {
		e.handleAnswer(r.answer[i+1], r.answer[0], r.asked)
	}
	return nil
}

// entriesToRenew returns the entries whose lease is old, and all that wait, since a
// notification about a waiting entry may have been lost.
func (s *Store) entriesToRenew() map[delivery.Conference][]*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[delivery.Conference][]*entry{}
	for _, e := range s.entries {
		if e.shared() && (e.state == waiting || e.state == asking || s.isOld(e.until)) {
			conference := e.update.Participant.Conference
			found[conference] = append(found[conference], e)
		}
	}
	return found
}

// lapseAll lapses the updates whose lease has ended, and the others of their
// conferences with them, so that none overtakes another.
func (s *Store) lapseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.sharedEntries() {
		if e.shared() && !time.Now().Before(e.until) {
			s.lapseConference(e.update.Participant.Conference)
		}
	}
}

// lapseConference lapses all updates of a conference. It is called under the lock.
func (s *Store) lapseConference(c delivery.Conference) {
	for _, e := range s.sharedEntries() {
		if e.update.Participant.Conference == c {
			e.lapse()
		}
	}
}

// sharedEntries returns the updates with a place in Redis in order of arrival. It is
// called under the lock.
func (s *Store) sharedEntries() []*entry {
	var found []*entry
	for _, e := range s.entries {
		if e.shared() {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return cmp.Compare(a.arrival, b.arrival) })
	return found
}

// renewClaims renews the leases of request ids, and restores each one that Redis has lost.
// Whether one belongs to another replica is found before the next attempt.
func (s *Store) renewClaims(ctx context.Context) error {
	for _, c := range s.claimsToRenew() {
		r := s.runClaim(ctx, "renew", c)
		if r.err != nil {
			return r.err
		}
		if r.answer[0] == "mine" {
			s.mu.Lock()
			c.until = s.leaseEnd(r.asked)
			s.mu.Unlock()
		}
	}
	return nil
}

func (s *Store) claimsToRenew() []*claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*claim
	for _, c := range s.claims {
		if !c.local && s.isOld(c.until) {
			found = append(found, c)
		}
	}
	return found
}
