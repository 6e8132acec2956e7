package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxURL is Twilio's limit for the URLs of webhooks, in bytes.
const maxURL = 4000

// A formReader sets the properties that are in a form.
type formReader struct {
	form  url.Values
	named bool      // The form has a property.
	err   *apiError // The first reason to refuse the form.
}

func (f *formReader) has(name string) bool {
	has := f.form.Has(name)
	f.named = f.named || has
	return has
}

func (f *formReader) refuse(err *apiError) {
	if f.err == nil {
		f.err = err
	}
}

func (f *formReader) bool(name string, value *bool) {
	if f.has(name) {
		*value = isTrue(f.form.Get(name))
	}
}

func (f *formReader) method(name string, value *string) {
	if !f.has(name) {
		return
	}
	*value = f.form.Get(name)
	if *value != http.MethodGet && *value != http.MethodPost {
		f.refuse(invalidMethod(name))
	}
}

func (f *formReader) url(name string, value *string) {
	if !f.has(name) {
		return
	}
	*value = f.form.Get(name)
	if *value != "" && !isWebURL(*value) {
		f.refuse(invalidURL(name, "is not a valid URL"))
	}
}

func (f *formReader) waitURL(p *Participant) {
	if f.has("WaitUrl") {
		p.WaitURL = new("")
		f.url("WaitUrl", p.WaitURL)
	}
}

func (f *formReader) announcement(played *[]Announcement, now time.Time) {
	a := Announcement{Method: http.MethodPost, Time: now}
	f.url("AnnounceUrl", &a.URL)
	f.method("AnnounceMethod", &a.Method)
	if a.URL != "" {
		*played = append(*played, a)
	}
}

// coaching treats an empty CallSidToCoach as unset.
func (f *formReader) coaching(p *Participant, in *Conference) {
	sid := f.form.Get("CallSidToCoach")
	if sid == "" && !f.has("Coaching") {
		return
	}
	f.named = true
	p.Coaching = sid != ""
	f.bool("Coaching", &p.Coaching)
	if !p.Coaching {
		p.CallSIDToCoach = ""
		return
	}
	p.CallSIDToCoach = sid
	switch coached := in.participant(sid); {
	case sid == "":
		f.refuse(errNoCoached)
	case coached == nil, coached.CallSID != sid, coached.Status != statusConnected:
		f.refuse(errCoachAbsent)
	case coached.Hold:
		f.refuse(errCoachOnHold)
	}
}

func (f *formReader) fromAndTo(p *Participant) {
	p.From, p.To = f.form.Get("From"), f.form.Get("To")
	if p.To == "" {
		f.refuse(errNoTo)
	}
	if p.From == "" {
		f.refuse(errNoFrom)
	}
}

func (f *formReader) label(p *Participant, in *Conference) {
	if !f.has("Label") {
		return
	}
	p.Label = f.form.Get("Label")
	switch {
	case p.Label == "", checkLabel(p.Label) != nil, strings.Contains(strings.ToUpper(p.Label), "%2F"):
		f.refuse(errLabelInvalid)
	case in.participant(p.Label) != nil:
		f.refuse(errLabelTaken)
	}
}

func (f *formReader) beep(p *Participant) {
	beep := f.form.Get("Beep")
	if !slices.Contains([]string{"", "true", "false", "onEnter", "onExit"}, beep) {
		f.refuse(badRequest("Beep is neither true, false, onEnter nor onExit"))
	}
	p.BeepOnEnter = beep != "false" && beep != "onExit"
	p.BeepOnExit = beep != "false" && beep != "onEnter"
}

func (f *formReader) maxParticipants(c *Conference) {
	if !f.has("MaxParticipants") {
		return
	}
	var err error
	if c.MaxParticipants, err = participantLimit(f.form.Get("MaxParticipants")); err != nil {
		f.refuse(badRequest("MaxParticipants is not a number from 2 to 250"))
	}
}

// participantLimit reads the MaxParticipants of a conference.
var participantLimit = numberFrom(2, maxParticipants)

// statusCallback sets where the conference's events are sent. Without a list of
// events only the start and the end are.
func (f *formReader) statusCallback(c *Conference) {
	f.method("ConferenceStatusCallbackMethod", &c.StatusCallbackMethod)
	c.StatusCallback = f.form.Get("ConferenceStatusCallback")
	if c.StatusCallback == "" {
		return
	}
	if err := checkCallback(c.StatusCallback); err != nil {
		f.refuse(invalidURL("ConferenceStatusCallback", err.Error()))
	}
	c.StatusCallbackEvent = strings.Fields(strings.Join(f.form["ConferenceStatusCallbackEvent"], " "))
	if len(c.StatusCallbackEvent) == 0 {
		c.StatusCallbackEvent = []string{"start", "end"}
	}
	for _, kind := range c.StatusCallbackEvent {
		if !slices.Contains(allEventKinds, kind) {
			f.refuse(badRequest("ConferenceStatusCallbackEvent has the unknown event " + kind))
		}
	}
}

// isTrue is Twilio's rule for Muted, used for every boolean: everything but true
// is false.
func isTrue(value string) bool { return strings.EqualFold(value, "true") }

// uriForm matches an http or https URL of RFC 3986. Its host has letters, digits,
// hyphens, underscores and dots, or is in brackets an address of IPv6, which is left
// to url.Parse.
var uriForm = regexp.MustCompile(`^(?i:https?)://` +
	`((` + uriCharacter + `|[:])*@)?` +
	`([\w.-]+|\[[0-9A-Fa-f:]+\])(:\d*)?` +
	`(/(` + uriCharacter + `|[:@/])*)?` +
	`(\?(` + uriCharacter + `|[:@/?])*)?` +
	`(#(` + uriCharacter + `|[:@/?])*)?$`)

// uriCharacter matches a character that every part of a URL but the host can have.
const uriCharacter = `[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2}`

func isWebURL(value string) bool {
	_, err := url.Parse(value)
	return err == nil && len(value) <= maxURL && uriForm.MatchString(value)
}
