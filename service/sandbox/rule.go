package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// opRead stands for every fetch and list in rules and labels.
const opRead = "read"

// maxRules is the number of faults that can be armed.
const maxRules = 1000

// A Rule is a fault for the requests that match it. Fields that are empty match every
// request.
type Rule struct {
	Account     string `json:"account,omitempty"`
	Conference  string `json:"conference,omitempty"`  // Its SID or friendly name.
	Participant string `json:"participant,omitempty"` // Its Call SID or label.

	// Operation is fetch, list, create, update or remove for participants,
	// fetch-conference, list-conferences or update-conference, or read for every fetch
	// and list.
	Operation string `json:"operation,omitempty"`

	// Property is a field of the form, such as Muted.
	Property string `json:"property,omitempty"`

	// Times is the number of requests that get the fault; 0 means all.
	Times int `json:"times"`

	Fault

	// Served is the number of requests that got it.
	Served int `json:"served"`
}

// Arm arms a fault for the next requests that match the rule, after the faults that
// are armed already. It returns an error if the rule is not valid.
func (s *Sandbox) Arm(r Rule) error {
	if err := s.arm(r); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

func (s *Sandbox) arm(r Rule) error {
	if err := r.check(); err != nil {
		return err
	}
	now := s.lock()
	defer s.unlock(now)
	if len(s.world.armed) >= maxRules {
		return fmt.Errorf("%d faults are armed already", maxRules)
	}
	if r.Account != "" && s.world.tenant(r.Account) == nil {
		return errors.New("there is no such account")
	}
	r.Served = 0
	s.world.armed = append(s.world.armed, &r)
	return nil
}

// fieldName matches the name of a field in a form of Twilio's.
var fieldName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)

func (r *Rule) check() error {
	switch {
	case r.Operation != "" && r.Operation != opRead && !slices.Contains(operationNames, r.Operation):
		return fmt.Errorf("operation is none of %s, %s", opRead, strings.Join(operationNames, ", "))
	case r.Property != "" && !fieldName.MatchString(r.Property):
		return errors.New("property is not the name of a field, such as Muted")
	case r.Times < 0:
		return errors.New("times is negative")
	default:
		return r.Fault.check()
	}
}

// Armed returns the armed faults of an account, or all if it is "".
func (s *Sandbox) Armed(account string) []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	armed := []Rule{}
	for _, r := range s.world.armed {
		if account == "" || r.Account == account {
			armed = append(armed, *r)
		}
	}
	return armed
}

// Disarm clears the armed faults of an account, or all if it is "".
func (s *Sandbox) Disarm(account string) {
	now := s.lock()
	defer s.unlock(now)
	s.world.disarm(account)
}

func (w *world) disarm(account string) {
	w.armed = slices.DeleteFunc(w.armed, func(r *Rule) bool { return account == "" || r.Account == account })
}

// String describes the rule as the board shows it.
func (r Rule) String() string {
	text := fmt.Sprintf("%s: %d of %d requests", r.Fault.name(), r.Served, r.Times)
	if r.Times == 0 {
		text = fmt.Sprintf("%s: %d of all requests", r.Fault.name(), r.Served)
	}
	for _, only := range []string{r.Operation, r.Property, r.Participant, r.Conference, r.Account} {
		if only != "" {
			text += ", " + only
		}
	}
	return text
}

// serve reports whether the request gets the rule's fault, and counts it if so.
func (r *Rule) serve(c *call, served *int) bool {
	if !r.matches(c) || r.Times > 0 && *served >= r.Times {
		return false
	}
	*served++
	return true
}

func (r *Rule) matches(c *call) bool {
	return passes(r.Account, c.target.account) &&
		passes(r.Conference, c.conferenceSID, c.conferenceName) &&
		passes(r.Participant, c.callSID, c.label) &&
		(passes(r.Operation, c.operation) || r.Operation == opRead && c.isRead()) &&
		(r.Property == "" || c.form.Has(r.Property))
}

// matchFault returns the fault of a request, and counts it. The first of these applies: an
// armed fault, the fault of the participant's label, the fault of the conference's name.
func (s *Sandbox) matchFault(c *call) Fault {
	now := s.lock()
	defer s.mu.Unlock()
	t := s.world.tenantOf(c)
	conference := t.conferenceOf(c)
	p := t.participantOf(c, conference, now)
	c.describe(conference, p)
	for _, r := range s.world.armed {
		if r.serve(c, &r.Served) {
			return r.Fault
		}
	}
	if p != nil {
		if r, _ := parseFaultLabel(p.Label, opUpdate); r != nil && r.serve(c, &p.FaultsServed) {
			return r.Fault
		}
	}
	if conference != nil {
		if r, _ := parseFaultLabel(conference.FriendlyName, opRead); r != nil && r.serve(c, &conference.FaultsServed) {
			return r.Fault
		}
	}
	return Fault{}
}

// conferenceOf returns the conference of a request, or nil. For a list of conferences,
// that is the newest one with the FriendlyName of the query.
func (t *tenant) conferenceOf(c *call) *Conference {
	if c.target.resource != conferenceList {
		conference, _ := t.findConference(c.target)
		return conference
	}
	for _, conference := range slices.Backward(t.Conferences) {
		if conference.FriendlyName == c.URL.Query().Get("FriendlyName") {
			return conference
		}
	}
	return nil
}

// participantOf returns the participant of the conference that a request concerns, or
// nil. If the request names a fault label that no participant has, and the conference is
// in progress, an update creates the participant, and so does a fetch if the fault is of
// another operation than update.
func (t *tenant) participantOf(c *call, in *Conference, now time.Time) *Participant {
	if in == nil {
		return nil
	}
	label := c.target.participant
	if p := in.participant(label); p != nil {
		return p
	}
	r, _ := parseFaultLabel(label, opUpdate)
	if r == nil || in.Status != conferenceInProgress {
		return nil
	}
	if c.operation == opUpdate || c.operation == opFetch && r.Operation != opUpdate {
		p, _ := t.add(in, Participant{Label: label, StartConferenceOnEnter: true}, now) // It fails if the conference is full.
		return p
	}
	return nil
}

// faultForm matches what follows "fault:" in a label: an operation, a kind and a
// number of times.
var faultForm = regexp.MustCompile(`^(?:([a-z-]+):)?(.+?)(?:x([1-9][0-9]{0,5}))?$`)

// parseFaultLabel returns the rule of a participant's label or a conference's name, or
// nil if that does not begin with "fault:". The rule is for the given operation unless
// the label names another.
func parseFaultLabel(label, operation string) (*Rule, error) {
	fault, ok := strings.CutPrefix(label, "fault:")
	if !ok {
		return nil, nil
	}
	parts := faultForm.FindStringSubmatch(fault)
	if parts == nil {
		return nil, fmt.Errorf("the label %q names no fault", label)
	}
	kind, delay, delayed := strings.Cut(parts[2], "=")
	r := &Rule{Operation: parts[1], Fault: Fault{Kind: FaultKind(kind)}}
	r.Operation = cmp.Or(r.Operation, operation)
	r.Times, _ = strconv.Atoi(parts[3]) // Absent, or it has at most six digits.
	if delayed {
		if err := r.Delay.UnmarshalText([]byte(delay)); err != nil {
			return nil, fmt.Errorf("the label %q %w", label, err)
		}
	}
	if r.check() != nil || delayed != (r.Kind == Slow) {
		return nil, fmt.Errorf("the label %q names no fault", label)
	}
	return r, nil
}
