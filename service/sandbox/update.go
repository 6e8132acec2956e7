package sandbox

import (
	"net/url"
	"time"
)

// updateParticipant changes the participant and sends the events. If it returns an
// error, it has done neither.
func (t *tenant) updateParticipant(c *call, now time.Time) (any, *apiError) {
	conference, p, err := t.findParticipant(c.target, now)
	if err != nil {
		return nil, err
	}
	if conference.Status != conferenceInProgress {
		return nil, errConferenceStatus
	}
	updated, announced, err := p.updated(c.form, conference, now)
	if err == nil {
		err = t.checkRefusals(c, conference, &updated, len(announced) > 0)
	}
	if err != nil {
		return nil, err
	}
	shown := c.target.showParticipant(&updated)
	t.takeBack(&updated, p)
	before := *p
	*p = updated
	t.notifyUpdated(conference, before, p, now)
	for _, a := range announced {
		t.announce(conference, p, a)
	}
	t.remember(conference, now)
	t.updates++
	return shown, nil
}

// updated returns the participant with the form's changes, and the announcement to it.
// Users report that EndConferenceOnExit takes no effect while the participant is on hold,
// unless the same request ends the hold.
func (p Participant) updated(form url.Values, in *Conference, now time.Time) (Participant, []Announcement, *apiError) {
	wasOnHold := p.Hold
	f := formReader{form: form}
	var announced []Announcement
	f.bool("Muted", &p.Muted)
	f.bool("Hold", &p.Hold)
	f.url("HoldUrl", &p.HoldURL)
	f.method("HoldMethod", &p.HoldMethod)
	f.announcement(&announced, now)
	f.waitURL(&p)
	f.method("WaitMethod", &p.WaitMethod)
	f.bool("BeepOnExit", &p.BeepOnExit)
	f.bool("EndConferenceOnExit", &p.EndConferenceOnExit)
	if !wasOnHold || !p.Hold {
		f.bool("EndConferenceOnExit", &p.EffectiveEndConferenceOnExit)
	}
	f.coaching(&p, in)
	switch {
	case !p.Hold:
		p.HoldSince = time.Time{}
	case !wasOnHold || form.Has("HoldUrl"):
		p.HoldSince = now
	}
	if f.named {
		p.DateUpdated = now
	}
	return p, announced, f.err
}
