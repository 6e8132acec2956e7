package sandbox

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxFriendlyName is Twilio's limit on names of conferences, in characters.
const maxFriendlyName = 128

// create is the POST of the participants: it calls somebody. A friendly name in
// the place of the conference's SID means the conference of that name that is
// not over, or a new one.
func (s *Sandbox) create(c *call) answer {
	form, refusal := c.form()
	if refusal != nil {
		return refusal.answer()
	}
	now := s.lock()
	defer s.mu.Unlock()
	conference, exists, refusal := s.world.conferenceToJoin(c.target, form)
	if refusal != nil {
		return refusal.answer()
	}
	p, refusal := conference.invite(form, now)
	if refusal != nil {
		return refusal.answer()
	}
	if !exists {
		s.world.open(conference, now)
	}
	s.world.dial(conference, p, now)
	s.rearm(now)
	c.target.conference = conference.SID
	shown := c.target.show(p)
	shown.QueueTime = nullable(strconv.FormatInt(s.config.CallStep.Milliseconds(), 10))
	return created(shown)
}

// conferenceToJoin returns the conference that a create request names, or one to
// be opened that does not exist yet.
func (w *world) conferenceToJoin(t target, form url.Values) (c *Conference, exists bool, refusal *apiError) {
	account := w.account(t.account)
	if conferenceSID.MatchString(t.conference) {
		c = w.conference(t.conference)
		if c == nil || c.AccountSID != account.SID || c.Status == conferenceCompleted {
			return nil, false, errConferenceGone
		}
		return c, true, nil
	}
	if n := utf8.RuneCountInString(t.conference); n == 0 || n > maxFriendlyName || !utf8.ValidString(t.conference) {
		return nil, false, notFound(t)
	}
	if c = account.running(t.conference); c != nil {
		return c, true, nil
	}
	c, refusal = account.newConference(t.conference, form)
	return c, false, refusal
}

// running returns the account's conference of that name that is not over, or nil.
func (a *Account) running(name string) *Conference {
	for _, c := range a.Conferences {
		if c.FriendlyName == name && c.Status != conferenceCompleted {
			return c
		}
	}
	return nil
}

// newConference makes a conference as the first participant's form wants it.
func (a *Account) newConference(name string, form url.Values) (*Conference, *apiError) {
	c := Conference{
		SID:          a.makeConferenceSID(name),
		AccountSID:   a.SID,
		FriendlyName: name,
		Status:       conferenceInit,
		Region:       form.Get("Region"),
	}
	e := editor{form: form}
	e.maxParticipants(&c)
	e.statusCallback(&c)
	c = c.withDefaults()
	return &c, e.refusal
}

// makeConferenceSID is the same in every run for the same name in the same place
// among the account's conferences.
func (a *Account) makeConferenceSID(name string) string {
	return makeSID("CF", a.SID, strconv.Itoa(len(a.Conferences))+"/"+name)
}

// withDefaults fills in all that is missing but the dates.
func (c Conference) withDefaults() Conference {
	setDefault(&c.Region, "us1")
	setDefault(&c.MaxParticipants, maxParticipants)
	setDefault(&c.StatusCallbackMethod, "POST")
	if c.StatusCallbackEvent == nil {
		c.StatusCallbackEvent = []string{}
	}
	c.Announcements = []Announcement{}
	c.Participants = []*Participant{}
	return c
}

func (c *Conference) date(now time.Time) {
	setDefault(&c.DateCreated, now)
	setDefault(&c.DateUpdated, c.DateCreated)
}

// open adds a conference to its account.
func (w *world) open(c *Conference, now time.Time) {
	c.date(now)
	account := w.account(c.AccountSID)
	account.Conferences = append(account.Conferences, c)
}

// dial begins the call to a participant.
func (w *world) dial(c *Conference, p *Participant, now time.Time) {
	c.CallsPlaced++
	p.CallSID = makeSID("CA", c.SID, "/call/"+strconv.Itoa(c.CallsPlaced))
	p.Status, p.StatusDue = statusQueued, now.Add(w.callStep)
	p.date(now)
	c.Participants = append(c.Participants, p)
}

