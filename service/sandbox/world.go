package sandbox

import (
	"math/rand/v2"
	"slices"
	"time"
)

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
