package sandbox

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

// eventKinds maps events to the kinds that ConferenceStatusCallbackEvent names.
var eventKinds = map[string]string{
	"conference-start":   "start",
	"conference-end":     "end",
	"participant-join":   "join",
	"participant-leave":  "leave",
	"participant-mute":   "mute",
	"participant-unmute": "mute",
	"participant-hold":   "hold",
	"participant-unhold": "hold",
	"participant-modify": "modify",
	"announcement-end":   "announcement",
	"announcement-fail":  "announcement",
}

// allEventKinds are the kinds that a status callback can ask for. The sandbox has
// no audio, so it sends no events of the kind speaker.
var allEventKinds = []string{"start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"}

// An event is something that happened in a conference.
type event struct {
	name        string
	time        time.Time
	participant *Participant      // nil if the event concerns all participants.
	fields      map[string]string // Further fields. Empty ones are not sent.
}

// notify sends the event to the conference's status callback, if there is one for events
// of its kind.
func (t *tenant) notify(c *Conference, e event) {
	if c.StatusCallback == "" || !slices.Contains(c.StatusCallbackEvent, eventKinds[e.name]) {
		return
	}
	c.SequenceNumber++
	t.schedule(callback{
		conference: c.SID, url: c.StatusCallback, method: c.StatusCallbackMethod,
		form: e.form(c), token: t.secrets.token,
	}, e.time)
}

// send records a callback and queues it for sending.
func (t *tenant) send(c callback, now time.Time) {
	c.entry = &Entry{
		Time: now, Kind: kindCallback, AccountSID: t.SID, ConferenceSID: c.conference,
		FriendlyName: c.form.Get("FriendlyName"), CallSID: c.form.Get("CallSid"), Label: c.form.Get("ParticipantLabel"),
		Operation: c.form.Get("StatusCallbackEvent"), Method: c.method, URL: c.url, Form: c.form, Applied: true,
	}
	t.record(c.entry)
	t.mailer.post(c)
}

func (e event) form(c *Conference) url.Values {
	form := url.Values{
		"AccountSid":          {c.AccountSID},
		"ConferenceSid":       {c.SID},
		"FriendlyName":        {c.FriendlyName},
		"SequenceNumber":      {strconv.Itoa(c.SequenceNumber)},
		"StatusCallbackEvent": {e.name},
		"Timestamp":           {e.time.UTC().Format("Mon, 2 Jan 2006 15:04:05 -0700")}, // Dates of resources have two digits.
	}
	if p := e.participant; p != nil {
		form.Set("CallSid", p.CallSID)
		form.Set("Muted", strconv.FormatBool(p.Muted))
		form.Set("Hold", strconv.FormatBool(p.Hold))
		form.Set("Coaching", strconv.FormatBool(p.Coaching))
		form.Set("EndConferenceOnExit", strconv.FormatBool(p.EndConferenceOnExit))
		form.Set("StartConferenceOnEnter", strconv.FormatBool(p.StartConferenceOnEnter))
		setNonEmpty(form, "CallSidToCoach", p.CallSIDToCoach)
		setNonEmpty(form, "ParticipantLabel", p.Label)
	}
	for name, value := range e.fields {
		setNonEmpty(form, name, value)
	}
	return form
}

func setNonEmpty(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}

// notifyUpdated sends the events of an update: one for each kind of property whose
// value has changed.
func (t *tenant) notifyUpdated(c *Conference, before Participant, p *Participant, now time.Time) {
	notify := func(changed bool, name string) {
		if changed {
			t.notify(c, event{name: name, time: now, participant: p})
		}
	}
	notify(p.Muted && !before.Muted, "participant-mute")
	notify(!p.Muted && before.Muted, "participant-unmute")
	notify(p.Hold && !before.Hold, "participant-hold")
	notify(!p.Hold && before.Hold, "participant-unhold")
	notify(p.BeepOnExit != before.BeepOnExit || p.EndConferenceOnExit != before.EndConferenceOnExit ||
		p.Coaching != before.Coaching || p.CallSIDToCoach != before.CallSIDToCoach ||
		p.WaitMethod != before.WaitMethod || !equal(p.WaitURL, before.WaitURL), "participant-modify")
}

func equal(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }
