package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"conferenced/service/delivery"
)

// place is an update of this replica in its participant's line. Store.mu guards
// what may change.
type place struct {
	id          string
	participant delivery.Participant
	sets        delivery.Properties
	event       bool
	turn        chan struct{}
	superseded  chan struct{}
	left        chan struct{}

	born    string // The conference's, when the place was taken.
	arrival int64
	until   time.Time // Before that, the lease has not ended.

	active    bool // turn is closed.
	overtaken bool // superseded is closed.
	fenced    bool // It has lost its place: nothing may be sent any more.
	// alone is the place in this process's own line, which it has instead once
	// the shared one cannot be asked for or was lost.
	alone *delivery.Ticket
}

func lineKey(c delivery.Conference) string {
	return "conferenced:{" + c.Account + "/" + c.SID + "}"
}

func (s *Store) runLine(
	ctx context.Context, op string, c delivery.Conference, id string, args ...string,
) ([]string, error) {
	all := append([]string{op, milliseconds(s.cfg.Lease), id}, args...)
	return s.run(ctx, LineOperation, linesScript, lineKey(c), all...)
}

// goesOn says whether an update stays in line without Redis.
func (s *Store) goesOn(event bool) bool {
	return s.cfg.Failure == Open || s.cfg.Failure == Mixed && !event
}

// Join is delivery.Store's.
func (s *Store) Join(
	ctx context.Context, participant delivery.Participant, sets delivery.Properties, event bool,
) (*delivery.Ticket, error) {
	p := s.enter(participant, sets, event)
	asked := time.Now()
	answer, err := s.runLine(ctx, "join", participant.Conference, p.id, participant.Name,
		strconv.Itoa(int(sets)), flag(event), strconv.Itoa(s.bounds.LineLength))
	switch {
	case err != nil:
		s.leave(p) // It may stand in line all the same.
		if errors.Is(err, errUnreachable) {
			return s.joinAlone(ctx, participant, sets, event)
		}
		return nil, err
	case answer[0] == "full":
		s.forget(p)
		return nil, &delivery.RefusedError{Reason: delivery.Overloaded}
	}
	s.entered(p, answer, asked)
	return &delivery.Ticket{
		Turn: p.turn, Superseded: p.superseded,
		Valid:  func(ctx context.Context) error { return s.valid(ctx, p) },
		Stands: func() error { return s.standsStill(p) },
		Leave:  func() { s.leave(p) },
	}, nil
}

func (s *Store) joinAlone(
	ctx context.Context, participant delivery.Participant, sets delivery.Properties, event bool,
) (*delivery.Ticket, error) {
	if !s.goesOn(event) {
		return nil, refused()
	}
	ticket, err := s.alone.Join(ctx, participant, sets, event)
	if err == nil {
		s.observer.alone()
	}
	return ticket, err
}

// enter makes the place known before Redis knows it, so that what Redis says of
// it is not missed.
func (s *Store) enter(participant delivery.Participant, sets delivery.Properties, event bool) *place {
	p := &place{
		id: s.newID(), participant: participant, sets: sets, event: event,
		turn: make(chan struct{}), superseded: make(chan struct{}), left: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places[p.id] = p
	return p
}

func (s *Store) entered(p *place, answer []string, asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.born = answer[1]
	p.arrival, _ = strconv.ParseInt(answer[2], 10, 64)
	p.until = asked.Add(s.cfg.Lease)
	if answer[0] == "turn" {
		p.giveTurn()
	}
}

// forget returns the place in this process's own line, if there is one. There
// will be none after that.
func (s *Store) forget(p *place) *delivery.Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.places, p.id)
	close(p.left)
	return p.alone
}

// leave gives the place back. Nobody waits until Redis was told; if it cannot be,
// the lease ends.
func (s *Store) leave(p *place) {
	if alone := s.forget(p); alone != nil {
		alone.Leave()
		return
	}
	leave := func(ctx context.Context) error {
		_, err := s.runLine(ctx, "leave", p.participant.Conference, p.id, p.participant.Name)
		return err
	}
	s.telling.Go(func() {
		if leave(context.Background()) != nil {
			s.later(s.cfg.Lease, leave)
		}
	})
}

// Know is delivery.Store's.
func (s *Store) Know(ctx context.Context, label delivery.Participant, callSID string) {
	s.alone.Know(ctx, label, callSID)
	know := func(ctx context.Context) error {
		_, err := s.runLine(ctx, "know", label.Conference, "", label.Name, callSID, milliseconds(s.bounds.LabelAge))
		return err
	}
	_ = know(ctx) // Without Redis, it will be seen again.
}

// giveTurn is called under the lock, like the next one.
func (p *place) giveTurn() {
	if !p.active {
		p.active = true
		close(p.turn)
	}
}

func (p *place) overtake() {
	if !p.overtaken {
		p.overtaken = true
		close(p.superseded)
	}
}

