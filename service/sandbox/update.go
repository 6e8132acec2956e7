package sandbox

import (
	"net/url"
	"time"
)

// updateParticipant changes the participant and sends the events. If it returns an
// error, it has done neither.
func (t *tenant) updateParticipant(c *call, now time.Time) (any, *apiError) {
	conference, p, err := t.findParticipant(c.target)
	if err != nil {
		return nil, err
	}
	if conference.Status != conferenceInProgress {
		return nil, errConferenceStatus
	}
	updated, err := p.updated(c.form, conference, now)
	if err != nil {
		return nil, err
	}
	before := *p
	*p = updated
	t.notifyUpdated(conference, before, p, now)
	t.updates++
	return c.target.showParticipant(p), nil
}

// updated returns the participant with the form's changes. Users report that
// EndConferenceOnExit takes no effect on hold, unless the request ends that.
func (p Participant) updated(form url.Values, in *Conference, now time.Time) (Participant, *apiError) {
	wasOnHold := p.Hold
	f := formReader{form: form}
	f.bool("Muted", &p.Muted)
	f.bool("Hold", &p.Hold)
	f.url("HoldUrl", &p.HoldURL)
	f.method("HoldMethod", &p.HoldMethod)
	f.announcement(&p.Announcements, now)
	f.waitURL(&p)
	f.method("WaitMethod", &p.WaitMethod)
	f.bool("BeepOnExit", &p.BeepOnExit)
	f.bool("EndConferenceOnExit", &p.EndConferenceOnExit)
	if !wasOnHold || !p.Hold {
		f.bool("EndConferenceOnExit", &p.EffectiveEndConferenceOnExit)
	}
	f.coaching(&p, in)
	if f.named {
		p.DateUpdated = now
	}
	return p, f.err
}
