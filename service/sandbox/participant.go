package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Participant is a participant of a conference, with the properties that
// Twilio never returns.
type Participant struct {
	CallSID string `json:"call_sid"`

	// Label is "" for a participant without one.
	Label string `json:"label"`

	// From and To are those of the call that a create request placed, as given.
	From string `json:"from"`
	To   string `json:"to"`

	// Status is queued, connecting, ringing, connected, complete or failed.
	Status string `json:"status"`

	// StatusDue is when the status moves on by itself, toward connected. Only a
	// participant whom a create request calls has one; zero is never.
	StatusDue time.Time `json:"status_due,omitzero"`

	Muted      bool   `json:"muted"`
	Hold       bool   `json:"hold"`
	HoldURL    string `json:"hold_url"` // "" is Twilio's own music
	HoldMethod string `json:"hold_method"`

	// WaitURL is nil for Twilio's own music and "" for silence.
	WaitURL    *string `json:"wait_url"`
	WaitMethod string  `json:"wait_method"`

	// Announcements are those played to this participant, oldest first.
	Announcements []Announcement `json:"announcements"`

	BeepOnEnter            bool `json:"beep_on_enter"`
	BeepOnExit             bool `json:"beep_on_exit"`
	StartConferenceOnEnter bool `json:"start_conference_on_enter"`

	// EndConferenceOnExit is the value that Twilio shows.
	EndConferenceOnExit bool `json:"end_conference_on_exit"`

	// EffectiveEndConferenceOnExit is the value that holds. It differs from the
	// one shown after a change while the participant was on hold.
	EffectiveEndConferenceOnExit bool `json:"effective_end_conference_on_exit"`

	Coaching       bool   `json:"coaching"`
	CallSIDToCoach string `json:"call_sid_to_coach"`

	// QueueTime is a number of milliseconds, as Twilio writes it, or "" for null.
	QueueTime string `json:"queue_time"`

	DateCreated time.Time `json:"date_created"`
	DateUpdated time.Time `json:"date_updated"`

	// FaultsServed counts the faults that the label brought about.
	FaultsServed int `json:"faults_served"`
}

// An Announcement is a sound played to a participant.
type Announcement struct {
	URL    string    `json:"url"`
	Method string    `json:"method"`
	Time   time.Time `json:"time"`
}

const (
	statusQueued     = "queued"
	statusConnecting = "connecting"
	statusRinging    = "ringing"
	statusConnected  = "connected"
	statusComplete   = "complete"
	statusFailed     = "failed"
)

// maxParticipants and maxLabel are Twilio's limits; the label's is in characters.
const (
	maxParticipants = 250
	maxLabel        = 128
)

var callSID = regexp.MustCompile(`^CA[0-9a-f]{32}$`)

// AddParticipant adds p to a conference and returns it as added. An empty
// CallSID is made from the label or the position, an empty Status is connected,
// empty methods are Twilio's defaults, and zero dates are now; everything else
// is as given, and EndConferenceOnExit is effective. One who is connected joins:
// that starts a conference in status init if StartConferenceOnEnter is set.
//
// It is an error if the conference does not exist, has completed or is full, if
// the Call SID or the label is taken, or if either is malformed: a label has at
// most 128 characters and no slash, does not look like a Call SID, and is
// readable if it begins with "fault:".
func (s *Sandbox) AddParticipant(conferenceSID string, p Participant) (Participant, error) {
	now := s.lock()
	defer s.mu.Unlock()
	conference := s.world.conference(conferenceSID)
	if conference == nil {
		return Participant{}, fmt.Errorf("sandbox: no conference %q", conferenceSID)
	}
	added, err := s.world.add(conference, p, now)
	if err != nil {
		return Participant{}, fmt.Errorf("sandbox: add a participant to %s: %w", conferenceSID, err)
	}
	return *added.clone(), nil
}

// add puts p into the conference if there is room, as AddParticipant says.
func (w *world) add(c *Conference, p Participant, now time.Time) (*Participant, error) {
	if p.CallSID == "" {
		p.CallSID = c.makeCallSID(p.Label)
	}
	if err := c.admits(p); err != nil {
		return nil, err
	}
	complete := p.withDefaults()
	added := complete.clone()
	added.date(now)
	c.Participants = append(c.Participants, added)
	if added.Status == statusConnected {
		w.join(c, added, now)
	}
	return added, nil
}

func (c *Conference) admits(p Participant) error {
	switch {
	case c.Status == conferenceCompleted:
		return errors.New("the conference has completed")
	case c.full():
		return fmt.Errorf("the conference has %d participants already", c.MaxParticipants)
	case !callSID.MatchString(p.CallSID):
		return fmt.Errorf("malformed Call SID %q", p.CallSID)
	case c.participant(p.CallSID) != nil:
		return fmt.Errorf("the Call SID %s is taken", p.CallSID)
	case p.Label == "":
		return nil
	case c.participant(p.Label) != nil:
		return fmt.Errorf("the label %q is taken", p.Label)
	}
	return checkLabel(p.Label)
}

func checkLabel(label string) error {
	switch {
	case !utf8.ValidString(label), utf8.RuneCountInString(label) > maxLabel:
		return fmt.Errorf("the label is not text of at most %d characters", maxLabel)
	case strings.Contains(label, "/"):
		return fmt.Errorf("the label %q has a slash", label)
	case callSID.MatchString(label):
		return fmt.Errorf("the label %q looks like a Call SID", label)
	case isFaultLabel(label):
		_, err := parseFaultLabel(label)
		return err
	}
	return nil
}

// participant returns the participant with that Call SID or label, or nil.
func (c *Conference) participant(key string) *Participant {
	if key == "" {
		return nil
	}
	for _, p := range c.Participants {
		if p.CallSID == key || p.Label == key {
			return p
		}
	}
	return nil
}

func (c *Conference) full() bool { return len(c.Participants) >= c.MaxParticipants }

// makeCallSID is the same in every run for the same label or the same position.
func (c *Conference) makeCallSID(label string) string {
	if label != "" {
		return makeSID("CA", c.SID, label)
	}
	for i := len(c.Participants); ; i++ {
		sid := makeSID("CA", c.SID, "/"+strconv.Itoa(i)) // no label has a slash
		if c.participant(sid) == nil {
			return sid
		}
	}
}

// makeSID is the same in every run for the same owner and name.
func makeSID(kind, owner, name string) string {
	sum := sha256.Sum256([]byte(owner + "/" + name))
	return kind + hex.EncodeToString(sum[:16])
}

// withDefaults fills in all that is missing but the dates.
func (p Participant) withDefaults() Participant {
	setDefault(&p.Status, statusConnected)
	setDefault(&p.HoldMethod, http.MethodGet)
	setDefault(&p.WaitMethod, http.MethodPost)
	if p.Announcements == nil {
		p.Announcements = []Announcement{}
	}
	p.EffectiveEndConferenceOnExit = p.EndConferenceOnExit
	return p
}

func (p *Participant) date(now time.Time) {
	setDefault(&p.DateCreated, now)
	setDefault(&p.DateUpdated, p.DateCreated)
}

func setDefault[T comparable](value *T, whenZero T) {
	var zero T
	if *value == zero {
		*value = whenZero
	}
}
