package redisstore

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"conferenced/service/delivery"
)

const (
	// rounds is how often leases are looked after in the time of one.
	rounds = 5
	// batch is how many places are renewed in one step.
	batch = 64
	// often is at least how often a Redis that failed is tried again, however long
	// leases are.
	often = time.Second
)

// chore is something to tell Redis that it could not be told at once.
type chore struct {
	until time.Time
	do    func(context.Context) error
}

// later does something when Redis can be asked again, unless that takes longer
// than the time given.
func (s *Store) later(within time.Duration, do func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.chores) >= s.bounds.Records {
		s.chores = slices.Delete(s.chores, 0, 1)
	}
	s.chores = append(s.chores, chore{time.Now().Add(within), do})
}

// lookAfter renews what this replica holds until the context ends.
func (s *Store) lookAfter(ctx context.Context) {
	ticker := time.NewTicker(s.round())
	defer ticker.Stop()
	for {
		missed := false
		select {
		case <-ticker.C:
		case <-s.heard:
			missed = true
		case <-ctx.Done():
			return
		}
		s.probe(ctx)
		s.renewPlaces(ctx, missed)
		s.renewClaims(ctx)
		s.doChores(ctx)
		s.mu.Lock()
		s.awake = time.Now()
		s.mu.Unlock()
	}
}

// round is the time between two looks.
func (s *Store) round() time.Duration {
	return min(often, max(time.Millisecond, s.cfg.Lease/rounds))
}

// renewPlaces renews the leases of places. While Redis cannot be asked, those whose
// lease ends lapse, in order of arrival.
func (s *Store) renewPlaces(ctx context.Context, all bool) {
	for conference, places := range s.due(all) {
		for some := range slices.Chunk(places, batch) {
			if err := s.renew(ctx, conference, some); err != nil {
				s.lapseAll()
				return
			}
		}
	}
}

// due are the places to ask about: those that wait, in case that a message was
// missed, and those whose lease is not a new one; or all.
func (s *Store) due(all bool) map[delivery.Conference][]*place {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := map[delivery.Conference][]*place{}
	soon := time.Now().Add(s.cfg.Lease - s.cfg.Lease/rounds)
	for _, p := range s.places {
		if p.born == "" || p.alone != nil || p.fenced || !all && p.active && p.until.After(soon) {
			continue
		}
		due[p.participant.Conference] = append(due[p.participant.Conference], p)
	}
	return due
}

// lapseAll lets lapse those whose lease has ended and, so that none gets ahead of
// another, those of the same conference that came before them.
func (s *Store) lapseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	type line struct {
		delivery.Conference
		born string
	}
	lineOf := func(p *place) line { return line{p.participant.Conference, p.born} }
	now, latest := time.Now(), map[line]int64{}
	for _, p := range s.places {
		if p.born != "" && p.alone == nil && !p.fenced && !now.Before(p.until) {
			latest[lineOf(p)] = max(latest[lineOf(p)], p.arrival)
		}
	}
	inOrder := slices.SortedFunc(maps.Values(s.places), func(a, b *place) int {
		return cmp.Compare(a.arrival, b.arrival)
	})
	for _, p := range inOrder {
		if p.born != "" && p.arrival <= latest[lineOf(p)] {
			s.lapse(p)
		}
	}
}

// renewClaims renews the leases of request ids. What became of them is seen when
// they are held.
func (s *Store) renewClaims(ctx context.Context) {
	for key, c := range s.dueClaims() {
		asked := time.Now()
		answer, err := s.runClaim(ctx, "renew", key, c, "")
		if err != nil {
			return
		}
		if answer[0] == "mine" {
			s.renewed(c, asked)
		}
	}
}

func (s *Store) dueClaims() map[delivery.Key]*claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := map[delivery.Key]*claim{}
	for key, c := range s.claims {
		if !c.alone && time.Since(c.renewed) >= s.cfg.Lease/rounds {
			due[key] = c
		}
	}
	return due
}

// doChores does what is left to do, until Redis cannot be asked.
func (s *Store) doChores(ctx context.Context) {
	s.mu.Lock()
	todo := s.chores
	s.chores = nil
	s.mu.Unlock()
	for i, c := range todo {
		if time.Now().After(c.until) || c.do(ctx) == nil {
			continue
		}
		s.mu.Lock()
		s.chores = append(slices.Clone(todo[i:]), s.chores...)
		s.mu.Unlock()
		return
	}
}

// listen hears what other replicas' steps mean for the places of this one. What is
// said while nobody listens is seen when the leases are renewed.
func (s *Store) listen(ctx context.Context) {
	hooked := rueidis.WithOnSubscriptionHook(ctx, func(rueidis.PubSubSubscription) {
		if s.deaf.Swap(false) {
			s.logger.Warn("redis lets this replica listen again")
		}
		select {
		case s.heard <- struct{}{}:
		default:
		}
	})
	for ctx.Err() == nil {
		if client := s.client.Load(); client != nil {
			c := *client
			err := c.Receive(hooked, c.B().Subscribe().Channel(s.channel()).Build(),
				func(m rueidis.PubSubMessage) { s.hear(m.Message) })
			s.stoppedListening(err)
		}
		_ = pause(ctx, s.round())
	}
}

// stoppedListening counts the failures of a Redis that cannot be asked. One that
// does not let this replica listen can: turns are then seen late, when leases are
// renewed.
func (s *Store) stoppedListening(err error) {
	_, denied := rueidis.IsRedisErr(err)
	switch {
	case err == nil, errors.Is(err, context.Canceled):
	case !denied:
		s.failed(err)
	case !s.deaf.Swap(true):
		s.logger.Error("redis does not let this replica listen", "channel", s.channel(), "cause", err)
	}
}

// channel is where this replica is told.
func (s *Store) channel() string { return "conferenced:replica:" + s.replica }

func (s *Store) hear(message string) {
	what, id, _ := strings.Cut(message, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.places[id]
	if p == nil || p.alone != nil || p.fenced {
		return
	}
	switch what {
	case "turn":
		p.giveTurn()
	case "over":
		p.overtake()
	}
}
