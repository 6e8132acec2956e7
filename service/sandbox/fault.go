package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Fault is a way for a request to go wrong. The zero value is none.
type Fault struct {
	Kind FaultKind

	// Delay is how long Slow waits.
	Delay time.Duration
}

// A FaultKind names a fault as labels do: "fault:" and the kind, and for Slow
// "fault:slow=300ms", with any duration up to a minute.
type FaultKind string

// The faults. A request that the sandbox refuses on its own account is not
// touched by those that come after applying.
const (
	// NoFault lets the request through.
	NoFault FaultKind = ""

	// TooManyRequests answers 429 with code 20429 and applies nothing.
	TooManyRequests FaultKind = "429"

	// Unavailable answers 503 with code 20503 and applies nothing.
	Unavailable FaultKind = "503"

	// FailAfter applies and then answers 500 with code 20500.
	FailAfter FaultKind = "500-after"

	// Hang applies nothing and answers nothing until the client leaves or the
	// sandbox is closed.
	Hang FaultKind = "hang"

	// Reset reads the request, applies nothing and resets the connection.
	Reset FaultKind = "reset"

	// ResetAfter applies and then resets the connection.
	ResetAfter FaultKind = "reset-after"

	// HTML answers 503 with a page of HTML, as a proxy would, and applies nothing.
	HTML FaultKind = "html"

	// Truncated applies and then answers 200 with half of the body.
	Truncated FaultKind = "truncated"

	// Slow waits and then works, unless the client has left.
	Slow FaultKind = "slow"

	// Unauthorized answers 401 with code 20003 and applies nothing.
	Unauthorized FaultKind = "401"

	// Conflict answers 409 with code 20409 and applies nothing.
	Conflict FaultKind = "conflict"
)

// faultConcurrency is what Faults calls the refusals of Config.Concurrency.
const faultConcurrency = "concurrency"

const (
	faultPrefix = "fault:"
	maxSlow     = time.Minute
)

// faultTimes finds the limit at the end of a fault label.
var faultTimes = regexp.MustCompile(`^(.+)x([1-9][0-9]{0,5})$`)

// plainAnswers are those of the faults that only answer.
var plainAnswers = map[FaultKind]answer{
	TooManyRequests: errTooManyRequests.answer(),
	Unavailable:     errUnavailable.answer(),
	HTML:            {status: http.StatusServiceUnavailable, body: htmlPage(unavailablePage)},
	Unauthorized:    errAuthenticate.answer(),
	Conflict:        errConflict.answer(),
	Reset:           broken,
}

var randomFaults = []FaultKind{Unavailable, FailAfter, Reset, ResetAfter, TooManyRequests}

// Faults counts the faults that requests got since the start or the last Reset,
// by FaultKind; the refusals of Config.Concurrency count as "concurrency".
func (s *Sandbox) Faults() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.world.faults)
}

func (s *Sandbox) countFault(kind FaultKind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.faults[string(kind)]++
}

// withFault answers with next, spoilt by f.
func (s *Sandbox) withFault(c *call, f Fault, next func() answer) answer {
	switch f.Kind {
	case NoFault:
		return next()
	case FailAfter, ResetAfter, Truncated:
		return s.spoil(f.Kind, next())
	}
	s.countFault(f.Kind)
	switch f.Kind {
	case Hang:
		s.hang(c.Context())
		return broken
	case Slow:
		if !s.pause(c.Context(), f.Delay) {
			return broken
		}
		return next()
	}
	plain, known := plainAnswers[f.Kind]
	if !known {
		panic(fmt.Sprintf("sandbox: unknown fault %q", f.Kind))
	}
	return plain
}

// spoil puts a fault in the place of an answer that reports success.
func (s *Sandbox) spoil(kind FaultKind, a answer) answer {
	if a.status/100 != 2 {
		return a
	}
	s.countFault(kind)
	switch kind {
	case FailAfter:
		return errInternal.answer()
	case ResetAfter:
		return broken
	}
	a.ending = cutShort
	return a
}

// chooseFault asks Config.Fault and then chance.
func (s *Sandbox) chooseFault(c *call) Fault {
	if s.config.Fault != nil {
		if f := s.config.Fault(c.rereadable()); f.Kind != NoFault {
			return f
		}
	}
	if s.config.ErrorRate <= 0 {
		return Fault{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.world.random.Float64() >= s.config.ErrorRate {
		return Fault{}
	}
	return Fault{Kind: randomFaults[s.world.random.IntN(len(randomFaults))]}
}

// A labelFault is what a fault label asks for.
type labelFault struct {
	Fault
	times int // 0 is always
}

func isFaultLabel(label string) bool { return strings.HasPrefix(label, faultPrefix) }

func parseFaultLabel(label string) (labelFault, error) {
	var f labelFault
	rest := strings.TrimPrefix(label, faultPrefix)
	if limited := faultTimes.FindStringSubmatch(rest); limited != nil {
		rest = limited[1]
		f.times, _ = strconv.Atoi(limited[2]) // six digits at most
	}
	kind, delay, delayed := strings.Cut(rest, "=")
	f.Kind = FaultKind(kind)
	if !f.Kind.known() || delayed != (f.Kind == Slow) {
		return labelFault{}, fmt.Errorf("the label %q names no fault", label)
	}
	if !delayed {
		return f, nil
	}
	var err error
	f.Delay, err = time.ParseDuration(delay)
	if err != nil || f.Delay <= 0 || f.Delay > maxSlow {
		return labelFault{}, fmt.Errorf("the label %q needs a duration up to %v", label, maxSlow)
	}
	return f, nil
}

func (k FaultKind) known() bool {
	switch k {
	case FailAfter, ResetAfter, Truncated, Hang, Slow:
		return true
	}
	_, plain := plainAnswers[k]
	return plain
}

// faultOfLabel returns the fault that the next update of the target gets by its
// label, and counts it. A participant that is addressed by a fault label joins a
// conference in progress now, if it is not there yet.
func (s *Sandbox) faultOfLabel(t target) (Fault, *apiError) {
	now := s.lock()
	defer s.mu.Unlock()
	conference, p, refusal := s.world.locate(t)
	if refusal != nil {
		return Fault{}, refusal
	}
	if p == nil && isFaultLabel(t.participant) && conference.Status == conferenceInProgress {
		// Where it may not join, there is nobody to update.
		p, _ = s.world.add(conference, Participant{Label: t.participant, StartConferenceOnEnter: true}, now)
	}
	if p == nil {
		return Fault{}, notFound(t)
	}
	return p.nextFault(), nil
}

func (p *Participant) nextFault() Fault {
	if !isFaultLabel(p.Label) {
		return Fault{}
	}
	f, err := parseFaultLabel(p.Label)
	if err != nil || f.times > 0 && p.FaultsServed >= f.times {
		return Fault{}
	}
	p.FaultsServed++
	return f.Fault
}
