package sandbox

import "time"

// Advance moves the sandbox's clock forward by d, relative to Config.Now, and makes
// the steps that become due, in order and each at its own time. If d is not
// positive, it makes only the steps that are already due. Reset undoes it.
func (s *Sandbox) Advance(d time.Duration) {
	s.mu.Lock()
	s.world.advanced += max(d, 0)
	now := s.now()
	s.world.makeSteps(now)
	s.unlock(now)
}

// lock takes the lock, makes the steps that are due, and returns the sandbox's time.
func (s *Sandbox) lock() time.Time {
	s.mu.Lock()
	now := s.now()
	s.world.makeSteps(now)
	return now
}

// unlock releases the lock after a change, which the boards then show.
func (s *Sandbox) unlock(now time.Time) {
	s.setAlarm(now)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	s.mu.Unlock()
}

// now returns the sandbox's time. The caller holds the lock.
func (s *Sandbox) now() time.Time { return s.config.Now().UTC().Add(s.world.advanced) }

// setAlarm sets the timer for the next step, so that its events are sent in time also
// without requests. It does nothing with a clock of Config. The caller holds the lock.
func (s *Sandbox) setAlarm(now time.Time) {
	if !s.realClock || s.ctx.Err() != nil {
		return
	}
	next := s.world.nextStep()
	if next.do == nil {
		return
	}
	wait := next.at.Sub(now)
	if s.alarm != nil {
		s.alarm.Reset(wait)
		return
	}
	s.alarm = time.AfterFunc(wait, func() { s.unlock(s.lock()) })
}

// A step is a change that the clock causes.
type step struct {
	at time.Time
	do func(at time.Time) // nil if there is no step.
}

// earlier replaces the step by one at the given time if that is earlier. It ignores a
// zero time.
func (next *step) earlier(at time.Time, do func(at time.Time)) {
	if !at.IsZero() && (next.do == nil || at.Before(next.at)) {
		*next = step{at, do}
	}
}

// makeSteps makes the steps that are due.
func (w *world) makeSteps(now time.Time) {
	for {
		next := w.nextStep()
		if next.do == nil || next.at.After(now) {
			return
		}
		next.do(next.at)
	}
}

// nextStep returns the earliest step of all accounts.
func (w *world) nextStep() (next step) {
	for _, t := range w.tenants {
		for _, c := range t.Conferences {
			if a := playingIn(c.Announcements); a != nil {
				next.earlier(a.Ends, func(at time.Time) { t.endAnnouncement(c, nil, "", at) })
			}
			for _, p := range c.Participants {
				next.earlier(p.StatusDue, func(at time.Time) { t.proceed(c, p, at) })
				if a := playingIn(p.Announcements); a != nil {
					next.earlier(a.Ends, func(at time.Time) { t.endAnnouncement(c, p, "", at) })
				}
			}
		}
		for _, l := range t.late {
			next.earlier(l.at, t.sendLate)
		}
	}
	return next
}

// proceed makes the next step of a participant's call.
func (t *tenant) proceed(c *Conference, p *Participant, at time.Time) {
	p.DateUpdated, p.StatusDue = at, at.Add(t.world.config.CallStep)
	switch p.Status {
	case statusQueued:
		p.Status = statusConnecting
	case statusConnecting:
		p.Status = statusRinging
	default:
		p.Status, p.StatusDue = statusConnected, time.Time{}
		t.join(c, p, at)
	}
	t.remember(c, at)
}
