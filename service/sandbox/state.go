package sandbox

import (
	"cmp"
	"math/rand/v2"
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

	// OwnerAccountSID is the SID of the account whose auth token is valid for this
	// one too, or the account's own.
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

	// SequenceNumber is that of the last event sent to StatusCallback.
	SequenceNumber int `json:"sequence_number"`

	// CallsPlaced is the number of create requests that placed a call.
	CallsPlaced int `json:"calls_placed"`

	// Announcements are those played to all participants, oldest first.
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

	// From and To are those of the create request, if there was one.
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

	// Announcements are those played to this participant, oldest first.
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

// An InitialState is the state with which a sandbox starts: accounts with their
// credentials, conferences and participants. Zero dates become the time of the start.
// It is immutable, so several sandboxes can share it.
type InitialState struct {
	accounts []initialAccount
}

// initialAccount is an account of an InitialState.
type initialAccount struct {
	*Account
	secrets  secrets
	settings settings
}

// settings make an account behave differently from the default.
type settings struct {
	sounds   map[string]Sound
	refusals []refusedCombination
	defects  defects
}

// secrets are the credentials of an account. Account does not have them, so
// showing an account cannot show them.
type secrets struct {
	token string
	keys  map[string]string // The secrets of the API keys, by SID.
}

// Credentials are an account's SID and auth token.
type Credentials struct {
	AccountSID string
	AuthToken  string
}

// Credentials returns the credentials of every account, in order. A nil state is the
// default one.
func (s *InitialState) Credentials() []Credentials {
	if s == nil {
		s = defaultState()
	}
	var all []Credentials
	for _, account := range s.accounts {
		all = append(all, Credentials{AccountSID: account.SID, AuthToken: account.secrets.token})
	}
	return all
}

// A world is everything that Reset replaces. Sandbox.mu guards it.
type world struct {
	config   *Config
	initial  *InitialState
	tenants  []*tenant
	unknown  *tenant // Of requests for an account that does not exist.
	armed    []*Rule
	advanced time.Duration // How far the clock is ahead of Config.Now.
	seq      int           // The number of the newest entry of the journals.
}

func (s *Sandbox) newWorld(initial *InitialState, now time.Time) *world {
	w := &world{config: &s.config, initial: initial}
	w.unknown = s.newTenant(w, initialAccount{Account: &Account{}}, 0, now)
	for i, account := range initial.accounts {
		w.tenants = append(w.tenants, s.newTenant(w, account, i, now))
	}
	return w
}

// A tenant is an account with its credentials, settings, journal and counters.
type tenant struct {
	*Account
	world    *world
	secrets  secrets
	settings settings
	everyone map[string][]string // The Call SIDs of a conference's present and former participants, in order.
	journal  []*Entry
	updates  int            // The number of updates that were applied.
	faults   map[string]int // The number of faults that requests got, by kind.
	random   *rand.Rand
	mailer   *mailer

	// The state of the defects.
	chance  *rand.Rand
	late    []lateCallback
	lastDue map[string]time.Time  // By conference SID.
	past    map[string][]snapshot // By conference SID.
}

// newTenant returns an account in its initial state. Each index has its own sequence of
// random numbers.
func (s *Sandbox) newTenant(w *world, initial initialAccount, index int, now time.Time) *tenant {
	t := &tenant{
		Account:  initial.clone(),
		world:    w,
		secrets:  initial.secrets,
		settings: initial.settings,
		everyone: map[string][]string{},
		faults:   map[string]int{},
		random:   rand.New(rand.NewPCG(s.config.Seed, uint64(index))), //nolint:gosec // It is not negative.
		mailer:   newMailer(s.ctx, s.finishCallback),
		chance:   rand.New(rand.NewPCG(s.config.Seed, ^uint64(index))), //nolint:gosec // It is not negative.
		lastDue:  map[string]time.Time{},
		past:     map[string][]snapshot{},
	}
	for _, c := range t.Conferences {
		setDates(&c.DateCreated, &c.DateUpdated, now)
		for _, p := range c.Participants {
			p.setTimes(now)
			t.everyone[c.SID] = append(t.everyone[c.SID], p.CallSID)
		}
		t.remember(c, now)
	}
	return t
}

// close ends the callbacks of all accounts.
func (w *world) close() {
	for _, t := range w.all() {
		t.mailer.close()
	}
}

// tenantOf returns the account of a request.
func (w *world) tenantOf(c *call) *tenant {
	if t := w.tenant(c.target.account); t != nil {
		return t
	}
	return w.unknown
}

// all returns the tenants, and the one for unknown accounts.
func (w *world) all() []*tenant { return append(slices.Clone(w.tenants), w.unknown) }

// tenant returns the account with that SID, or nil.
func (w *world) tenant(sid string) *tenant {
	for _, t := range w.tenants {
		if t.SID == sid {
			return t
		}
	}
	return nil
}

// conference returns the conference with that SID, and its account, or nil.
func (w *world) conference(sid string) (*tenant, *Conference) {
	for _, t := range w.tenants {
		if c := t.conference(sid); c != nil {
			return t, c
		}
	}
	return nil, nil
}

// conference returns the conference with that SID, or nil.
func (t *tenant) conference(sid string) *Conference {
	for _, c := range t.Conferences {
		if c.SID == sid {
			return c
		}
	}
	return nil
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
