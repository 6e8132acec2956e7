package sandbox

import (
	"net/url"
	"time"
)

// updateParticipant changes the participant, sends the events and records the update
// in the journal. If it returns an error, it has done none of these.
func (w *world) updateParticipant(c *call, now time.Time) (any, *apiError) {
	conference, p, err := w.findParticipant(c.target)
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
	w.notifyUpdated(conference, before, p, now)
	w.journal = append(w.journal, Entry{
		Seq:           len(w.journal) + 1,
		Time:          now,
		AccountSID:    c.target.account,
		ConferenceSID: conference.SID,
		CallSID:       p.CallSID,
		Form:          c.form,
		RequestID:     c.id,
	})
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
