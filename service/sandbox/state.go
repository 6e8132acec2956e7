package sandbox

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// A State is everything that the sandbox knows at one moment, without
// credentials. GET /sandbox/state answers with it as JSON.
type State struct {
	Accounts []*Account `json:"accounts"`

	// JournalLength is how many updates were applied.
	JournalLength int `json:"journal_length"`

	// FaultsServed counts the faults that requests got; see Sandbox.Faults.
	FaultsServed map[string]int `json:"faults_served"`

	// Callbacks tells how the status callbacks of the conferences fared.
	Callbacks Callbacks `json:"callbacks"`
}

// An Account is an account of Twilio.
type Account struct {
	SID string `json:"sid"`

	// OwnerAccountSID is the SID of the account whose auth token also admits to
	// this one, or the account's own.
	OwnerAccountSID string `json:"owner_account_sid"`

	FriendlyName string `json:"friendly_name"`

	// Status is active, suspended or closed. Only an active account can be used.
	Status string `json:"status"`

	// Conferences are in the order in which they came to be.
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

	// MaxParticipants is how many may be in it at once.
	MaxParticipants int `json:"max_participants"`

	// ReasonConferenceEnded and CallSIDEndingConference are "" for null.
	ReasonConferenceEnded   string `json:"reason_conference_ended"`
	CallSIDEndingConference string `json:"call_sid_ending_conference"`

	// StatusCallback is the URL that events are sent to, or "" for none;
	// StatusCallbackEvent has the kinds of those that are, such as join.
	StatusCallback       string   `json:"status_callback"`
	StatusCallbackMethod string   `json:"status_callback_method"`
	StatusCallbackEvent  []string `json:"status_callback_event"`

	// SequenceNumber is that of the latest event sent to StatusCallback.
	SequenceNumber int `json:"sequence_number"`

	// CallsPlaced counts the calls that create requests placed.
	CallsPlaced int `json:"calls_placed"`

	// Announcements are those played to everybody, oldest first.
	Announcements []Announcement `json:"announcements"`

	DateCreated time.Time `json:"date_created"`
	DateUpdated time.Time `json:"date_updated"`

	// Participants are in the order in which they joined or were called.
	Participants []*Participant `json:"participants"`
}

const (
	accountActive    = "active"
	accountSuspended = "suspended"
	accountClosed    = "closed"
)

const (
	conferenceInit       = "init"
	conferenceInProgress = "in-progress"
	conferenceCompleted  = "completed"
)

// An InitialState is what a sandbox starts with: accounts with their
// credentials, conferences and participants. Dates that it leaves open are those
// of the start. It never changes, so any number of sandboxes may share it.
type InitialState struct {
	accounts []*Account
	secrets  map[string]secrets // by account SID
}

// secrets are the credentials of an account. They are kept apart from it, so
// that nothing that shows an account can show them.
type secrets struct {
	token string
	keys  map[string]string // the API keys' secrets, by SID
}

// Credentials are what admits to an account.
type Credentials struct {
	AccountSID string
	AuthToken  string
}

// Credentials returns those of every account, in order.
func (s *InitialState) Credentials() []Credentials {
	var all []Credentials
	for _, account := range s.accounts {
		all = append(all, Credentials{AccountSID: account.SID, AuthToken: s.secrets[account.SID].token})
	}
	return all
}

// world is what Reset replaces.
type world struct {
	accounts []*Account
	secrets  map[string]secrets // never changes
	journal  []Entry
	faults   map[string]int
	random   *rand.Rand
	mail     *mailer
	callStep time.Duration
	advanced time.Duration // how far the clock is ahead of Config.Now
}

func newWorld(config Config) *world {
	w := &world{
		accounts: cloneAll(config.State.accounts, (*Account).clone),
		secrets:  config.State.secrets,
		faults:   map[string]int{},
		random:   rand.New(rand.NewPCG(config.Seed, 0)),
		mail:     newMailer(),
		callStep: config.CallStep,
	}
	now := config.Now().UTC()
	for _, account := range w.accounts {
		for _, conference := range account.Conferences {
			conference.date(now)
			for _, p := range conference.Participants {
				p.date(now)
			}
		}
	}
	return w
}

// State returns a copy of the present state.
func (s *Sandbox) State() State {
	s.lock()
	defer s.mu.Unlock()
	return State{
		Accounts:      cloneAll(s.world.accounts, (*Account).clone),
		JournalLength: len(s.world.journal),
		FaultsServed:  maps.Clone(s.world.faults),
		Callbacks:     s.world.mail.tally(),
	}
}

// account returns the account with that SID, or nil.
func (w *world) account(sid string) *Account {
	for _, account := range w.accounts {
		if account.SID == sid {
			return account
		}
	}
	return nil
}

// conference returns the conference with that SID in any account, or nil.
func (w *world) conference(sid string) *Conference {
	for _, account := range w.accounts {
		for _, conference := range account.Conferences {
			if conference.SID == sid {
				return conference
			}
		}
	}
	return nil
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