// invite reads a participant out of a form, or returns why the conference does
// not take it.
func (c *Conference) invite(form url.Values, now time.Time) (*Participant, *apiError) {
	p := Participant{From: form.Get("From"), To: form.Get("To"), StartConferenceOnEnter: true}
	e := editor{form: form}
	e.parties()
	e.label(&p, c)
	e.flag("Muted", &p.Muted)
	e.flag("StartConferenceOnEnter", &p.StartConferenceOnEnter)
	e.flag("EndConferenceOnExit", &p.EndConferenceOnExit)
	e.beep(&p)
	e.waitURL(&p)
	e.method("WaitMethod", &p.WaitMethod)
	e.coaching(&p, c)
	e.ignoredCallback()
	if c.full() {
		e.refuse(errConferenceFull)
	}
	p = p.withDefaults()
	p.DateCreated, p.DateUpdated = now, now
	return &p, e.refusal
}

func (e *editor) parties() {
	if e.form.Get("To") == "" {
		e.refuse(errNoTo)
	}
	if e.form.Get("From") == "" {
		e.refuse(errNoFrom)
	}
}

func (e *editor) label(p *Participant, in *Conference) {
	if !e.has("Label") {
		return
	}
	p.Label = e.form.Get("Label")
	switch {
	case p.Label == "", checkLabel(p.Label) != nil, strings.Contains(strings.ToUpper(p.Label), "%2F"):
		e.refuse(errLabelInvalid)
	case in.participant(p.Label) != nil:
		e.refuse(errLabelTaken)
	}
}

func (e *editor) beep(p *Participant) {
	p.BeepOnEnter, p.BeepOnExit = true, true
	switch e.form.Get("Beep") {
	case "", "true":
	case "false":
		p.BeepOnEnter, p.BeepOnExit = false, false
	case "onEnter":
		p.BeepOnExit = false
	case "onExit":
		p.BeepOnEnter = false
	default:
		e.refuse(badRequest("Beep is neither true, false, onEnter nor onExit"))
	}
}

// ignoredCallback checks the callback for the progress of the call, which the
// sandbox does not make.
func (e *editor) ignoredCallback() {
	var url, method string
	e.url("StatusCallback", &url)
	e.method("StatusCallbackMethod", &method)
}

func (e *editor) maxParticipants(c *Conference) {
	if !e.has("MaxParticipants") {
		return
	}
	n, err := strconv.Atoi(e.form.Get("MaxParticipants"))
	if err != nil || n < 2 || n > maxParticipants {
		e.refuse(badRequest("MaxParticipants is not a number from 2 to 250"))
	}
	c.MaxParticipants = n
}

// statusCallback sets where the conference's events go. Only the start and the
// end are sent unless more is asked for.
func (e *editor) statusCallback(c *Conference) {
	e.method("ConferenceStatusCallbackMethod", &c.StatusCallbackMethod)
	if e.form.Get("ConferenceStatusCallback") == "" {
		return
	}
	c.StatusCallback = e.form.Get("ConferenceStatusCallback")
	if err := checkCallback(c.StatusCallback); err != nil {
		e.refuse(newError(400, 21205, "ConferenceStatusCallback "+err.Error()))
	}
	c.StatusCallbackEvent = strings.Fields(strings.Join(e.form["ConferenceStatusCallbackEvent"], " "))
	if len(c.StatusCallbackEvent) == 0 {
		c.StatusCallbackEvent = []string{"start", "end"}
	}
	if odd := unknownKind(c.StatusCallbackEvent); odd != "" {
		e.refuse(badRequest("ConferenceStatusCallbackEvent has the unknown event " + odd))
	}
}

// unknownKind returns the first of the kinds of events that there is not, or "".
func unknownKind(kinds []string) string {
	for _, kind := range kinds {
		if !slices.Contains(allEventKinds, kind) {
			return kind
		}
	}
	return ""
}
