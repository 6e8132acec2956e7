package sandbox

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
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
// for Slow "fault:slow=300ms", with any duration up to a minute. Between them can be
// an operation and a colon: "fault:remove:reset-after".
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

// A rule is a fault for the requests that match it.
type rule struct {
	Fault
	operation string // The name of an operation, or "" for any read.
	times     int    // The number of requests that get it; 0 means all.
}

func isFaultLabel(label string) bool { return strings.HasPrefix(label, faultPrefix) }

// faultForm matches what follows "fault:" in a label: an operation, a kind and a
// number of times.
var faultForm = regexp.MustCompile(`^(?:([a-z-]+):)?(.+?)(?:x([1-9][0-9]{0,5}))?$`)

// parseFaultLabel returns the rule of a participant's label or a conference's name.
func parseFaultLabel(label string) (rule, error) {
	invalid := fmt.Errorf("the label %q names no fault", label)
	parts := faultForm.FindStringSubmatch(strings.TrimPrefix(label, faultPrefix))
	if parts == nil || parts[1] != "" && !slices.Contains(operationNames, parts[1]) {
		return rule{}, invalid
	}
	kind, delay, delayed := strings.Cut(parts[2], "=")
	f := rule{Fault: Fault{Kind: FaultKind(kind)}, operation: parts[1]}
	f.times, _ = strconv.Atoi(parts[3]) // Absent, or it has at most six digits.
	if !f.Kind.known() || delayed != (f.Kind == Slow) {
		return rule{}, invalid
	}
	if !delayed {
		return f, nil
	}
	var err error
	f.Delay, err = time.ParseDuration(delay)
	if err != nil || f.Delay <= 0 || f.Delay > maxSlow {
		return rule{}, fmt.Errorf("the label %q needs a duration up to %v", label, maxSlow)
	}
	return f, nil
}

// matchFault returns the fault that a request gets because of the label of its
// participant or the name of its conference, and counts it.
func (s *Sandbox) matchFault(c *call) Fault {
	now := s.lock()
	defer s.mu.Unlock()
	conference := s.world.conferenceOf(c)
	if conference == nil {
		return Fault{}
	}
	if r, p := s.world.faultOfLabel(conference, c, now); p != nil && r.serve(c, &p.FaultsServed) {
		return r.Fault
	}
	if !isFaultLabel(conference.FriendlyName) {
		return Fault{}
	}
	if r, err := parseFaultLabel(conference.FriendlyName); err == nil && r.serve(c, &conference.FaultsServed) {
		return r.Fault
	}
	return Fault{}
}

// serve reports whether the request gets the rule's fault, and counts it if so.
func (r rule) serve(c *call, served *int) bool {
	matches := r.operation == c.operation || r.operation == "" && c.isRead()
	if !matches || r.times > 0 && *served >= r.times {
		return false
	}
	*served++
	return true
}

// conferenceOf returns the conference that a request concerns, which for a list of
// conferences is the newest with the name that it asks for, or nil.
func (w *world) conferenceOf(c *call) *Conference {
	if c.target.resource != conferenceList {
		conference, _ := w.findConference(c.target)
		return conference
	}
	for _, conference := range slices.Backward(w.account(c.target.account).Conferences) {
		if conference.FriendlyName == c.URL.Query().Get("FriendlyName") {
			return conference
		}
	}
	return nil
}

// faultOfLabel returns the rule of the label of the participant that a request
// concerns, and the participant, which is nil if there is no rule. The first update of
// a fault label adds the participant to a conference in progress, and so does the
// first fetch of one that names an operation.
func (w *world) faultOfLabel(in *Conference, c *call, now time.Time) (rule, *Participant) {
	label := c.target.participant
	p := in.participant(label)
	if p != nil {
		label = p.Label
	}
	if !isFaultLabel(label) {
		return rule{}, nil
	}
	r, err := parseFaultLabel(label)
	if err != nil {
		return rule{}, nil
	}
	adds := c.operation == opUpdate || c.operation == opFetch && r.operation != ""
	if p == nil && adds && in.Status == conferenceInProgress {
		// It fails if the conference is full, which is a 404.
		p, _ = w.add(in, Participant{Label: label, StartConferenceOnEnter: true}, now)
	}
	setDefault(&r.operation, opUpdate)
	return r, p
}
