package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// Join implements delivery.Store.
func (s *Store) Join(ctx context.Context, update delivery.Queued) (delivery.Entry, error) {
	e := s.enter(update)
	return e.joined(ctx, s.redis.run(ctx, e.joinRequest(false)))
}

// joinRequest adds the update to its queue; if alone is set, only to an empty one.
func (e *entry) joinRequest(alone bool) request {
	text, _ := json.Marshal(struct {
		ID         string `json:"i"`
		Name       string `json:"n"`
		Properties int    `json:"s"`
		Final      bool   `json:"h"`
		Removal    bool   `json:"v,omitempty"`
		Caller     string `json:"c"`
	}{
		e.id, e.update.Participant.Name, int(e.update.Properties), announces(e.update) || e.update.Removal, e.update.Removal,
		callerDigest(e.update),
	}) // It never fails.
	args := []string{string(text), strconv.Itoa(e.store.bounds.Queue), digit(alone)}
	if e.update.Label != "" {
		args = append(args, e.update.Label, milliseconds(e.store.bounds.LabelAge))
	}
	return e.request("join", args...)
}

// joined handles the answer to a join.
func (e *entry) joined(ctx context.Context, r reply) (delivery.Entry, error) {
	s := e.store
	if r.err != nil {
		e.Leave() // Redis may have executed the request.
		if errors.Is(r.err, errUnreachable) {
			return s.joinLocally(ctx, e.update)
		}
		return nil, r.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.answer[0] {
	case scriptFull:
		e.depart()
		return nil, outcome.Overloaded.Err(outcome.Facts{})
	case scriptBusy:
		e.depart()
		return nil, errBusy
	}
	e.born, e.arrival, e.stored = r.answer[1], r.answer[2], r.answer[3]
	e.handleAnswer(r.answer[0], "", r.asked)
	if r.answer[0] == scriptInFlight {
		e.attempt, e.freshUntil = "1", r.asked.Add(s.fresh)
	}
	return e, nil
}

// errBusy is the result of joining a queue alone while it has updates.
var errBusy = errors.New("the queue has other updates")

// Enter implements delivery.Store. For an update that is alone in its queue, it makes one
// round trip, in which Redis also notes that the update may be sent.
func (s *Store) Enter(
	ctx context.Context, key delivery.Key, content delivery.Content, update delivery.Queued,
) (delivery.Entry, *delivery.Record, error) {
	c := s.newClaim(key, content)
	entry, record, err := s.tryEnter(ctx, key, c, update, true)
	if errors.Is(err, errBusy) {
		entry, record, err = s.tryEnter(ctx, key, c, update, false)
	}
	if !errors.As(err, new(takenError)) {
		return entry, record, err
	}
	if record, err = s.Claim(ctx, key, content); record != nil || err != nil {
		return nil, record, err
	}
	if entry, err = s.Join(ctx, update); err != nil {
		s.Settle(key, nil)
		return nil, nil, err
	}
	return entry, nil, nil
}

// tryEnter claims the key and joins the queue, in one round trip. If alone is set, the
// update joins an empty queue only, and may be sent then. After errBusy the key is owned.
func (s *Store) tryEnter(
	ctx context.Context, key delivery.Key, c *claim, update delivery.Queued, alone bool,
) (delivery.Entry, *delivery.Record, error) {
	if other := s.owned(key); other != c {
		if err := s.ownedHere(key, c.content); err != nil {
			return nil, nil, err
		}
	}
	e := s.enter(update)
	replies := s.redis.runAll(ctx, s.claimRequest("claim", c, "", alone), e.joinRequest(alone))
	s.noteMarker(c.bucket, replies[0], false)
	record, err := s.claimed(ctx, key, c, replies[0])
	if record != nil || err != nil {
		e.Leave()
		return nil, record, err
	}
	entry, err := e.joined(ctx, replies[1])
	if err != nil && !errors.Is(err, errBusy) {
		s.Settle(key, nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.held = alone; alone {
		c.freshUntil = e.freshUntil
	}
	return entry, nil, err
}

// joinLocally puts the update in a queue of this process. The updates of its conference
// that wait in Redis go there first, so that it does not overtake them.
func (s *Store) joinLocally(ctx context.Context, update delivery.Queued) (delivery.Entry, error) {
	if !s.goesOn(announces(update)) {
		return nil, unavailable()
	}
	s.mu.Lock()
	s.separate(update.Participant.Conference)
	s.mu.Unlock()
	e, err := s.local.Join(ctx, update)
	if err == nil {
		s.redis.observer.Separated()
	}
	return e, err
}

// enter makes the update known to this replica before Redis knows it, so that no
// notification about it is lost.
func (s *Store) enter(update delivery.Queued) *entry {
	e := &entry{
		store: s, id: s.newID(), update: update, turns: make(chan *delivery.Permit, 1),
		over: make(chan struct{}), left: make(chan struct{}), reporting: make(chan struct{}, 1),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[e.id] = e
	return e
}

// callerDigest stands for a caller in the queues of a conference.
func callerDigest(update delivery.Queued) string {
	text, _ := json.Marshal([]string{update.Participant.Account, update.Participant.SID, update.Caller}) // Never fails.
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
