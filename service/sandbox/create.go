package sandbox

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// createParticipant places a call. Instead of a conference's SID the path can have a
// friendly name, of a conference that has not completed or of a new one.
func (t *tenant) createParticipant(c *call, now time.Time) (any, *apiError) {
	conference, err := t.conferenceToJoin(c.target, c.form)
	if err != nil {
		return nil, err
	}
	p, err := conference.newParticipant(c.form, now)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(t.Conferences, conference) {
		setDates(&conference.DateCreated, &conference.DateUpdated, now)
		t.Conferences = append(t.Conferences, conference)
	}
	conference.CallsPlaced++
	p.CallSID = makeSID("CA", conference.SID, "/call/"+strconv.Itoa(conference.CallsPlaced))
	p.Status, p.StatusDue = statusQueued, now.Add(t.world.config.CallStep)
	t.append(conference, p, now)
	c.target.conference = conference.SID
	c.describe(conference, p)
	shown := c.target.showParticipant(p)
	shown.QueueTime = nullable(strconv.FormatInt(t.world.config.CallStep.Milliseconds(), 10))
	return shown, nil
}

// conferenceToJoin returns the conference that a create request names. If it does not
// exist, it is created, but not added to its account.
func (t *tenant) conferenceToJoin(at target, form url.Values) (*Conference, *apiError) {
	if conferenceSID.MatchString(at.conference) {
		c := t.conference(at.conference)
		if c == nil || c.Status == conferenceCompleted {
			return nil, errConferenceGone
		}
		return c, nil
	}
	if n := utf8.RuneCountInString(at.conference); n == 0 || n > maxFriendlyName || !utf8.ValidString(at.conference) {
		return nil, notFound(at)
	}
	if c := t.running(at.conference); c != nil {
		return c, nil
	}
	c := Conference{
		SID:          t.makeConferenceSID(at.conference),
		AccountSID:   t.SID,
		FriendlyName: at.conference,
		Status:       conferenceInit,
		Region:       form.Get("Region"),
	}
	f := formReader{form: form}
	f.maxParticipants(&c)
	f.statusCallback(&c)
	c = c.withDefaults()
	return &c, f.err
}

// running returns the account's conference of that name that has not completed,
// or nil.
func (a *Account) running(name string) *Conference {
	for _, c := range a.Conferences {
		if c.FriendlyName == name && c.Status != conferenceCompleted {
			return c
		}
	}
	return nil
}

// makeConferenceSID returns the same SID in every run for the same name at the
// same position among the account's conferences.
func (a *Account) makeConferenceSID(name string) string {
	return makeSID("CF", a.SID, strconv.Itoa(len(a.Conferences))+"/"+name)
}

// withDefaults sets all missing properties except the dates.
func (c Conference) withDefaults() Conference {
	c.Region = cmp.Or(c.Region, "us1")
	c.MaxParticipants = cmp.Or(c.MaxParticipants, maxParticipants)
	c.StatusCallbackMethod = cmp.Or(c.StatusCallbackMethod, "POST")
	if c.StatusCallbackEvent == nil {
		c.StatusCallbackEvent = []string{}
	}
	c.Announcements = []Announcement{}
	c.Participants = []*Participant{}
	return c
}

// newParticipant returns the participant that the form describes, without a call, or
// the error with which the conference refuses it.
func (c *Conference) newParticipant(form url.Values, now time.Time) (*Participant, *apiError) {
	p := Participant{StartConferenceOnEnter: true, DateCreated: now, DateUpdated: now}
	f := formReader{form: form}
	f.fromAndTo(&p)
	f.label(&p, c)
	f.bool("Muted", &p.Muted)
	f.bool("StartConferenceOnEnter", &p.StartConferenceOnEnter)
	f.bool("EndConferenceOnExit", &p.EndConferenceOnExit)
	f.beep(&p)
	f.waitURL(&p)
	f.method("WaitMethod", &p.WaitMethod)
	f.coaching(&p, c)
	f.url("StatusCallback", new(string)) // Checked and not used, like its method.
	f.method("StatusCallbackMethod", new(string))
	if c.full() {
		f.refuse(errConferenceFull)
	}
	p = p.withDefaults()
	return &p, f.err
}
