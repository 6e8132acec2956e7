package storm_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
)

// labels are the labels of the storm's participants.
var labels = []string{
	"host", "front desk 2", "café", "a?b#c", "100%", "x+y&z=1", "guest 7", "Ω",
	"interpreter", "back office", "line-9", "line_10",
}

// update is one change of one participant. Each has a unique marker in a URL that it
// sets, by which it is found in the journal.
type update struct {
	marker      int
	caller      int
	participant *sandbox.Participant
	byLabel     bool
	form        url.Values // The form that Twilio should get.
	requestID   string
	reusesIDOf  *update // The update whose request ID this one uses; may be nil.
}

func (u *update) announces() bool { return u.form.Has("AnnounceUrl") }

func (u *update) name() string {
	if u.byLabel {
		return u.participant.Label
	}
	return u.participant.CallSID
}

// request returns the update as a request of the API.
func (u *update) request() *conferencev1.UpdateParticipantRequest {
	return &conferencev1.UpdateParticipantRequest{
		ConferenceSid:       sandbox.ConferenceSID,
		CallSid:             u.name(),
		Muted:               u.flag("Muted"),
		Hold:                u.flag("Hold"),
		HoldUrl:             u.text("HoldUrl"),
		HoldMethod:          u.method("HoldMethod"),
		AnnounceUrl:         u.text("AnnounceUrl"),
		AnnounceMethod:      u.method("AnnounceMethod"),
		WaitUrl:             u.text("WaitUrl"),
		WaitMethod:          u.method("WaitMethod"),
		BeepOnExit:          u.flag("BeepOnExit"),
		EndConferenceOnExit: u.flag("EndConferenceOnExit"),
		Coaching:            u.flag("Coaching"),
		CallSidToCoach:      u.text("CallSidToCoach"),
		RequestId:           u.requestID,
	}
}

func (u *update) flag(key string) *bool {
	if !u.form.Has(key) {
		return nil
	}
	return proto.Bool(u.form.Get(key) == "true")
}

func (u *update) text(key string) *string {
	if !u.form.Has(key) {
		return nil
	}
	return proto.String(u.form.Get(key))
}

func (u *update) method(key string) conferencev1.HttpMethod {
	return conferencev1.HttpMethod(conferencev1.HttpMethod_value["HTTP_METHOD_"+u.form.Get(key)])
}

// script generates the calls of one caller. They are determined by the seed.
type script struct {
	random       *rand.Rand
	caller       int
	noDeadlines  bool // No call has a deadline or is cancelled.
	participants []*sandbox.Participant
	markers      *atomic.Int64
}

// next returns a new update.
func (s *script) next() *update {
	u := &update{
		marker:      int(s.markers.Add(1)),
		caller:      s.caller,
		participant: s.participant(),
		byLabel:     s.chance(50),
		form:        url.Values{},
	}
	s.fill(u)
	if s.chance(50) {
		u.requestID = s.uuid()
	}
	return u
}

// reuseID returns a new update with the request ID of another update, from the same
// caller or another.
func (s *script) reuseID(of *update) *update {
	u := s.next()
	u.requestID, u.reusesIDOf = of.requestID, of
	u.caller = s.random.IntN(callerCount)
	return u
}

// participant picks a participant, often one of the first three, so that updates
// compete.
func (s *script) participant() *sandbox.Participant {
	if s.chance(35) {
		return s.participants[s.random.IntN(3)]
	}
	return s.participants[s.random.IntN(len(s.participants))]
}

func (s *script) chance(percent int) bool { return s.random.IntN(100) < percent }

// fill sets properties in such combinations that some updates cover others.
func (s *script) fill(u *update) {
	switch dice := s.random.IntN(100); {
	case dice < 35:
		s.flag(u, "Hold", 100)
		s.url(u, "Hold")
		s.flag(u, "Muted", 50)
	case dice < 60:
		s.url(u, "Wait")
		s.flag(u, "Muted", 70)
	case dice < 80:
		s.url(u, "Announce")
		s.flag(u, "Muted", 40)
	case dice < 90:
		s.url(u, "Hold")
		s.url(u, "Wait")
		for _, key := range []string{"Muted", "Hold", "BeepOnExit", "EndConferenceOnExit"} {
			s.flag(u, key, 100)
		}
		u.form.Set("HoldMethod", "POST")
		u.form.Set("WaitMethod", "GET")
	default:
		s.url(u, "Hold")
		u.form.Set("WaitUrl", "")
		s.coach(u)
	}
}

func (s *script) flag(u *update, key string, percent int) {
	if s.chance(percent) {
		u.form.Set(key, strconv.FormatBool(s.chance(50)))
	}
}

// url sets a URL with characters that a form must escape, and sometimes its method.
func (s *script) url(u *update, property string) {
	kind := map[string]string{"Hold": "hold", "Wait": "wait", "Announce": "announce"}[property]
	text := fmt.Sprintf("https://media.example/%s/%d", kind, u.marker)
	if s.chance(50) {
		text += fmt.Sprintf("?a=%d+b&c=%%C3%%A9%%20%%26#rc=%d&ct=3000", s.random.IntN(10), s.random.IntN(5))
	}
	u.form.Set(property+"Url", text)
	if s.chance(30) {
		u.form.Set(property+"Method", []string{"GET", "POST"}[s.random.IntN(2)])
	}
}

// coach begins or ends coaching. Sometimes the coached participant is on hold, which
// Twilio refuses.
func (s *script) coach(u *update) {
	if s.chance(40) {
		u.form.Set("Coaching", "false")
		return
	}
	u.form.Set("Coaching", "true")
	u.form.Set("CallSidToCoach", sandbox.SupervisorSID)
	if s.chance(15) {
		u.form.Set("CallSidToCoach", sandbox.HeldSID)
	}
}

func (s *script) uuid() string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", s.random.Uint32(), s.random.IntN(1<<16),
		s.random.IntN(1<<12), s.random.IntN(1<<12), s.random.Int64N(1<<48))
}

// call is one call of the API.
type call struct {
	*update
	conn        int           // The gRPC connection; rest for REST.
	timeout     time.Duration // 0: none
	cancelAfter time.Duration // 0: not cancelled
	begin, end  time.Time
	answer      answer
}

// rest is the conn of calls over REST.
const rest = -1

// call returns a call for the update, with a random protocol, deadline and
// cancellation.
func (s *script) call(u *update, conn int) *call {
	c := &call{update: u, conn: conn}
	if s.chance(20) {
		c.conn = rest
	}
	if s.noDeadlines {
		return c
	}
	switch dice := s.random.IntN(100); {
	case dice < 20: // No deadline.
	case dice < 35:
		c.timeout = time.Duration(2+s.random.IntN(30)) * time.Millisecond
	default:
		c.timeout = time.Duration(50+s.random.IntN(700)) * time.Millisecond
	}
	if s.chance(12) {
		c.cancelAfter = time.Duration(1+s.random.IntN(20_000)) * time.Microsecond
	}
	return c
}
