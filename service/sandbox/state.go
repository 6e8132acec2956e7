package sandbox

import (
	"cmp"
	"slices"
	"time"
)

// A State is the state of the sandbox at one time, without credentials. GET
// /sandbox/state answers with it as JSON.
type State struct {
	Accounts []*Account `json:"accounts"`

	// JournalLength is the number of updates that were applied.
	JournalLength int `json:"journal_length"`

	// FaultsServed counts the faults that requests got, by kind, by status for faults
	// without a kind, and as "slow" for delays alone. Refusals because of
	// Config.Concurrency count as "concurrency".
	FaultsServed map[string]int `json:"faults_served"`

	// Callbacks counts the status callbacks of all conferences.
	Callbacks Callbacks `json:"callbacks"`
}

// An Account is a Twilio account.
type Account struct {
	SID string `json:"sid"`

	// OwnerAccountSID is the SID of the account whose auth token is also valid for this
	// account. An account without an owner has its own SID.
	OwnerAccountSID string `json:"owner_account_sid"`

	FriendlyName string `json:"friendly_name"`

	// Status is active, suspended or closed. Only an active account can be used.
	Status string `json:"status"`

	// Conferences are in the order of their creation.
	Conferences []*Conference `json:"conferences"`
}

// A Conference is a conference of an account.
type Conference struct {
	SID          string `json:"sid"`
	AccountSID   string `json:"account_sid"`
	FriendlyName string `json:"friendly_name"`

	// Status is init, in-progress or completed.
	Status string `json:"status"`

	// Region is where Twilio would mix the audio, such as us1.
	Region string `json:"region"`

	// MaxParticipants is the number of participants that may be in it at a time.
	MaxParticipants int `json:"max_participants"`

	// ReasonConferenceEnded and CallSIDEndingConference are "" for null.
	ReasonConferenceEnded   string `json:"reason_conference_ended"`
	CallSIDEndingConference string `json:"call_sid_ending_conference"`

	// StatusCallback is the URL that events are sent to, or "" for none.
	// StatusCallbackEvent lists the kinds of events that are sent, such as join.
	StatusCallback       string   `json:"status_callback"`
	StatusCallbackMethod string   `json:"status_callback_method"`
	StatusCallbackEvent  []string `json:"status_callback_event"`

	// SequenceNumber is the number of the last event sent to StatusCallback.
	SequenceNumber int `json:"sequence_number"`

	// CallsPlaced is the number of create requests that placed a call.
	CallsPlaced int `json:"calls_placed"`

	// Announcements are the announcements to all participants, oldest first.
	Announcements []Announcement `json:"announcements"`

	DateCreated time.Time `json:"date_created"`
	DateUpdated time.Time `json:"date_updated"`

	// Participants are in the order in which they were added.
	Participants []*Participant `json:"participants"`

	// FaultsServed counts the faults that reads got because of the friendly name.
	FaultsServed int `json:"faults_served"`
}

