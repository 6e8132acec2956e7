package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"conferenced/service/delivery"
)

// waiter is an update of this replica in its participant's queue. Store.mu guards
// what may change.
type waiter struct {
	id          string
	participant delivery.Participant
	sets        delivery.Properties
	event       bool
	turn        chan struct{}
	superseded  chan struct{}
	left        chan struct{}

	born    string // The conference's in Redis when the waiter joined; "" before that.
	arrival int64
	until   time.Time // The lease does not end before that.

	active    bool // turn is closed.
	overtaken bool // superseded is closed.
	fenced    bool // The place is lost, and the update must not be sent any more.
	// local is the waiter's place in a queue of this process, once it has none in
	// Redis because that cannot be reached or has lost it.
	local *delivery.Ticket
}

// shared reports whether the waiter has a place in Redis, as far as is known.
func (w *waiter) shared() bool { return w.born != "" && w.local == nil && !w.fenced }

// giveTurn and the two after it are called under the lock.
func (w *waiter) giveTurn() {
	if !w.active {
		w.active = true
		close(w.turn)
	}
}

func (w *waiter) supersede() {
	if !w.overtaken {
		w.overtaken = true
		close(w.superseded)
	}
}

// fence ends the wait of an update that must not be sent.
func (w *waiter) fence() {
	w.fenced = true
	w.giveTurn()
}

func lineKey(c delivery.Conference) string {
	return "conferenced:{" + c.Account + "/" + c.SID + "}"
}

func (s *Store) runLine(
	ctx context.Context, op string, c delivery.Conference, id string, args ...string,
) ([]string, error) {
	all := append([]string{op, milliseconds(s.cfg.Lease), id}, args...)
	return s.redis.run(ctx, delivery.StoreQueue, linesScript, lineKey(c), all...)
}

// Join is delivery.Store's.
func (s *Store) Join(
	ctx context.Context, participant delivery.Participant, sets delivery.Properties, event bool,
) (*delivery.Ticket, error) {
	w := s.enter(participant, sets, event)
	asked := time.Now()
	answer, err := s.runLine(ctx, "join", participant.Conference, w.id, participant.Name,
		strconv.Itoa(int(sets)), digit(event), strconv.Itoa(s.bounds.LineLength))
	switch {
	case err != nil:
		s.leave(w) // Redis may have executed the request.
		if errors.Is(err, errUnreachable) {
			return s.joinLocally(ctx, participant, sets, event)
		}
		return nil, err
	case answer[0] == "full":
		s.forget(w)
		return nil, &delivery.RefusedError{Reason: delivery.Overloaded}
	}
	s.entered(w, answer, asked)
	return &delivery.Ticket{
		Turn: w.turn, Superseded: w.superseded,
		Valid:  func(ctx context.Context) error { return s.valid(ctx, w) },
		Stands: func() error { return s.standsStill(w) },
		Leave:  func() { s.leave(w) },
	}, nil
}

func (s *Store) joinLocally(
	ctx context.Context, participant delivery.Participant, sets delivery.Properties, event bool,
) (*delivery.Ticket, error) {
	if !s.goesOn(event) {
		return nil, unavailable()
	}
	ticket, err := s.local.Join(ctx, participant, sets, event)
	if err == nil {
		s.redis.observer.Separated()
	}
	return ticket, err
}

// enter makes the waiter known to this replica before Redis knows it, so that no
// notification about it is lost.
func (s *Store) enter(participant delivery.Participant, sets delivery.Properties, event bool) *waiter {
	w := &waiter{
		id: s.newID(), participant: participant, sets: sets, event: event,
		turn: make(chan struct{}), superseded: make(chan struct{}), left: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiters[w.id] = w
	return w
}

func (s *Store) entered(w *waiter, answer []string, asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.born = answer[1]
	w.arrival, _ = strconv.ParseInt(answer[2], 10, 64)
	w.until = s.leaseEnd(asked)
	if answer[0] == "turn" {
		w.giveTurn()
	}
}

// forget removes the waiter from this replica, and returns its place in a queue of
// this process, or nil. It gets none after that.
func (s *Store) forget(w *waiter) *delivery.Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiters, w.id)
	close(w.left)
	return w.local
}

// leave takes the waiter out of its queue without waiting for Redis. If Redis cannot
// be reached, the lease ends.
func (s *Store) leave(w *waiter) {
	if local := s.forget(w); local != nil {
		local.Leave()
		return
	}
	leave := func(ctx context.Context) error {
		_, err := s.runLine(ctx, "leave", w.participant.Conference, w.id, w.participant.Name)
		return err
	}
	s.leaving.Go(func() {
		if leave(context.Background()) != nil {
			s.sendLater(s.cfg.Lease, leave)
		}
	})
}

// Know is delivery.Store's. If Redis cannot be reached, the next answer with the
// label is used.
func (s *Store) Know(ctx context.Context, label delivery.Participant, callSID string) {
	s.local.Know(ctx, label, callSID)
	_, _ = s.runLine(ctx, "know", label.Conference, "", label.Name, callSID, milliseconds(s.bounds.LabelAge))
}

