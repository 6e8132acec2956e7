package storm_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	"conferenced/service/delivery"
	"conferenced/service/sandbox"
)

var (
	callsFlag   = flag.Int("calls", 1600, "how many calls TestStorm makes at least")
	workersFlag = flag.Int("workers", 32, "how many callers TestStorm has at a time")
	seedFlag    = flag.Uint64("seed", 0, "the first seed of TestStorm; 0 picks one")
)

const (
	// callsPerSeed is how many calls a longer storm makes before the next seed.
	callsPerSeed = 5000
	// retention of request ids and labels: short, to see them go, but not so short
	// that they are gone before a busy machine has told that they are known.
	retention = time.Second
	// longRetention is that of longer and of slower storms, for more to come in
	// time.
	longRetention = 2 * time.Second
	// usualGrace is short enough for what hangs to come to an end soon, and long
	// enough for what does not to come to its own.
	usualGrace = 300 * time.Millisecond
)

// profile is a way of composing the service.
type profile struct {
	name  string
	known bool // Labels are known before the storm begins.
	tune  func(*setup)
}

// profiles take turns, seed by seed.
var profiles = []profile{
	{"usual", true, func(*setup) {}},
	{"touchy breaker", true, func(s *setup) {
		s.delivery.Breaking = delivery.Breaking{Failures: 3, OpenFor: 10 * time.Millisecond, Probes: 1}
	}},
	{"narrow", false, func(s *setup) {
		s.delivery.Limits = delivery.Limits{MaxConcurrency: 8, MinConcurrency: 2, Queue: 4}
		s.delivery.Bounds.Queue = 3
	}},
	{"short grace and attempts", false, func(s *setup) {
		s.delivery.Grace = 20 * time.Millisecond
		s.attemptTimeout = 150 * time.Millisecond
	}},
}

func stormSetup(p profile, keep time.Duration) setup {
	s := setup{delivery: delivery.Default(), defaultTimeout: time.Second}
	s.delivery.Grace = usualGrace
	s.delivery.Retrying = delivery.Retrying{Attempts: 4, Base: 2 * time.Millisecond, Cap: 10 * time.Millisecond}
	s.delivery.Breaking.Failures = 1000
	s.delivery.Bounds.Retention = keep
	s.delivery.Bounds.LabelAge = keep
	p.tune(&s)
	return s
}

func (s setup) bounds() bounds {
	return bounds{
		grace:          s.delivery.Grace,
		attemptTimeout: s.attemptTimeout,
		defaultTimeout: s.defaultTimeout,
		memory:         s.delivery.Bounds.Retention / 2,
	}
}

// TestStorm makes many random calls at once in front of a Twilio that fails, and
// checks all that it applied against all that the callers were told.
func TestStorm(t *testing.T) {
	total := newReport()
	first, seeds, calls, keep := plan()
	for i := range seeds {
		p := profiles[i%len(profiles)]
		seed := first + uint64(i)
		name := fmt.Sprintf("seed %d, %s", seed, p.name)
		t.Run(name, func(t *testing.T) { stormOnce(t, total, p, seed, calls, keep) })
	}
	total.print(t, "the service")
	if !t.Failed() {
		total.checkLively(t)
	}
}

// firstSeed is the same for all tests of a run.
var firstSeed = sync.OnceValue(func() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return rand.Uint64N(1_000_000) + 1
})

// plan spreads the calls over seeds: each profile gets some.
func plan() (first uint64, seeds, calls int, keep time.Duration) {
	first, keep = firstSeed(), retention
	seeds = len(profiles)
	if *callsFlag > seeds*callsPerSeed {
		seeds, keep = (*callsFlag+callsPerSeed-1)/callsPerSeed, longRetention
	}
	return first, seeds, (*callsFlag + seeds - 1) / seeds, keep
}

func stormOnce(t *testing.T, total *report, p profile, seed uint64, calls int, keep time.Duration) {
	leaks := goleak.IgnoreCurrent()
	s := stormSetup(p, keep)
	up := newUpstream(t, newDeck(rand.New(rand.NewPCG(seed, 0))))
	w := newWorld(t, s, up)
	storm := newStorm(t, up, seed, w.send)
	if p.known {
		storm.introduce(t)
	}
	storm.rage(t, calls)
	stats := w.await(t, "everything is forgotten after the retention", forgotten).Delivery
	w.close(t)

	h := storm.history(s.bounds())
	v := examine(h)
	v.require(t)
	if int64(up.requests()) > stats.Attempts {
		t.Errorf("%d requests arrived, but only %d attempts were made", up.requests(), stats.Attempts)
	}
	total.add(fmt.Sprint(seed), h, v)
	total.addUpstream(up)
	total.addStats(stats)
	goleak.VerifyNone(t, leaks)
}

// require fails the test for each rule that was broken.
func (v *verdict) require(t *testing.T) {
	t.Helper()
	const shown = 3
	for rule, examples := range v.broken {
		t.Errorf("broken %d times: %s", len(examples), rule)
		for _, example := range examples[:min(shown, len(examples))] {
			t.Errorf("\t%s", example)
		}
	}
}

