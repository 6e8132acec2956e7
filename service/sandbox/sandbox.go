package sandbox

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config says how a Sandbox behaves. The zero value behaves well: no latency, no
// limits, and no faults but those that labels ask for.
type Config struct {
	// State is what the sandbox starts with and what Reset goes back to; nil means
	// the account, the conferences and the participants that the constants of this
	// package name.
	State *InitialState

	// Now is the clock of every date that the sandbox shows and of every call that
	// it places; nil means time.Now. With a clock given here a call that is due to
	// move on does so when the sandbox is next used, and not on its own.
	Now func() time.Time

	// CallStep is how long the call to a new participant is queued, how long it is
	// connecting, and how long it rings before it is answered. Less than a
	// millisecond, so also zero, means a second.
	CallStep time.Duration

	// Latency is how long every answer of the API is held back. A request whose
	// client leaves meanwhile is not applied.
	Latency time.Duration

	// ErrorRate is the share, from 0 to 1, of the API's requests that get a fault
	// picked at random: Unavailable, FailAfter, Reset, ResetAfter or
	// TooManyRequests.
	ErrorRate float64

	// Concurrency, if positive, is how many of the API's requests may be under way
	// at once. Those above it are answered 429 with code 20429.
	Concurrency int

	// Seed makes the faults of ErrorRate repeatable.
	Seed uint64

	// Fault, if set, chooses a fault for each of the API's requests, ahead of
	// ErrorRate. It may read the body, and is called from many goroutines.
	Fault func(r *http.Request) Fault
}

// A Sandbox is an imitation of Twilio with a state of its own. It may be used
// from many goroutines.
type Sandbox struct {
	config   Config
	ticking  bool // whether the clock is the real one
	control  http.Handler
	closed   chan struct{}
	closing  sync.Once
	mu       sync.Mutex // guards what follows; never held while waiting
	inFlight int
	world    *world
	alarm    *time.Timer
}

// New returns a sandbox in its seeded state.
func New(config Config) *Sandbox {
	s := &Sandbox{ticking: config.Now == nil, closed: make(chan struct{})}
	if s.ticking {
		config.Now = time.Now
	}
	if config.CallStep < time.Millisecond {
		config.CallStep = time.Second
	}
	if config.State == nil {
		config.State = defaultState()
	}
	s.config = config
	s.world = newWorld(config)
	s.control = s.controlHandler()
	return s
}

// ServeHTTP answers as Twilio would below /2010-04-01/ and serves the sandbox's
// own pages elsewhere.
//
// A connection that a fault is to break is broken where the ResponseWriter gives
// access to it. Otherwise the handler aborts with http.ErrAbortHandler; without
// a server around it (in an httptest.ResponseRecorder) it answers an empty 502.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.EscapedPath(), apiRoot) {
		s.control.ServeHTTP(w, r)
		return
	}
	c := newCall(w, r)
	s.handle(c).send(w, c)
}

// Close ends all waiting: requests held back by a fault or by latency lose their
// connections, the callback under way is broken off and those in the queue are
// not sent. When it returns, the sandbox has no goroutine left. It may be called
// again, and suits http.Server.RegisterOnShutdown.
func (s *Sandbox) Close() {
	s.closing.Do(func() { close(s.closed) })
	s.mu.Lock()
	if s.alarm != nil {
		s.alarm.Stop()
	}
	mail := s.world.mail
	s.mu.Unlock()
	mail.close()
}

func (s *Sandbox) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Reset goes back to the seeded state: conferences, participants, journal,
// counts, the clock, and the sequence of random faults. Callbacks that were not
// sent yet are dropped.
func (s *Sandbox) Reset() {
	s.mu.Lock()
	stale := s.world.mail
	s.world = newWorld(s.config)
	if s.isClosed() {
		s.world.mail.close()
	}
	s.mu.Unlock()
	stale.close()
}

// handle gives a call of the API its answer. The call counts as in flight until
// its answer is known, so that whoever has the answer finds its place free.
func (s *Sandbox) handle(c *call) answer {
	admitted := s.enter(c)
	if admitted {
		defer s.leave()
	}
	if !s.pause(c.Context(), s.config.Latency) {
		return broken
	}
	if !admitted {
		return errTooManyRequests.answer()
	}
	return s.withFault(c, s.chooseFault(c), func() answer { return s.route(c) })
}

func (s *Sandbox) enter(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.concurrent = s.inFlight + 1
	if s.config.Concurrency > 0 && s.inFlight >= s.config.Concurrency {
		s.world.faults[faultConcurrency]++
		return false
	}
	s.inFlight++
	return true
}

func (s *Sandbox) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
}

// pause waits for d. It returns false, at once, when the client leaves or the
// sandbox is closed.
func (s *Sandbox) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.closed:
	}
	return false
}

// hang waits until the client leaves or the sandbox is closed.
func (s *Sandbox) hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.closed:
	}
}