// A Participant is a participant of a conference, with the properties that Twilio
// never returns.
type Participant struct {
	CallSID string `json:"call_sid"`

	// Label is "" for a participant without one.
	Label string `json:"label"`

	// From and To are the fields of the create request, if there was one.
	From string `json:"from"`
	To   string `json:"to"`

	// Status is queued, connecting, ringing, connected, complete or failed.
	Status string `json:"status"`

	// StatusDue is when Status takes its next step toward connected, or zero for
	// never. Only participants of create requests have one.
	StatusDue time.Time `json:"status_due,omitzero"`

	Muted      bool   `json:"muted"`
	Hold       bool   `json:"hold"`
	HoldURL    string `json:"hold_url"` // "" is Twilio's default music.
	HoldMethod string `json:"hold_method"`

	// HoldSince is when the music of the hold began.
	HoldSince time.Time `json:"hold_since,omitzero"`

	// WaitURL is nil for Twilio's default music and "" for silence.
	WaitURL    *string `json:"wait_url"`
	WaitMethod string  `json:"wait_method"`

	// Announcements are the announcements to this participant alone, oldest first.
	Announcements []Announcement `json:"announcements"`

	BeepOnEnter            bool `json:"beep_on_enter"`
	BeepOnExit             bool `json:"beep_on_exit"`
	StartConferenceOnEnter bool `json:"start_conference_on_enter"`

	// EndConferenceOnExit is the value that Twilio shows.
	EndConferenceOnExit bool `json:"end_conference_on_exit"`

	// EffectiveEndConferenceOnExit is the value in effect. It differs from the one
	// shown after a change while the participant was on hold.
	EffectiveEndConferenceOnExit bool `json:"effective_end_conference_on_exit"`

	Coaching       bool   `json:"coaching"`
	CallSIDToCoach string `json:"call_sid_to_coach"`

	// Playing is the sound that the participant hears, or nil. Only State sets it.
	Playing *Playing `json:"playing,omitempty"`

	// QueueTime is a number of milliseconds, or "" for null.
	QueueTime string `json:"queue_time"`

	DateCreated time.Time `json:"date_created"`
	DateUpdated time.Time `json:"date_updated"`

	// FaultsServed counts the faults that requests got because of the label.
	FaultsServed int `json:"faults_served"`
}

const (
	accountActive    = "active"
	accountSuspended = "suspended"
	accountClosed    = "closed"

	conferenceInit       = "init"
	conferenceInProgress = "in-progress"
	conferenceCompleted  = "completed"

	statusQueued     = "queued"
	statusConnecting = "connecting"
	statusRinging    = "ringing"
	statusConnected  = "connected"
	statusComplete   = "complete"
	statusFailed     = "failed"
)

// State returns a copy of the current state.
func (s *Sandbox) State() State {
	now := s.lock()
	defer s.mu.Unlock()
	state := State{FaultsServed: map[string]int{}}
	for _, t := range s.world.all() {
		if t != s.world.unknown {
			state.Accounts = append(state.Accounts, t.show(now))
		}
		state.JournalLength += t.updates
		state.Callbacks.add(t.mailer.count())
		state.Callbacks.Pending += len(t.late)
		for kind, n := range t.faults {
			state.FaultsServed[kind] += n
		}
	}
	return state
}

// show returns a copy of the account in which Playing is set.
func (t *tenant) show(now time.Time) *Account {
	shown := t.Account.clone()
	for _, c := range shown.Conferences {
		for _, p := range c.Participants {
			p.Playing = t.playing(c, p, now)
		}
	}
	return shown
}

func (a *Account) clone() *Account {
	clone := *a
	clone.Conferences = cloneAll(a.Conferences, (*Conference).clone)
	return &clone
}

func (c *Conference) clone() *Conference {
	clone := *c
	clone.Participants = cloneAll(c.Participants, (*Participant).clone)
	clone.StatusCallbackEvent = slices.Clone(c.StatusCallbackEvent)
	clone.Announcements = slices.Clone(c.Announcements)
	return &clone
}

func (p *Participant) clone() *Participant {
	clone := *p
	clone.Announcements = slices.Clone(p.Announcements)
	if p.WaitURL != nil {
		clone.WaitURL = new(*p.WaitURL)
	}
	return &clone
}

func cloneAll[T any](all []*T, clone func(*T) *T) []*T {
	clones := make([]*T, len(all))
	for i, one := range all {
		clones[i] = clone(one)
	}
	return clones
}

// setTimes sets the dates that are missing and the start of a hold.
func (p *Participant) setTimes(now time.Time) {
	setDates(&p.DateCreated, &p.DateUpdated, now)
	if p.Hold {
		p.HoldSince = now
	}
}

func setDates(created, updated *time.Time, now time.Time) {
	*created = cmp.Or(*created, now)
	*updated = cmp.Or(*updated, *created)
}