// fence lets the update end: it gets its turn, but may not be sent.
func (p *place) fence() {
	p.fenced = true
	p.giveTurn()
}

// fresh is for how long nobody needs to ask again whether a turn stands that Redis
// has just spoken of.
const fresh = 20 * time.Millisecond

// valid is the ticket's Valid.
func (s *Store) valid(ctx context.Context, p *place) error {
	asked := time.Now()
	if s.isFresh(p, asked) {
		return nil
	}
	if !s.isAlone(p) {
		err := s.renew(ctx, p.participant.Conference, []*place{p})
		if err != nil && !errors.Is(err, errUnreachable) {
			return err
		}
		if late := time.Since(asked) >= s.cfg.Lease; late || !s.stands(p, err) {
			return refused()
		}
	}
	return s.awaitTurnAlone(ctx, p)
}

// standsStill is the ticket's Stands.
func (s *Store) standsStill(p *place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if over := !time.Now().Before(p.until); over && p.alone == nil {
		if s.failures.Load() == 0 {
			return refused()
		}
		s.lapse(p)
	}
	switch {
	case p.fenced:
		return refused()
	case p.alone == nil:
		return nil
	}
	select {
	case <-p.alone.Turn:
		return nil
	default:
		return refused()
	}
}

func (s *Store) isFresh(p *place, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := p.until.Add(-s.cfg.Lease) // Not later than that.
	return p.active && p.alone == nil && !p.fenced && now.Sub(said) < s.fresh
}

func (s *Store) isAlone(p *place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.alone != nil
}

// stands says whether the place may be sent from, after the lease was renewed or
// Redis could not be asked.
func (s *Store) stands(p *place, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case p.fenced, err != nil && !s.goesOn(p.event):
		return false
	case err != nil && !time.Now().Before(p.until):
		s.lapse(p)
	}
	return !p.fenced
}

// awaitTurnAlone waits for the turn in this process's own line, if the place is
// there now. That it is superseded there is seen by the update itself.
func (s *Store) awaitTurnAlone(ctx context.Context, p *place) error {
	if !s.isAlone(p) {
		return nil
	}
	select {
	case <-p.alone.Turn:
	case <-p.alone.Superseded:
		s.mu.Lock()
		defer s.mu.Unlock()
		p.overtake()
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// renew renews the leases of places in one conference, and sees what became of
// them.
func (s *Store) renew(ctx context.Context, c delivery.Conference, places []*place) error {
	args := make([]string, 0, 2*len(places))
	for _, p := range places {
		args = append(args, p.participant.Name, p.id)
	}
	asked := time.Now()
	states, err := s.runLine(ctx, "renew", c, "", args...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range places {
		s.see(p, states[0], states[i+1], asked)
	}
	return nil
}

// see takes over what Redis says of a place; it is called under the lock.
func (s *Store) see(p *place, born, state string, asked time.Time) {
	if p.alone != nil || p.fenced || s.places[p.id] != p {
		return
	}
	switch state {
	case "wait":
		p.until = asked.Add(s.cfg.Lease)
	case "turn", "over":
		p.until = asked.Add(s.cfg.Lease)
		p.giveTurn()
		if state == "over" {
			p.overtake()
		}
	case "past":
		p.overtake()
	case "gone":
		s.gone(p, born)
	}
}

// gone is what becomes of a place that Redis does not know: it has lost
// everything, or what it learned last, or thinks that the lease has ended.
func (s *Store) gone(p *place, born string) {
	if born != p.born && time.Now().Before(p.until) {
		s.lapse(p)
		return
	}
	p.fence()
	s.observer.lost(TurnHolding)
}

// lapse ends the shared place of an update; it is called under the lock. If the
// update goes on without Redis, it does so in this process's own line, unless
// this process was stopped for so long that others may have gone on without it.
func (s *Store) lapse(p *place) {
	if p.alone != nil || p.fenced || s.places[p.id] != p {
		return
	}
	if time.Since(s.awake) >= s.cfg.Lease {
		p.fence()
		s.observer.lost(TurnHolding)
		return
	}
	if !s.goesOn(p.event) {
		p.fence()
		return
	}
	ticket, err := s.alone.Join(context.Background(), p.participant, p.sets, p.event)
	if err != nil {
		p.fence()
		return
	}
	p.alone = ticket
	s.observer.alone()
	s.running.Go(func() { s.follow(p) })
}

// follow hands on what happens in this process's own line.
func (s *Store) follow(p *place) {
	turn := p.alone.Turn
	for {
		select {
		case <-turn:
			turn = nil
			s.mu.Lock()
			p.giveTurn()
			s.mu.Unlock()
		case <-p.alone.Superseded:
			s.mu.Lock()
			p.overtake()
			s.mu.Unlock()
			return
		case <-p.left:
			return
		}
	}
}

func flag(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}
