package sandbox

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxURL is the length in bytes that Twilio documents for URLs of webhooks.
const maxURL = 4000

// update is the POST of a participant.
func (s *Sandbox) update(c *call) answer {
	form, refusal := c.form()
	if refusal != nil {
		return refusal.answer()
	}
	fault, refusal := s.faultOfLabel(c.target)
	if refusal != nil {
		return refusal.answer()
	}
	return s.withFault(c, fault, func() answer { return s.apply(c, form) })
}

// apply changes the participant and journals that, or does neither.
func (s *Sandbox) apply(c *call, form url.Values) answer {
	now := s.lock()
	defer s.mu.Unlock()
	conference, p, refusal := s.world.locate(c.target)
	switch {
	case refusal != nil:
		return refusal.answer()
	case p == nil: // a Reset came while a fault was waiting
		return notFound(c.target).answer()
	case conference.Status != conferenceInProgress:
		return errConferenceStatus.answer()
	}
	changed, refusal := p.changed(form, conference, now)
	if refusal != nil {
		return refusal.answer()
	}
	before := *p
	*p = changed
	s.world.notifyChanges(conference, before, p, now)
	s.world.record(Entry{
		Time:          now,
		AccountSID:    c.target.account,
		ConferenceSID: conference.SID,
		CallSID:       p.CallSID,
		Form:          form,
		RequestID:     c.id,
	})
	return ok(c.target.show(p))
}

// changed returns the participant as the form wants it.
func (p Participant) changed(form url.Values, in *Conference, now time.Time) (Participant, *apiError) {
	heldBefore := p.Hold
	e := editor{form: form}
	e.flag("Muted", &p.Muted)
	e.flag("Hold", &p.Hold)
	e.url("HoldUrl", &p.HoldURL)
	e.method("HoldMethod", &p.HoldMethod)
	e.announcement(&p.Announcements, now)
	e.waitURL(&p)
	e.method("WaitMethod", &p.WaitMethod)
	e.flag("BeepOnExit", &p.BeepOnExit)
	e.flag("EndConferenceOnExit", &p.EndConferenceOnExit)
	if !heldBefore || !p.Hold {
		e.flag("EndConferenceOnExit", &p.EffectiveEndConferenceOnExit)
	}
	e.coaching(&p, in)
	if e.edited {
		p.DateUpdated = now
	}
	return p, e.refusal
}

// An editor takes properties out of a form, each only if the form names it. It
// keeps the first reason to refuse the form.
type editor struct {
	form    url.Values
	edited  bool
	refusal *apiError
}

func (e *editor) has(name string) bool {
	has := e.form.Has(name)
	e.edited = e.edited || has
	return has
}

func (e *editor) refuse(reason *apiError) {
	if e.refusal == nil {
		e.refusal = reason
	}
}

func (e *editor) flag(name string, value *bool) {
	if e.has(name) {
		*value = isTrue(e.form.Get(name))
	}
}

func (e *editor) method(name string, value *string) {
	if !e.has(name) {
		return
	}
	*value = e.form.Get(name)
	if *value != http.MethodGet && *value != http.MethodPost {
		e.refuse(invalidMethod(name))
	}
}

func (e *editor) url(name string, value *string) {
	if !e.has(name) {
		return
	}
	*value = e.form.Get(name)
	if *value != "" && !isWebURL(*value) {
		e.refuse(invalidURL(name))
	}
}

func (e *editor) waitURL(p *Participant) {
	if e.has("WaitUrl") {
		p.WaitURL = new("")
		e.url("WaitUrl", p.WaitURL)
	}
}

func (e *editor) announcement(played *[]Announcement, now time.Time) {
	a := Announcement{Method: http.MethodPost, Time: now}
	e.url("AnnounceUrl", &a.URL)
	e.method("AnnounceMethod", &a.Method)
	if a.URL != "" {
		*played = append(*played, a)
	}
}

func (e *editor) coaching(p *Participant, in *Conference) {
	whom := e.form.Get("CallSidToCoach")
	if whom == "" && !e.has("Coaching") {
		return
	}
	e.edited = true
	p.Coaching = whom != ""
	e.flag("Coaching", &p.Coaching)
	switch {
	case !p.Coaching:
		p.CallSIDToCoach = ""
	case whom == "":
		e.refuse(errCoachWhom)
	default:
		p.CallSIDToCoach = whom
		e.checkCoached(in, whom)
	}
}

func (e *editor) checkCoached(in *Conference, whom string) {
	target := in.participant(whom)
	switch {
	case target == nil, target.CallSID != whom, target.Status != statusConnected:
		e.refuse(errCoachAbsent)
	case target.Hold:
		e.refuse(errCoachOnHold)
	}
}

// isTrue is Twilio's rule for Muted, used for every boolean: what is neither true
// nor false is false.
func isTrue(value string) bool { return strings.EqualFold(value, "true") }

func isWebURL(value string) bool {
	u, err := url.Parse(value)
	return err == nil && len(value) <= maxURL && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
