package sandbox

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Fault is a way for a request to fail. The zero value is no fault.
type Fault struct {
	Kind FaultKind

	// Delay is how long Slow waits.
	Delay time.Duration
}

// A FaultKind is a kind of fault, named as in labels: "fault:" and the kind, and
// for Slow "fault:slow=300ms", with any duration up to a minute.
type FaultKind string

// The faults. Those that apply the request first do not change its answer if the
// sandbox itself refuses it.
const (
	// NoFault does nothing.
	NoFault FaultKind = ""

	// TooManyRequests answers 429 with code 20429 and applies nothing.
	TooManyRequests FaultKind = "429"

	// Unavailable answers 503 with code 20503 and applies nothing.
	Unavailable FaultKind = "503"

	// FailAfter applies the request and then answers 500 with code 20500.
	FailAfter FaultKind = "500-after"

	// Hang applies nothing, and gives no answer until the client disconnects or the
	// sandbox is closed.
	Hang FaultKind = "hang"

	// Reset reads the request, applies nothing and resets the connection.
	Reset FaultKind = "reset"

	// ResetAfter applies the request and then resets the connection.
	ResetAfter FaultKind = "reset-after"

	// HTML answers 503 with a page of HTML, as a proxy would, and applies nothing.
	HTML FaultKind = "html"

	// Truncated applies the request and then answers with half of the body.
	Truncated FaultKind = "truncated"

	// Slow waits and then applies the request, unless the client has disconnected.
	Slow FaultKind = "slow"

	// Unauthorized answers 401 with code 20003 and applies nothing.
	Unauthorized FaultKind = "401"

	// Conflict answers 409 with code 20409 and applies nothing.
	Conflict FaultKind = "conflict"
)

// faultConcurrency is the name in Faults of refusals because of Config.Concurrency.
const faultConcurrency = "concurrency"

const (
	faultPrefix = "fault:"
	maxSlow     = time.Minute
)

// answersInstead has the answers of the faults that apply nothing.
var answersInstead = map[FaultKind]answer{
	TooManyRequests: errTooManyRequests.answer(),
	Unavailable:     errUnavailable.answer(),
	HTML:            {status: http.StatusServiceUnavailable, body: unavailablePage},
	Unauthorized:    errAuthenticate.answer(),
	Conflict:        errConflict.answer(),
	Reset:           noAnswer,
}

// answersAfter has functions that return the answers of the faults that apply the
// request, from its successful answer.
var answersAfter = map[FaultKind]func(answer) answer{
	FailAfter:  func(answer) answer { return errInternal.answer() },
	ResetAfter: func(answer) answer { return noAnswer },
	Truncated:  func(a answer) answer { a.truncated = true; return a },
}

const unavailablePage htmlPage = `<!DOCTYPE html>
<html><head><title>503 Service Temporarily Unavailable</title></head>
<body><h1>503 Service Temporarily Unavailable</h1></body></html>
`

var randomFaults = []FaultKind{Unavailable, FailAfter, Reset, ResetAfter, TooManyRequests}

// Faults counts the faults that requests got since the start or the last Reset,
// by FaultKind. Refusals because of Config.Concurrency count as "concurrency".
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

// withFault performs a request with a fault. It panics if the kind is unknown.
func (s *Sandbox) withFault(c *call, f Fault, perform func() answer) answer {
	if f.Kind == NoFault {
		return perform()
	}
	if after, ok := answersAfter[f.Kind]; ok {
		a := perform()
		if a.status/100 != 2 {
			return a
		}
		s.countFault(f.Kind)
		return after(a)
	}
	if !f.Kind.known() {
		panic(fmt.Sprintf("sandbox: unknown fault %q", f.Kind))
	}
	s.countFault(f.Kind)
	switch f.Kind {
	case Hang:
		s.wait(c.Context(), math.MaxInt64)
		return noAnswer
	case Slow:
		if !s.wait(c.Context(), f.Delay) {
			return noAnswer
		}
		return perform()
	default:
		return answersInstead[f.Kind]
	}
}

// chooseFault returns the fault of Config.Fault, or a random one.
func (s *Sandbox) chooseFault(c *call) Fault {
	if s.config.Fault != nil {
		if f := s.config.Fault(c.withBody()); f.Kind != NoFault {
			return f
		}
	}
	if s.config.ErrorRate <= 0 {
		return Fault{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	random := s.world.random
	if random.Float64() >= s.config.ErrorRate {
		return Fault{}
	}
	return Fault{Kind: randomFaults[random.IntN(len(randomFaults))]}
}

func (k FaultKind) known() bool {
	_, instead := answersInstead[k]
	_, after := answersAfter[k]
	return instead || after || k == Hang || k == Slow
}

// A labelFault is the fault that a label specifies.
type labelFault struct {
	Fault
	times int // The number of updates that get it; 0 means all.
}

func isFaultLabel(label string) bool { return strings.HasPrefix(label, faultPrefix) }

// faultTimes matches a fault label with a number of times.
var faultTimes = regexp.MustCompile(`^(.+)x([1-9][0-9]{0,5})$`)

func parseFaultLabel(label string) (labelFault, error) {
	var f labelFault
	rest := strings.TrimPrefix(label, faultPrefix)
	if match := faultTimes.FindStringSubmatch(rest); match != nil {
		rest = match[1]
		f.times, _ = strconv.Atoi(match[2]) // It has at most six digits.
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

// faultOfLabel returns the fault that an update gets because of its participant's
// label, and counts it. If no participant has the fault label, one joins a conference
// in progress.
func (s *Sandbox) faultOfLabel(t target) (Fault, *apiError) {
	now := s.lock()
	defer s.mu.Unlock()
	c, apiErr := s.world.findConference(t)
	if apiErr != nil {
		return Fault{}, apiErr
	}
	p := c.participant(t.participant)
	if p == nil && isFaultLabel(t.participant) && c.Status == conferenceInProgress {
		// It fails if the label is malformed or the conference full, which is a 404.
		p, _ = s.world.add(c, Participant{Label: t.participant, StartConferenceOnEnter: true}, now)
	}
	if p == nil {
		return Fault{}, notFound(t)
	}
	if !isFaultLabel(p.Label) {
		return Fault{}, nil
	}
	f, err := parseFaultLabel(p.Label)
	if err != nil || f.times > 0 && p.FaultsServed >= f.times {
		return Fault{}, nil
	}
	p.FaultsServed++
	return f.Fault, nil
}
