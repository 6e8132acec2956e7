package sandbox

import (
	"slices"
	"time"
)

// defects are defects of Twilio that users report. The zero value has none. The shares
// are from 0 to 1.
type defects struct {
	late       time.Duration // The maximum delay of callbacks.
	duplicated float64       // The share of callbacks that are sent twice.
	reordered  float64       // The share of callbacks that are sent after newer ones.

	listLag        time.Duration // The age of lists of participants.
	nameLag        time.Duration // The age from which conferences are found by name.
	participantLag time.Duration // The age from which participants are found.

	withoutEffect float64 // The share of updates of which one property takes no effect.
}

// extraDelay is the additional delay of a reordered callback, and of a duplicate.
const extraDelay = time.Second

// A lateCallback is a callback that is due at a time.
type lateCallback struct {
	callback
	at time.Time
}

// schedule sends a callback, now unless the account has defects of callbacks.
func (t *tenant) schedule(c callback, now time.Time) {
	d := t.settings.defects
	if d.late == 0 && d.duplicated == 0 && d.reordered == 0 {
		t.send(c, now)
		return
	}
	at := now
	if d.late > 0 {
		at = at.Add(time.Duration(t.chance.Int64N(int64(d.late) + 1)))
	}
	if last := t.lastDue[c.conference]; at.Before(last) {
		at = last // Callbacks that are only late keep their order.
	}
	t.lastDue[c.conference] = at
	if t.chance.Float64() < d.reordered {
		at = at.Add(extraDelay)
	}
	t.late = append(t.late, lateCallback{c, at})
	if t.chance.Float64() < d.duplicated {
		t.late = append(t.late, lateCallback{c, at.Add(extraDelay)})
	}
}

// sendLate sends the first callback that is due at that time.
func (t *tenant) sendLate(at time.Time) {
	i := slices.IndexFunc(t.late, func(l lateCallback) bool { return l.at.Equal(at) })
	next := t.late[i].callback
	t.late = slices.Delete(t.late, i, i+1)
	t.send(next, at)
}

// A snapshot is the participants of a conference at a time.
type snapshot struct {
	at           time.Time
	participants []*Participant
}

// remember keeps the participants of a conference for lists that lag behind.
func (t *tenant) remember(c *Conference, now time.Time) {
	lag := t.settings.defects.listLag
	if lag == 0 {
		return
	}
	t.past[c.SID] = append(t.past[c.SID], snapshot{now, cloneAll(c.Participants, (*Participant).clone)})
	for past := t.past[c.SID]; len(past) > 1 && !past[1].at.After(now.Add(-lag)); past = past[1:] {
		t.past[c.SID] = past[1:]
	}
}

// listed returns the participants that a list shows.
func (t *tenant) listed(c *Conference, now time.Time) []*Participant {
	shown := c.Participants
	for i, s := range t.past[c.SID] {
		if i == 0 || !s.at.After(now.Add(-t.settings.defects.listLag)) {
			shown = s.participants
		}
	}
	return slices.DeleteFunc(slices.Clone(shown), func(p *Participant) bool { return t.hides(p, now) })
}

// hides reports whether a participant was created too recently to be found.
func (t *tenant) hides(p *Participant, now time.Time) bool {
	return p.To != "" && now.Before(p.DateCreated.Add(t.settings.defects.participantLag))
}

// takeBack undoes the change of one property if the update has the defect withoutEffect.
func (t *tenant) takeBack(updated, before *Participant) {
	if share := t.settings.defects.withoutEffect; share == 0 || t.chance.Float64() >= share {
		return
	}
	var undo []func()
	changed := func(changed bool, restore func()) {
		if changed {
			undo = append(undo, restore)
		}
	}
	changed(updated.Muted != before.Muted, func() { updated.Muted = before.Muted })
	changed(updated.Hold != before.Hold, func() { updated.Hold, updated.HoldSince = before.Hold, before.HoldSince })
	changed(updated.EndConferenceOnExit != before.EndConferenceOnExit, func() {
		updated.EndConferenceOnExit = before.EndConferenceOnExit
		updated.EffectiveEndConferenceOnExit = before.EffectiveEndConferenceOnExit
	})
	changed(updated.CallSIDToCoach != before.CallSIDToCoach, func() {
		updated.Coaching, updated.CallSIDToCoach = before.Coaching, before.CallSIDToCoach
	})
	if len(undo) > 0 {
		undo[t.chance.IntN(len(undo))]()
	}
}