// checkLively fails the test if the storm was none.
func (r *report) checkLively(t *testing.T) {
	t.Helper()
	for _, kind := range faultKinds {
		if r.faults[string(kind)] == 0 {
			t.Errorf("no fault of the kind %q", kind)
		}
	}
	for what, count := range map[string]int64{
		"OK":        int64(r.outcomes["OK"]),
		"ordered":   int64(r.ordered),
		"announced": int64(r.announcements),
		"retried":   r.stats.Retries, "superseded": r.stats.Superseded,
		"replayed": r.stats.Replays, "refused": r.stats.Refused, "abandoned": r.stats.Abandoned,
	} {
		if count == 0 {
			t.Errorf("nothing was %s", what)
		}
	}
}

// storm is many callers at once.
type storm struct {
	upstream     *upstream
	participants []*sandbox.Participant
	seed         uint64
	patient      bool
	send         send
	markers      atomic.Int64
	left         atomic.Int64

	mu    sync.Mutex
	calls []*call
}

func newStorm(t *testing.T, up *upstream, seed uint64, send send) *storm {
	t.Helper()
	s := &storm{upstream: up, seed: seed, send: send}
	for _, label := range labels {
		p := up.join(t, label)
		s.participants = append(s.participants, &p)
	}
	return s
}

// introduce lets the service learn every label. A busy machine may need a while.
func (s *storm) introduce(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	script := s.script(0, 0)
	for _, p := range s.participants {
		for !s.introduced(t, script, p) {
			if ctx.Err() != nil {
				t.Fatalf("%s cannot be introduced", p.Label)
			}
		}
	}
}

func (s *storm) introduced(t *testing.T, script *script, p *sandbox.Participant) bool {
	u := script.next()
	u.participant, u.byLabel = p, true
	c := &call{update: u}
	s.make(t, c)
	return c.answer.ok() || c.answer.code == codes.FailedPrecondition
}

// rage makes the calls, with faults.
func (s *storm) rage(t *testing.T, calls int) {
	t.Helper()
	s.upstream.faults.armed.Store(true)
	s.left.Store(int64(calls))
	var callers sync.WaitGroup
	for i := range *workersFlag {
		callers.Go(func() {
			script := s.script(uint64(i+1), i%callerCount)
			for s.left.Add(-1) >= 0 {
				s.step(t, script, i/callerCount%connections)
			}
		})
	}
	callers.Wait()
}

func (s *storm) script(stream uint64, caller int) *script {
	return &script{
		random:       rand.New(rand.NewPCG(s.seed, stream)),
		caller:       caller,
		patient:      s.patient,
		participants: s.participants,
		markers:      &s.markers,
	}
}

// step asks for one update, and sometimes again: at the same time, or after the
// answer, or for another with its request id.
func (s *storm) step(t *testing.T, script *script, conn int) {
	u := script.next()
	if u.requestID == "" {
		s.make(t, script.call(u, conn))
		return
	}
	calls := []*call{script.call(u, conn)}
	if script.chance(15) {
		calls = append(calls, script.call(u, script.random.IntN(connections)))
	}
	s.together(t, calls)
	for script.chance(30) {
		s.make(t, script.call(u, conn))
	}
	if script.chance(5) {
		s.make(t, script.call(script.impostor(u), conn))
	}
}

func (s *storm) together(t *testing.T, calls []*call) {
	var callers sync.WaitGroup
	for _, c := range calls {
		callers.Go(func() { s.make(t, c) })
	}
	callers.Wait()
}

func (s *storm) make(t *testing.T, c *call) {
	c.do(t.Context(), s.send)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
}

// history is what happened, once everything has ended.
func (s *storm) history(b bounds) *history {
	h := &history{bounds: b, calls: s.calls, journal: s.upstream.Journal()}
	s.upstream.mu.Lock()
	defer s.upstream.mu.Unlock()
	h.arrived = maps.Clone(s.upstream.arrived) // What was left on the way may still arrive.
	for _, account := range s.upstream.State().Accounts {
		for _, conference := range account.Conferences {
			if conference.SID == sandbox.ConferenceSID {
				h.participants = conference.Participants
			}
		}
	}
	return h
}

// TestStormNaiveClient lets the naive client through the storm. The checks must find
// what it does wrong, and nothing that it does not.
func TestStormNaiveClient(t *testing.T) {
	first, seeds, calls, _ := plan()
	total := newReport()
	for i := range seeds {
		seed := first + uint64(i)
		h, up := naiveOnce(t, seed, calls)
		total.add(fmt.Sprint(seed), h, examine(h))
		total.addUpstream(up)
	}
	total.print(t, "the naive client")
	for _, rule := range []rule{playedOnce, inOrder, notUndone, notLost} {
		if total.broken[rule] == 0 {
			t.Errorf("the naive client was not found out: %s", rule)
		}
	}
	for _, rule := range []rule{okApplied, nothingElse, stateShown} {
		if total.broken[rule] != 0 {
			t.Errorf("the naive client cannot break this rule: %s", rule)
		}
	}
}

func naiveOnce(t *testing.T, seed uint64, calls int) (*history, *upstream) {
	t.Helper()
	up := newUpstream(t, newDeck(rand.New(rand.NewPCG(seed, 0))))
	client := newNaive(up)
	s := newStorm(t, up, seed, client.send)
	s.rage(t, calls)
	client.http.CloseIdleConnections()
	up.close()
	// Nothing is forgotten, since nothing is remembered.
	return s.history(bounds{
		attemptTimeout: naiveTimeout, defaultTimeout: patience, memory: patience,
	}), up
}
