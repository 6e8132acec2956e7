package sandbox

import "time"

// Advance moves the sandbox's clock forward by d, relative to Config.Now, and makes
// the steps of calls that become due, in order and each at its own time. If d is not
// positive, it makes only the steps that are already due. Reset undoes it.
func (s *Sandbox) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.advanced += max(d, 0)
	now := s.now()
	s.world.makeSteps(now)
	s.setAlarm(now)
}

// lock takes the lock, makes the steps of calls that are due, and returns the
// sandbox's time.
func (s *Sandbox) lock() time.Time {
	s.mu.Lock()
	now := s.now()
	s.world.makeSteps(now)
	return now
}

func (s *Sandbox) now() time.Time { return s.config.Now().Add(s.world.advanced).UTC() }

// setAlarm sets the timer for the next step of a call, so that its events are sent in
// time even without requests. It does nothing unless the clock is the real one. The
// caller holds the lock.
func (s *Sandbox) setAlarm(now time.Time) {
	if !s.realClock || s.ctx.Err() != nil {
		return
	}
	_, p := s.world.nextStep()
	if p == nil {
		return
	}
	wait := p.StatusDue.Sub(now)
	if s.alarm != nil {
		s.alarm.Reset(wait)
		return
	}
	s.alarm = time.AfterFunc(wait, func() {
		now := s.lock()
		defer s.mu.Unlock()
		s.setAlarm(now)
	})
}

// makeSteps makes the steps of calls that are due.
func (w *world) makeSteps(now time.Time) {
	for {
		c, p := w.nextStep()
		if p == nil || p.StatusDue.After(now) {
			return
		}
		at := p.StatusDue
		p.DateUpdated, p.StatusDue = at, at.Add(w.callStep)
		switch p.Status {
		case statusQueued:
			p.Status = statusConnecting
		case statusConnecting:
			p.Status = statusRinging
		default:
			p.Status, p.StatusDue = statusConnected, time.Time{}
			w.join(c, p, at)
		}
	}
}

// nextStep returns the participant whose status is the next to change, and its
// conference, or nil.
func (w *world) nextStep() (in *Conference, next *Participant) {
	for _, account := range w.accounts {
		for _, c := range account.Conferences {
			for _, p := range c.Participants {
				if !p.StatusDue.IsZero() && (next == nil || p.StatusDue.Before(next.StatusDue)) {
					in, next = c, p
				}
			}
		}
	}
	return in, next
}
