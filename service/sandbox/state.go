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
}

// An Account is an account of Twilio.
type Account struct {
	SID          string        `json:"sid"`
	FriendlyName string        `json:"friendly_name"`
	Status       string        `json:"status"`
	Conferences  []*Conference `json:"conferences"`
}

// A Conference is a conference of an account.
type Conference struct {
	SID          string `json:"sid"`
	FriendlyName string `json:"friendly_name"`

	// Status is init, in-progress or completed.
	Status string `json:"status"`

	// Participants are in the order in which they joined.
	Participants []*Participant `json:"participants"`
}

const (
	conferenceInit       = "init"
	conferenceInProgress = "in-progress"
	conferenceCompleted  = "completed"
)

// world is what Reset replaces.
type world struct {
	accounts []*Account
	journal  []Entry
	faults   map[string]int
	random   *rand.Rand
}

func newWorld(now time.Time, seedOfFaults uint64) *world {
	return &world{
		accounts: seed(now),
		faults:   map[string]int{},
		random:   rand.New(rand.NewPCG(seedOfFaults, 0)),
	}
}

// State returns a copy of the present state.
func (s *Sandbox) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{
		Accounts:      cloneAll(s.world.accounts, (*Account).clone),
		JournalLength: len(s.world.journal),
		FaultsServed:  maps.Clone(s.world.faults),
	}
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
