package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// A Fault is a way for a request to fail. The zero value is no fault.
type Fault struct {
	Kind FaultKind `json:"kind,omitempty"`

	// Status, if Kind is NoFault, is the status of an answer that replaces applying the
	// request. It has the body of an error with that code, or the given body, which is
	// JSON or a string of any other text.
	Status int             `json:"status,omitempty"`
	Code   int             `json:"code,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`

	// Delay is the time before the request is applied, unless the client disconnects
	// meanwhile, and DelayAfter that before the answer.
	Delay      Duration `json:"delay_before,omitempty"`
	DelayAfter Duration `json:"delay_after,omitempty"`
}

// A Duration is a time.Duration whose form in JSON is a string such as "300ms".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A delay is at most a minute.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed <= 0 || parsed > maxSlow {
		return fmt.Errorf("needs a duration up to %v", maxSlow)
	}
	*d = Duration(parsed)
	return nil
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

	// RequestTimeout answers 408 as a proxy would, and applies nothing.
	RequestTimeout FaultKind = "408"

	// Conflict answers 409 with code 20409 and applies nothing.
	Conflict FaultKind = "conflict"
)

// faultConcurrency is the name in State.FaultsServed of refusals because of Config.Concurrency.
const faultConcurrency = "concurrency"

const maxSlow = time.Minute

// answersInstead are the answers of the faults that apply nothing.
var answersInstead = map[FaultKind]answer{
	TooManyRequests: errTooManyRequests.answer(),
	Unavailable:     errUnavailable.answer(),
	HTML:            {status: http.StatusServiceUnavailable, body: unavailablePage},
	RequestTimeout:  {status: http.StatusRequestTimeout, body: page{"text/plain", "request timeout"}},
	Unauthorized:    errAuthenticate.answer(),
	Conflict:        errConflict.answer(),
	Reset:           noAnswer,
}

// answersAfter are the faults that apply the request and then change its successful
// answer.
var answersAfter = map[FaultKind]func(answer) answer{
	FailAfter:  func(answer) answer { return errInternal.answer() },
	ResetAfter: func(answer) answer { return noAnswer },
	Truncated:  func(a answer) answer { a.truncated = true; return a },
}

var unavailablePage = page{"text/html; charset=utf-8", `<!DOCTYPE html>
<html><head><title>503 Service Temporarily Unavailable</title></head>
<body><h1>503 Service Temporarily Unavailable</h1></body></html>
`}

var randomFaults = []FaultKind{Unavailable, FailAfter, Reset, ResetAfter, TooManyRequests}

func (s *Sandbox) countFault(c *call, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.fault = f.name()
	s.world.tenantOf(c).faults[c.fault]++
}

func (f Fault) name() string {
	switch {
	case f.Kind != NoFault:
		return string(f.Kind)
	case f.Status != 0:
		return strconv.Itoa(f.Status)
	default:
		return string(Slow)
	}
}

func (f Fault) isZero() bool {
	return (f.Kind == NoFault || f.Kind == Slow) && f.Status == 0 && f.Delay == 0 && f.DelayAfter == 0
}

func (f Fault) check() error {
	switch {
	case !f.Kind.known():
		return errors.New("kind is not the kind of a fault")
	case f.isZero():
		return errors.New("kind, status or a delay is missing")
	case f.Kind != NoFault && f.Status != 0:
		return errors.New("kind and status exclude each other")
	case f.Status == 0 && (f.Code != 0 || len(f.Body) > 0):
		return errors.New("code and body need a status")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return errors.New("status is not from 200 to 599")
	}
	return nil
}

// withFault performs a request with a fault. It panics if the kind is unknown.
func (s *Sandbox) withFault(c *call, f Fault, perform func() answer) answer {
	if f.isZero() {
		return perform()
	}
	after, isAfter := answersAfter[f.Kind]
	if !isAfter {
		s.countFault(c, f)
	}
	if !s.wait(c.Context(), time.Duration(f.Delay)) {
		return noAnswer
	}
	a := s.replaceAnswer(c, f, perform)
	if isAfter && a.status/100 == 2 {
		s.countFault(c, f)
		a = after(a)
	}
	if !s.wait(c.Context(), time.Duration(f.DelayAfter)) {
		return noAnswer
	}
	return a
}

// replaceAnswer performs the request, unless the fault replaces that by an answer.
func (s *Sandbox) replaceAnswer(c *call, f Fault, perform func() answer) answer {
	if instead, ok := answersInstead[f.Kind]; ok {
		return instead
	}
	switch {
	case f.Kind == Hang:
		s.wait(c.Context(), math.MaxInt64)
		return noAnswer
	case !f.Kind.known():
		panic(fmt.Sprintf("sandbox: unknown fault %q", f.Kind))
	case f.Status != 0:
		return f.answer()
	default:
		return perform()
	}
}

// answer returns the answer of a fault with a status.
func (f Fault) answer() answer {
	var text string
	switch {
	case len(f.Body) == 0:
		return newError(f.Status, f.Code, http.StatusText(f.Status)).answer()
	case json.Unmarshal(f.Body, &text) == nil:
		return answer{status: f.Status, body: page{http.DetectContentType([]byte(text)), text}}
	default:
		return answer{status: f.Status, body: page{"application/json", string(f.Body)}}
	}
}

// chooseFault returns the fault of Config.Fault, or a random one.
func (s *Sandbox) chooseFault(c *call) Fault {
	if s.config.Fault != nil {
		if f := s.config.Fault(c.withBody()); !f.isZero() {
			return f
		}
	}
	if s.config.ErrorRate <= 0 {
		return Fault{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	random := s.world.tenantOf(c).random
	if random.Float64() >= s.config.ErrorRate {
		return Fault{}
	}
	return Fault{Kind: randomFaults[random.IntN(len(randomFaults))]}
}

func (k FaultKind) known() bool { return k == NoFault || slices.Contains(faultKinds(), k) }

// faultKinds returns all kinds, sorted.
func faultKinds() []FaultKind {
	kinds := []FaultKind{Hang, Slow}
	kinds = slices.AppendSeq(kinds, maps.Keys(answersInstead))
	kinds = slices.AppendSeq(kinds, maps.Keys(answersAfter))
	slices.Sort(kinds)
	return kinds
}
