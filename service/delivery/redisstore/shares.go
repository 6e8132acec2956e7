package redisstore

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"conferenced/service/delivery"
)

const (
	// hungry is how soon a member asks again that has less than it is due, because
	// others have to give it back first.
	hungry = 20 * time.Millisecond
	// unlimited stands for a limit of which only the rate is to be shared out.
	unlimited = 1 << 20
)

// share is this replica's part of an upstream's limits.
type share struct {
	key    string
	limits delivery.Limits
	member delivery.Member
	woken  chan struct{}

	// These are only keepShare's.
	part    int       // The latest.
	refused time.Time // When the attempt began whose 429 is still to be told; 0: none.
}

func shareKey(u delivery.Upstream) string {
	return "conferenced:{" + u.Account + "@" + u.Host + "}:share"
}

// Share is delivery.Store's. A part is asked for while there is something to send,
// and given back after that.
func (s *Store) Share(
	upstream delivery.Upstream, limits delivery.Limits, member delivery.Member,
) (wake func(), shared bool) {
	part := &share{key: shareKey(upstream), limits: limits, member: member, woken: make(chan struct{}, 1)}
	s.mu.Lock()
	s.shares[part.key] = part
	s.mu.Unlock()
	s.running.Go(func() { s.keepShare(part) })
	return part.wake, true
}

func (p *share) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// keepShare asks for a part whenever it is woken, and again and again while
// something is wanted, until the store is closed.
func (s *Store) keepShare(p *share) {
	again := time.NewTimer(math.MaxInt64)
	defer again.Stop()
	for {
		select {
		case <-p.woken:
		case <-again.C:
		case <-s.stopped:
			return
		}
		again.Reset(s.ask(p))
	}
}

// ask asks for a part, or gives it back if nothing is wanted, and returns when to
// ask again.
func (s *Store) ask(p *share) time.Duration {
	demand := p.demand()
	if demand.Wanted == 0 && !demand.Refused {
		p.member.Grant(0, 0)
		// Something may have come in between.
		if demand = p.demand(); demand.Wanted == 0 {
			_, _ = s.runShare(p, "quit")
			return math.MaxInt64
		}
	}
	answer, err := s.runShare(p, "ask", p.terms(demand)...)
	if err != nil {
		p.member.Alone()
		return s.cfg.Lease / rounds
	}
	p.refused = time.Time{}
	part, due, all := number(answer[0]), number(answer[1]), number(answer[2])
	p.member.Grant(part, float64(due)/float64(max(1, all)))
	before := p.part
	p.part = part
	switch {
	case part < before: // It is another's once this replica has said that it knows.
		return 0
	case answer[3] == "1":
		return hungry
	default:
		return s.cfg.Lease / rounds
	}
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// demand is the member's, with the latest 429 that Redis has not answered to: it is
// told again, though Redis may have heard it and only the answer was lost. Then the
// attempt began before the limit was halved, and does not halve it again. Only if
// the way to Redis takes longer than the attempt did can that be mistaken, and the
// limit be too low for a while, which does less harm than a 429 that nobody hears.
// Successes are told once at most: told twice, they would raise the limit too far.
func (p *share) demand() delivery.Demand {
	d := p.member.Demand()
	if began := time.Now().Add(-d.Age); d.Refused && began.After(p.refused) {
		p.refused = began
	}
	if !p.refused.IsZero() {
		d.Refused, d.Age = true, time.Since(p.refused)
	}
	return d
}

// terms are the arguments of an ask.
func (p *share) terms(d delivery.Demand) []string {
	most, least := p.limits.MaxConcurrency, p.limits.MinConcurrency
	if most == 0 {
		most, least = unlimited, unlimited
	}
	age := int64(-1)
	if d.Refused {
		age = d.Age.Milliseconds()
	}
	return []string{
		strconv.Itoa(most), strconv.Itoa(least), strconv.Itoa(d.Held), strconv.Itoa(d.Wanted),
		strconv.Itoa(d.Successes), strconv.FormatInt(age, 10),
	}
}

func (s *Store) runShare(p *share, op string, args ...string) ([]string, error) {
	all := append([]string{op, s.replica, milliseconds(s.cfg.Lease)}, args...)
	return s.run(context.Background(), ShareOperation, sharesScript, p.key, all...)
}

// quitShares gives back every part.
func (s *Store) quitShares() {
	s.mu.Lock()
	shares := slices.Collect(maps.Values(s.shares))
	s.mu.Unlock()
	for _, p := range shares {
		if _, err := s.runShare(p, "quit"); err != nil {
			return // The leases will end.
		}
	}
}

// hearShare is told that others ask for what this replica has, or that the limit
// was halved.
func (s *Store) hearShare(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.shares[key]; p != nil {
		p.wake()
	}
}
