package sandbox

import (
	"cmp"
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

// Twilio's limits. Those of names are in characters.
const (
	maxParticipants = 250
	maxLabel        = 128
	maxFriendlyName = 128
)

var callSID = regexp.MustCompile(`^CA[0-9a-f]{32}$`)

// AddParticipant adds p to a conference and returns it as added. An empty CallSID
// is derived from the label or the position, an empty Status is connected, empty
// methods are Twilio's defaults, zero dates are the current time, and
// EndConferenceOnExit is in effect. A participant that is connected joins, which
// starts a conference in status init if StartConferenceOnEnter is set.
//
// It returns an error if the conference does not exist, has completed or is full,
// if the Call SID or the label is taken, or if either is malformed: a label has at
// most 128 characters and no slash, does not look like a Call SID, and is a valid
// fault label if it begins with "fault:".
func (s *Sandbox) AddParticipant(conferenceSID string, p Participant) (Participant, error) {
	now := s.lock()
	defer s.unlock(now)
	t, c := s.world.conference(conferenceSID)
	if c == nil {
		return Participant{}, fmt.Errorf("sandbox: no conference %q", conferenceSID)
	}
	added, err := t.add(c, p, now)
	if err != nil {
		return Participant{}, fmt.Errorf("sandbox: add a participant to %s: %w", conferenceSID, err)
	}
	return *added.clone(), nil
}

// add is AddParticipant under the lock.
func (t *tenant) add(c *Conference, p Participant, now time.Time) (*Participant, error) {
	if p.CallSID == "" {
		p.CallSID = c.makeCallSID(p.Label)
	}
	if err := c.admits(p); err != nil {
		return nil, err
	}
	p = p.withDefaults()
	added := p.clone()
	added.setTimes(now)
	t.append(c, added, now)
	if added.Status == statusConnected {
		t.join(c, added, now)
	}
	return added, nil
}

// admits returns an error if p cannot be added.
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
	}
	_, err := parseFaultLabel(label, opUpdate)
	return err
}

func (t *tenant) append(c *Conference, p *Participant, now time.Time) {
	c.Participants = append(c.Participants, p)
	t.everyone[c.SID] = append(t.everyone[c.SID], p.CallSID)
	t.remember(c, now)
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

// makeCallSID returns the same SID in every run for the same label, or for the
// same position if there is no label.
func (c *Conference) makeCallSID(label string) string {
	if label != "" {
		return makeSID("CA", c.SID, label)
	}
	for i := len(c.Participants); ; i++ {
		sid := makeSID("CA", c.SID, "/"+strconv.Itoa(i)) // No label has a slash.
		if c.participant(sid) == nil {
			return sid
		}
	}
}

// makeSID returns the same SID in every run for the same owner and name.
func makeSID(kind, owner, name string) string {
	sum := sha256.Sum256([]byte(owner + "/" + name))
	return kind + hex.EncodeToString(sum[:16])
}

// withDefaults sets all missing properties except the dates.
func (p Participant) withDefaults() Participant {
	p.Status = cmp.Or(p.Status, statusConnected)
	p.HoldMethod = cmp.Or(p.HoldMethod, http.MethodGet)
	p.WaitMethod = cmp.Or(p.WaitMethod, http.MethodPost)
	if p.Announcements == nil {
		p.Announcements = []Announcement{}
	}
	p.EffectiveEndConferenceOnExit = p.EndConferenceOnExit
	return p
}

func (t *tenant) fetchParticipant(c *call, now time.Time) (any, *apiError) {
	_, p, err := t.findParticipant(c.target, now)
	if err != nil {
		return nil, err
	}
	return c.target.showParticipant(p), nil
}
