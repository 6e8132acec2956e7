package delivery

import (
	"cmp"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// sharing is what a limiter knows of the others that send to the same upstream.
// The limiter's lock guards it.
type sharing struct {
	wake  func() // nil: there are no others.
	had   int    // The latest grant that was something.
	alone bool   // It cannot be told by others what it may do.

	wanted    int // The most since it was last asked.
	successes int
	refused   time.Time // When the latest attempt began that got a 429; 0: none.
	told      time.Time // What refused was when it was last asked.
}

// share lets the limiter have a part of the limits, if others have the rest.
func (l *limiter) share(store Store, upstream Upstream) {
	if l.off() {
		return
	}
	wake, shared := store.Share(upstream, l.limits, l)
	if !shared {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sharing.wake = wake
	if l.sharing.shared() {
		l.limit = float64(l.sharing.had)
	}
}

// shared says whether the others decide on the limit.
func (s *sharing) shared() bool { return s.wake != nil && !s.alone }

// want notes how much is wanted, and asks for more than there is.
func (l *limiter) want(asking bool) {
	if l.sharing.wake == nil {
		return
	}
	l.sharing.wanted = max(l.sharing.wanted, l.inFlight+l.waiting)
	if asking && float64(l.inFlight+l.waiting) > l.limit {
		l.sharing.wake()
	}
}

// tellOthers notes what an answer says about the limit of all. While they cannot be
// asked, only a 429 does: they are told of it after that.
func (l *limiter) tellOthers(began time.Time, refused bool) {
	switch {
	case l.sharing.wake == nil:
	case refused:
		if began.After(l.sharing.refused) {
			l.sharing.refused = began
		}
		l.sharing.wake()
	case l.sharing.shared() && float64(l.inFlight) >= l.limit/2:
		l.sharing.successes++
	}
}

// Demand is Member's.
func (l *limiter) Demand() Demand {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.sharing
	now := l.inFlight + l.waiting
	d := Demand{Held: l.inFlight, Wanted: max(now, s.wanted), Successes: s.successes, Refused: !s.refused.IsZero()}
	if !math.IsInf(l.limit, 1) {
		d.Held = max(d.Held, int(l.limit))
	}
	if d.Refused {
		d.Age = time.Since(s.refused)
	}
	s.wanted, s.successes, s.told, s.refused = now, 0, s.refused, time.Time{}
	return d
}

// Grant is Member's.
func (l *limiter) Grant(concurrency int, fraction float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sharing.alone = false
	l.sharing.had = cmp.Or(concurrency, l.sharing.had)
	l.limit = float64(concurrency)
	if l.rate != nil && fraction > 0 {
		l.rate.SetLimit(rate.Limit(fraction * l.limits.Rate))
		l.rate.SetBurst(max(1, int(fraction*float64(l.limits.Burst))))
	}
	l.grant()
}

// Alone is Member's.
func (l *limiter) Alone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.sharing.alone:
		return
	case l.sharing.had == 0:
		l.limit = l.most()
	default:
		l.limit = float64(l.sharing.had)
	}
	l.sharing.alone = true
	l.heedUnheard()
	l.grant()
}

// heedUnheard lets a 429 that the others have not heard of halve what is now the
// limit of one alone.
func (l *limiter) heedUnheard() {
	if l.limits.MaxConcurrency == 0 {
		return
	}
	now := time.Now()
	for _, began := range []time.Time{l.sharing.told, l.sharing.refused} {
		l.halve(began, now)
	}
}

// most is the limit that none is above.
func (l *limiter) most() float64 {
	if l.limits.MaxConcurrency == 0 {
		return math.Inf(1)
	}
	return float64(l.limits.MaxConcurrency)
}
