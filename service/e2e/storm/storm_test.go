package storm_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	"conferenced/service/delivery"
	"conferenced/service/leaktest"
	"conferenced/service/sandbox"
)

var (
	callsFlag   = flag.Int("calls", 1600, "minimum number of calls that TestStorm makes")
	workersFlag = flag.Int("workers", 32, "number of concurrent callers of TestStorm")
	seedFlag    = flag.Uint64("seed", 1, "the first seed of TestStorm; 0 picks one")
)

const (
	// callsPerSeed is the number of calls per seed in a long storm.
	callsPerSeed = 5000
	// retention is that of request IDs and labels. It is short enough to see them
	// expire, and long enough for a busy machine.
	retention = time.Second
	// longRetention is the retention in long and slow storms.
	longRetention = 2 * time.Second
	// usualGrace is the usual grace period: short, so that hanging attempts end soon,
	// but longer than other attempts take.
	usualGrace = 300 * time.Millisecond
)

// profile is a configuration of the service.
type profile struct {
	name  string
	known bool // Labels are known before the storm begins.
	tune  func(*setup)
}

// profiles are used in rotation, one per seed.
var profiles = []profile{
	{"usual", true, func(*setup) {}},
	{"sensitive breaker", true, func(s *setup) {
		s.delivery.Breaking = delivery.Breaking{Failures: 3, OpenFor: 10 * time.Millisecond, Probes: 1}
	}},
	{"low limits", false, func(s *setup) {
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
		retention:      s.delivery.Bounds.Retention / 2,
	}
}

// TestStorm makes many concurrent random calls to a service whose Twilio fails, and
// compares the updates that Twilio applied with the answers that the callers got.
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
		total.checkCoverage(t)
	}
}

// firstSeed returns the first seed, which is the same for all tests of a run.
var firstSeed = sync.OnceValue(func() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return rand.Uint64N(1_000_000) + 1
})

// plan distributes the calls over seeds, at least one per profile.
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
	up := newUpstream(t, newFaultCycle(rand.New(rand.NewPCG(seed, 0))))
	w := newWorld(t, s, up)
	storm := newStorm(t, up, seed, w.send)
	storm.guests = &guests{world: w}
	if p.known {
		storm.learnLabels(t)
	}
	storm.run(t, calls)
	stats := w.await(t, "all state expires after the retention", expired).Delivery
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
	leaktest.Check(t, leaks)
}

// require fails the test for each violated rule.
func (v *findings) require(t *testing.T) {
	t.Helper()
	const shown = 3
	for rule, examples := range v.violations {
		t.Errorf("violated %d times: %s", len(examples), rule)
		for _, example := range examples[:min(shown, len(examples))] {
			t.Errorf("\t%s", example)
		}
	}
}

// checkCoverage fails the test if a kind of fault or of event did not occur.
func (r *report) checkCoverage(t *testing.T) {
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
		"removed":   int64(r.removed),
		"read":      int64(r.reads),
		"retried":   r.stats.Retries, "superseded": r.stats.Superseded,
		"replayed": r.stats.Replays, "refused": r.stats.Refused, "abandoned": r.stats.Abandoned,
	} {
		if count == 0 {
			t.Errorf("nothing was %s", what)
		}
	}
}

// storm is many concurrent callers.
type storm struct {
	upstream     *upstream
	participants []*sandbox.Participant
	seed         uint64
	noDeadlines  bool
	send         send
	guests       *guests // nil: there are none.
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

// learnLabels makes calls until the service has learned every label.
func (s *storm) learnLabels(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	script := s.script(0, 0)
	for _, p := range s.participants {
		for !s.learnedLabel(t, script, p) {
			if ctx.Err() != nil {
				t.Fatalf("%s cannot be learnedLabel", p.Label)
			}
		}
	}
}

func (s *storm) learnedLabel(t *testing.T, script *script, p *sandbox.Participant) bool {
	u := script.next()
	u.participant, u.byLabel = p, true
	c := &call{update: u}
	s.make(t, c)
	return c.answer.ok() || c.answer.code == codes.FailedPrecondition
}

// run makes the calls, with faults enabled.
func (s *storm) run(t *testing.T, calls int) {
	t.Helper()
	s.upstream.faults.enabled.Store(true)
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
	for i := range guestLabels {
		if s.guests == nil {
			break
		}
		callers.Go(func() {
			s.guests.receive(t, s, fmt.Sprint("guest ", i), s.script(uint64(1000+i), i%callerCount))
		})
	}
	callers.Wait()
}

func (s *storm) script(stream uint64, caller int) *script {
	return &script{
		random:       rand.New(rand.NewPCG(s.seed, stream)),
		caller:       caller,
		noDeadlines:  s.noDeadlines,
		participants: s.participants,
		markers:      &s.markers,
	}
}

// step makes a call for a new update, and sometimes more calls: with the same update
// concurrently or afterwards, or with another update and the same request ID.
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
	s.makeAll(t, calls)
	for script.chance(30) {
		s.make(t, script.call(u, conn))
	}
	if script.chance(5) {
		s.make(t, script.call(script.reuseID(u), conn))
	}
}

