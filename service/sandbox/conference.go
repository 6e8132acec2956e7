package sandbox

import "time"

func (t *tenant) fetchConference(c *call, _ time.Time) (any, *apiError) {
	conference, err := t.findConference(c.target)
	if err != nil {
		return nil, err
	}
	return c.target.showConference(conference), nil
}

// updateConference plays an announcement to all participants, ends the conference, or
// does both in this order.
func (t *tenant) updateConference(c *call, now time.Time) (any, *apiError) {
	conference, err := t.findConference(c.target)
	if err != nil {
		return nil, err
	}
	f := formReader{form: c.form}
	var announced []Announcement
	f.announcement(&announced, now)
	ends := f.has("Status")
	switch {
	case f.err != nil:
		return nil, f.err
	case ends && c.form.Get("Status") != conferenceCompleted:
		return nil, badRequest("Status can only be set to completed")
	case ends && conference.Status == conferenceCompleted,
		len(announced) > 0 && conference.Status != conferenceInProgress:
		return nil, errConferenceStatus
	}
	if f.named {
		conference.DateUpdated = now
	}
	for _, a := range announced {
		t.announce(conference, nil, a)
	}
	if ends {
		t.end(conference, endedByAPI, nil, now)
	}
	return c.target.showConference(conference), nil
}
