package sandbox

import "time"

// Advance moves the sandbox's clock, and nothing else's, d further ahead of
// Config.Now, and lets happen on the way, in order and each at its time, what
// becomes due: calls that are queued connect, ring and are answered. Reset takes
// all advances back. A d that is not positive only lets happen what is due.
func (s *Sandbox) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.advanced += max(d, 0)
	now := s.now()
	s.world.settle(now)
	s.rearm(now)
}

// lock takes the lock, lets happen what is due, and returns the time.
func (s *Sandbox) lock() time.Time {
	s.mu.Lock()
	now := s.now()
	s.world.settle(now)
	return now
}

// now is the sandbox's time. The caller holds the lock.
func (s *Sandbox) now() time.Time { return s.config.Now().Add(s.world.advanced).UTC() }

// rearm sets the alarm for the next step of a call, so that its events are sent
// on time though nobody asks for anything. Only the real clock can be waited for:
// one given by Config.Now has no alarm. The caller holds the lock.
func (s *Sandbox) rearm(now time.Time) {
	_, p := s.world.nextCall()
	if p == nil || !s.ticking || s.isClosed() {
		return
	}
	wait := p.StatusDue.Sub(now)
	if s.alarm == nil {
		s.alarm = time.AfterFunc(wait, s.wake)
		return
	}
	s.alarm.Reset(wait)
}

func (s *Sandbox) wake() {
	now := s.lock()
	defer s.mu.Unlock()
	s.rearm(now)
}

// nextStatus is the way of a call from its placement to its answer.
var nextStatus = map[string]string{
	statusQueued:     statusConnecting,
	statusConnecting: statusRinging,
	statusRinging:    statusConnected,
}

// settle makes every step of a call that is due by now.
func (w *world) settle(now time.Time) {
	for {
		conference, p := w.nextCall()
		if p == nil || p.StatusDue.After(now) {
			return
		}
		w.step(conference, p)
	}
}

// nextCall returns the participant whose status is the next to change, and its
// conference, or nil.
func (w *world) nextCall() (in *Conference, next *Participant) {
	for _, account := range w.accounts {
		for _, conference := range account.Conferences {
			for _, p := range conference.Participants {
				if p.StatusDue.IsZero() || next != nil && !p.StatusDue.Before(next.StatusDue) {
					continue
				}
				in, next = conference, p
			}
		}
	}
	return in, next
}

// step moves a call on by one status, at the time at which that was due.
func (w *world) step(c *Conference, p *Participant) {
	at := p.StatusDue
	p.Status, p.DateUpdated = nextStatus[p.Status], at
	if p.Status != statusConnected {
		p.StatusDue = at.Add(w.callStep)
		return
	}
	p.StatusDue = time.Time{}
	w.join(c, p, at)
}
