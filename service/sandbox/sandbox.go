package sandbox

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config configures a Sandbox. With the zero value it has no latency, no limits,
// and no faults but those of labels.
type Config struct {
	// State is the state that the sandbox starts with and that Reset returns to;
	// nil means the account, conferences and participants that the constants of
	// this package name.
	State *InitialState

	// Now is the clock for the dates of resources and for the progress of calls;
	// nil means time.Now. With a clock given here, calls make progress only when
	// the sandbox is used.
	Now func() time.Time

	// CallStep is how long a new participant's call stays queued, then connecting,
	// then ringing. Less than a millisecond means one second.
	CallStep time.Duration

	// Latency is the delay before each answer of the API. A request whose client
	// disconnects meanwhile is not applied.
	Latency time.Duration

	// ErrorRate is the share, from 0 to 1, of API requests that get a random fault:
	// Unavailable, FailAfter, Reset, ResetAfter or TooManyRequests.
	ErrorRate float64

	// Concurrency, if positive, is the number of API requests of an account in flight
	// above which requests are answered 429 with code 20429.
	Concurrency int

	// Seed makes the faults of ErrorRate repeatable.
	Seed uint64

	// JournalLength is the number of entries that an account's journal keeps. Less
	// than 1 means 10,000.
	JournalLength int

	// Fault, if set, chooses a fault for each API request, before ErrorRate does.
	// It may read the body. It must be safe for concurrent use.
	Fault func(r *http.Request) Fault
}

// A Sandbox imitates Twilio. It is safe for concurrent use.
type Sandbox struct {
	config    Config
	realClock bool // Config.Now was not given.
	handler   http.Handler
	control   http.Handler
	ctx       context.Context // Done after Close.
	cancel    context.CancelFunc

	mu       sync.Mutex     // Guards the fields below. It is not held during waits.
	inFlight map[string]int // API requests, by account.
	world    *world
	alarm    *time.Timer
	changed  chan struct{} // Closed at the next change; nil if nobody waits for it.
	actions  func(*Conference, *Participant) []Action
}

// New returns a sandbox in its initial state.
func New(config Config) *Sandbox {
	s := &Sandbox{realClock: config.Now == nil, inFlight: map[string]int{}}
	if s.realClock {
		config.Now = time.Now
	}
	if config.CallStep < time.Millisecond {
		config.CallStep = time.Second
	}
	if config.JournalLength < 1 {
		config.JournalLength = maxEntries
	}
	if config.State == nil {
		config.State = defaultState()
	}
	s.config = config
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.world = s.newWorld(config.State, config.Now().UTC())
	s.handler = http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.serve))
	s.control = withoutForeignPages(withLoopbackHost(s.controlHandler()))
	return s
}

// ServeHTTP serves Twilio's API below /2010-04-01/ and the sandbox's own pages
// elsewhere. It refuses requests that browsers send for pages of other origins, except
// reads of Twilio's API.
//
// A fault that resets the connection hijacks it. Where that is not possible, the
// handler panics with http.ErrAbortHandler, or answers 502 without a body if no
// http.Server runs it, as with an httptest.ResponseRecorder.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.EscapedPath(), apiRoot) {
		s.control.ServeHTTP(w, r)
		return
	}
	c := newCall(w, r)
	s.handle(c).send(w, c)
}

// handle returns the answer to an API request. The request is in flight until handle
// returns, not until its answer has been sent.
func (s *Sandbox) handle(c *call) answer {
	admitted := s.admit(c)
	a := s.process(c, admitted)
	a.concurrent = s.release(c, admitted)
	a.contentType, a.content = a.encode(c.target.json)
	s.finish(c, a.journaled(time.Since(c.started)))
	return a
}

func (s *Sandbox) process(c *call, admitted bool) answer {
	if !s.wait(c.Context(), s.config.Latency) {
		return noAnswer
	}
	if !admitted {
		c.fault = faultConcurrency
		return errTooManyRequests.answer()
	}
	return s.withFault(c, s.chooseFault(c), func() answer { return s.route(c) })
}

// admit counts the request as in flight. It returns false if its account has
// Config.Concurrency in flight already.
func (s *Sandbox) admit(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.tenant = s.world.tenantOf(c)
	if s.config.Concurrency > 0 && s.inFlight[c.target.account] >= s.config.Concurrency {
		c.tenant.faults[faultConcurrency]++
		return false
	}
	s.inFlight[c.target.account]++
	return true
}

// release ends the request. It returns how many requests of its account were in flight,
// including this one.
func (s *Sandbox) release(c *call, admitted bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.inFlight[c.target.account]
	switch {
	case !admitted:
		return n + 1
	case n == 1:
		delete(s.inFlight, c.target.account)
	default:
		s.inFlight[c.target.account]--
	}
	return n
}

// wait waits for d. It returns false, at once, when the client disconnects or the
// sandbox is closed.
func (s *Sandbox) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return false
}

// Reset returns to the initial state: conferences, participants, journal, counts,
// clock, armed faults and the sequence of random faults. Callbacks that were not sent
// yet are dropped.
func (s *Sandbox) Reset() { s.load(s.config.State) }

// load replaces the state, as if the sandbox had started with the given one. Reset
// still returns to that of Config.
func (s *Sandbox) load(state *InitialState) {
	s.mu.Lock()
	old, now := s.world, s.config.Now().UTC()
	s.world = s.newWorld(state, now)
	s.unlock(now)
	old.close()
}

// resetAccount returns an account to its state in the state that was loaded last, and
// clears the faults armed for it alone. Other accounts and the clock stay. It does
// nothing if there is no such account.
func (s *Sandbox) resetAccount(sid string) {
	s.mu.Lock()
	w, now := s.world, s.now()
	i := slices.IndexFunc(w.tenants, func(t *tenant) bool { return t.SID == sid })
	if i < 0 {
		s.mu.Unlock()
		return
	}
	old := w.tenants[i]
	w.tenants[i] = s.newTenant(w, w.initial.accounts[i], i, now)
	w.disarm(sid)
	s.unlock(now)
	old.mailer.close()
}

// Close ends the delays of faults and latency, and resets the connections of their
// requests. It cancels the callbacks that are being sent and drops the waiting ones. When
// it returns, the sandbox has no goroutine left. It may be called more than once, and by
// http.Server.RegisterOnShutdown.
func (s *Sandbox) Close() {
	s.cancel()
	s.mu.Lock()
	if s.alarm != nil {
		s.alarm.Stop()
	}
	w := s.world
	s.mu.Unlock()
	w.close()
}
