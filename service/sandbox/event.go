package sandbox

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

// eventKinds tells which kind, as a status callback asks for it, an event is of.
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
}

// allEventKinds are those that a status callback may ask for. Nobody speaks in
// the sandbox, so no event is of the kind speaker.
var allEventKinds = []string{"start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"}

// eventDate is how Twilio writes the time of an event, for once without a zero
// before the day.
const eventDate = "Mon, 2 Jan 2006 15:04:05 -0700"

// An event is something that happens in a conference.
type event struct {
	name string
	time time.Time
	of   *Participant // nil if it concerns them all
	with map[string]string
}

// notify sends the event to the conference's status callback, if that asks for
// it. It neither waits nor fails.
func (w *world) notify(c *Conference, e event) {
	if c.StatusCallback == "" || !slices.Contains(c.StatusCallbackEvent, eventKinds[e.name]) {
		return
	}
	c.SequenceNumber++
	w.mail.post(c.SID, callback{
		url:    c.StatusCallback,
		method: c.StatusCallbackMethod,
		form:   e.form(c),
		token:  w.secrets[c.AccountSID].token,
	})
}

func (e event) form(c *Conference) url.Values {
	form := url.Values{}
	form.Set("AccountSid", c.AccountSID)
	form.Set("ConferenceSid", c.SID)
	form.Set("FriendlyName", c.FriendlyName)
	form.Set("SequenceNumber", strconv.Itoa(c.SequenceNumber))
	form.Set("StatusCallbackEvent", e.name)
	form.Set("Timestamp", e.time.UTC().Format(eventDate))
	if e.of != nil {
		e.of.describe(form)
	}
	for name, value := range e.with {
		if value != "" {
			form.Set(name, value)
		}
	}
	return form
}

// describe puts into the form what events tell of a participant.
func (p *Participant) describe(form url.Values) {
	form.Set("CallSid", p.CallSID)
	form.Set("Muted", strconv.FormatBool(p.Muted))
	form.Set("Hold", strconv.FormatBool(p.Hold))
	form.Set("Coaching", strconv.FormatBool(p.Coaching))
	form.Set("EndConferenceOnExit", strconv.FormatBool(p.EndConferenceOnExit))
	form.Set("StartConferenceOnEnter", strconv.FormatBool(p.StartConferenceOnEnter))
	if p.CallSIDToCoach != "" {
		form.Set("CallSidToCoach", p.CallSIDToCoach)
	}
	if p.Label != "" {
		form.Set("ParticipantLabel", p.Label)
	}
}

// notifyChanges tells what an update changed. Naming a property without changing
// it is no event.
func (w *world) notifyChanges(c *Conference, before Participant, p *Participant, now time.Time) {
	tell := func(changed bool, name string) {
		if changed {
			w.notify(c, event{name: name, time: now, of: p})
		}
	}
	tell(p.Muted && !before.Muted, "participant-mute")
	tell(!p.Muted && before.Muted, "participant-unmute")
	tell(p.Hold && !before.Hold, "participant-hold")
	tell(!p.Hold && before.Hold, "participant-unhold")
	tell(p.modifiedSince(before), "participant-modify")
	w.notifyAnnounced(c, p, p.Announcements[len(before.Announcements):])
}

// modifiedSince reports whether one of the properties differs for which Twilio
// has the event participant-modify.
func (p *Participant) modifiedSince(before Participant) bool {
	return p.BeepOnExit != before.BeepOnExit ||
		p.EndConferenceOnExit != before.EndConferenceOnExit ||
		p.Coaching != before.Coaching ||
		p.CallSIDToCoach != before.CallSIDToCoach ||
		p.WaitMethod != before.WaitMethod ||
		!equal(p.WaitURL, before.WaitURL)
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// notifyAnnounced tells that announcements, which take no time here, have ended.
// A nil participant is everybody.
func (w *world) notifyAnnounced(c *Conference, p *Participant, all []Announcement) {
	for _, a := range all {
		w.notify(c, event{name: "announcement-end", time: a.Time, of: p, with: map[string]string{"AnnounceUrl": a.URL}})
	}
}