func (s *storm) makeAll(t *testing.T, calls []*call) {
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

// history returns the history after all calls have ended.
func (s *storm) history(b bounds) *history {
	h := &history{bounds: b, calls: s.calls, journal: s.upstream.Journal()}
	if s.guests != nil {
		h.visits = s.guests.visits
	}
	s.upstream.mu.Lock()
	defer s.upstream.mu.Unlock()
	h.arrived = maps.Clone(s.upstream.arrived) // Abandoned attempts may still arrive.
	for _, account := range s.upstream.State().Accounts {
		for _, conference := range account.Conferences {
			if conference.SID == sandbox.ConferenceSID {
				h.participants = conference.Participants
			}
		}
	}
	return h
}

// TestStormNaiveClient runs the storm with the naive client. The checks must find the
// violations that it causes, and no others.
func TestStormNaiveClient(t *testing.T) {
	_, _, calls, _ := plan()
	total := findViolations(t, "the naive client", []rule{playedOnce, inOrder, notUndone, notLost},
		func(seed uint64) (*history, *upstream) { return naiveOnce(t, seed, calls) })
	for _, rule := range []rule{okApplied, nothingElse, stateShown} {
		if total.broken[rule] != 0 {
			t.Errorf("found, but the naive client cannot violate it: %s", rule)
		}
	}
}

// findViolations makes storms with one seed after the other until each of the rules was
// violated. How often a rule is violated depends on the machine.
func findViolations(t *testing.T, who string, rules []rule, once func(seed uint64) (*history, *upstream)) *report {
	t.Helper()
	const maxStorms = 50
	total := newReport()
	missing := func(r rule) bool { return total.broken[r] == 0 }
	for i := uint64(0); i < maxStorms && slices.ContainsFunc(rules, missing); i++ {
		seed := firstSeed() + i
		h, up := once(seed)
		total.add(fmt.Sprint(seed), h, examine(h))
		total.addUpstream(up)
	}
	total.print(t, who)
	for _, rule := range slices.DeleteFunc(rules, func(r rule) bool { return !missing(r) }) {
		t.Errorf("not found: %s", rule)
	}
	return total
}

// stormWithoutDeadlines is a short storm whose calls have no deadlines.
func stormWithoutDeadlines(t *testing.T, s setup, seed uint64) (*history, *upstream) {
	t.Helper()
	const calls = 200
	up := newUpstream(t, newFaultCycle(rand.New(rand.NewPCG(seed, 0))))
	w := newWorld(t, s, up)
	storm := newStorm(t, up, seed, w.send)
	storm.noDeadlines = true
	storm.run(t, calls)
	w.await(t, "the service is idle", idle)
	w.close(t)
	return storm.history(s.bounds()), up
}

func naiveOnce(t *testing.T, seed uint64, calls int) (*history, *upstream) {
	t.Helper()
	up := newUpstream(t, newFaultCycle(rand.New(rand.NewPCG(seed, 0))))
	client := newNaive(up, seed%2 == 0)
	s := newStorm(t, up, seed, client.send)
	s.run(t, calls)
	client.http.CloseIdleConnections()
	up.close()
	// The client keeps no state, so nothing expires.
	return s.history(bounds{
		attemptTimeout: naiveTimeout, defaultTimeout: waitTimeout, retention: waitTimeout,
	}), up
}