// fresh is the time for which the answer of Redis that it is the waiter's turn counts
// as new, so that Redis is not asked again.
const fresh = 20 * time.Millisecond

// valid is the ticket's Valid.
func (s *Store) valid(ctx context.Context, w *waiter) error {
	asked := time.Now()
	if s.isFresh(w, asked) {
		return nil
	}
	if !s.isLocal(w) {
		err := s.renew(ctx, w.participant.Conference, []*waiter{w})
		if err != nil && !errors.Is(err, errUnreachable) {
			return err
		}
		if late := time.Since(asked) >= s.cfg.Lease; late || !s.stands(w, err) {
			return unavailable()
		}
	}
	return s.awaitLocalTurn(ctx, w)
}

// standsStill is the ticket's Stands.
func (s *Store) standsStill(w *waiter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ended := !time.Now().Before(w.until); ended && w.local == nil {
		if !s.redis.failing() {
			return unavailable()
		}
		s.lapse(w)
	}
	switch {
	case w.fenced:
		return unavailable()
	case w.local == nil:
		return nil
	}
	select {
	case <-w.local.Turn:
		return nil
	default:
		return unavailable()
	}
}

func (s *Store) isFresh(w *waiter, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	renewed := w.until.Add(-s.cfg.Lease)
	return w.active && w.local == nil && !w.fenced && now.Sub(renewed) < s.fresh
}

func (s *Store) isLocal(w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.local != nil
}

// stands reports whether the update may be sent, after its lease was renewed or Redis
// could not be reached.
func (s *Store) stands(w *waiter, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case w.fenced, err != nil && !s.goesOn(w.event):
		return false
	case err != nil && !time.Now().Before(w.until):
		s.lapse(w)
	}
	return !w.fenced
}

// awaitLocalTurn waits for the waiter's turn in a queue of this process, if it is in
// one. The caller sees by itself that it is superseded there.
func (s *Store) awaitLocalTurn(ctx context.Context, w *waiter) error {
	if !s.isLocal(w) {
		return nil
	}
	select {
	case <-w.local.Turn:
	case <-w.local.Superseded:
		s.mu.Lock()
		defer s.mu.Unlock()
		w.supersede()
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// renew renews the leases of waiters in one conference, and handles what Redis says
// of each.
func (s *Store) renew(ctx context.Context, c delivery.Conference, waiters []*waiter) error {
	args := make([]string, 0, 2*len(waiters))
	for _, w := range waiters {
		args = append(args, w.participant.Name, w.id)
	}
	asked := time.Now()
	states, err := s.runLine(ctx, "renew", c, "", args...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range waiters {
		s.see(w, states[0], states[i+1], asked)
	}
	return nil
}

// see handles what Redis says of a waiter. It is called under the lock.
func (s *Store) see(w *waiter, born, state string, asked time.Time) {
	if w.local != nil || w.fenced || s.waiters[w.id] != w {
		return
	}
	switch state {
	case "wait":
		w.until = s.leaseEnd(asked)
	case "turn", "over":
		w.until = s.leaseEnd(asked)
		w.giveTurn()
		if state == "over" {
			w.supersede()
		}
	case "past":
		w.supersede()
	case "gone":
		s.gone(w, born)
	}
}

// gone handles a waiter that Redis does not know: its lease has ended, or Redis has
// lost all data or the latest.
func (s *Store) gone(w *waiter, born string) {
	if born != w.born && time.Now().Before(w.until) {
		s.lapse(w)
		return
	}
	w.fence()
	s.redis.observer.LeaseLost(delivery.QueueLease)
}

// lapse ends the waiter's place in Redis. The update goes on in a queue of this
// process if the configuration says so, unless the lease has ended while the process
// was stopped. It is called under the lock.
func (s *Store) lapse(w *waiter) {
	if w.local != nil || w.fenced || s.waiters[w.id] != w {
		return
	}
	if s.endedInStop(w.until) {
		w.fence()
		s.redis.observer.LeaseLost(delivery.QueueLease)
		return
	}
	if !s.goesOn(w.event) {
		w.fence()
		return
	}
	ticket, err := s.local.Join(context.Background(), w.participant, w.sets, w.event)
	if err != nil {
		w.fence()
		return
	}
	w.local = ticket
	s.redis.observer.Separated()
	s.loops.Go(func() { s.follow(w) })
}

// follow passes on what happens in the queue of this process.
func (s *Store) follow(w *waiter) {
	turn := w.local.Turn
	for {
		select {
		case <-turn:
			turn = nil
			s.mu.Lock()
			w.giveTurn()
			s.mu.Unlock()
		case <-w.local.Superseded:
			s.mu.Lock()
			w.supersede()
			s.mu.Unlock()
			return
		case <-w.left:
			return
		}
	}
}

func digit(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}
