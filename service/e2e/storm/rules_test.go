package storm_test

import (
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"conferenced/service/sandbox"
)

// story is a hand-written history of one participant.
type story struct {
	*history
	start time.Time
	whose *sandbox.Participant
}

func newStory() *story {
	p := &sandbox.Participant{CallSID: sandbox.AgentSID, Label: "agent"}
	return &story{
		start: time.Unix(0, 0),
		whose: p,
		history: &history{
			bounds:       bounds{grace: time.Hour, defaultTimeout: time.Hour, retention: time.Hour},
			arrived:      map[int]time.Time{},
			participants: []*sandbox.Participant{p},
		},
	}
}

func (s *story) at(second int) time.Time { return s.start.Add(time.Duration(second) * time.Second) }

// update returns an update that sets key, HoldUrl or AnnounceUrl.
func (s *story) update(marker, key string) *update {
	number, _ := markerOf("/hold/" + marker)
	kind := map[string]string{"HoldUrl": "hold", "AnnounceUrl": "announce"}[key]
	return &update{
		marker: number, participant: s.whose, requestID: marker,
		form: url.Values{key: {"https://media.example/" + kind + "/" + marker}},
	}
}

func (s *story) call(u *update, begin, end int, got answer) *call {
	c := &call{update: u, begin: s.at(begin), end: s.at(end), answer: got}
	s.calls = append(s.calls, c)
	return c
}

// apply adds the update to the journal, with Twilio's request ID.
func (s *story) apply(u *update, second int, request string) {
	s.journal = append(s.journal, sandbox.Entry{
		Seq: len(s.journal) + 1, Time: s.at(second),
		CallSID: s.whose.CallSID, Form: u.form, RequestID: request,
	})
	if u.form.Has("HoldUrl") {
		s.whose.HoldURL = u.form.Get("HoldUrl")
	}
}

// outOfOrder adds a first call that ends at 3 and a second from 4 to 7, whose updates
// are applied in the other order. The arguments are the properties that they set.
func (s *story) outOfOrder(first, second string) {
	a, b := s.update("1", first), s.update("2", second)
	s.call(a, 2, 3, unknownAnnouncement)
	s.call(b, 4, 7, ok("y"))
	s.apply(b, 5, "y")
	s.apply(a, 8, "x")
}

func ok(request string) answer { return answer{answered: true, requestID: request} }

var (
	unknownAnnouncement = answer{answered: true, code: codes.Unknown, reason: "OUTCOME_UNKNOWN", applied: "maybe"}
	unknown             = answer{answered: true, code: codes.Unavailable, reason: "OUTCOME_UNKNOWN", applied: "maybe"}
	overloaded          = answer{answered: true, code: codes.ResourceExhausted, reason: "OVERLOADED", applied: "no"}
	superseded          = answer{answered: true, code: codes.Aborted, reason: "SUPERSEDED", applied: "no"}
	reused              = answer{answered: true, code: codes.InvalidArgument, reason: "REQUEST_ID_REUSED", applied: "no"}
	unexpected          = answer{answered: true, code: codes.Internal, reason: "TWILIO_UNEXPECTED_ANSWER", applied: "yes"}
)

// TestRules violates each rule once, to show that each check can fail.
func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		build  func(*story)
		broken []rule
	}{
		"no violation": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			s.call(a, 0, 2, ok("x"))
			s.call(b, 3, 5, ok("y"))
			s.apply(a, 1, "x")
			s.apply(b, 4, "y")
		}, nil},
		"two concurrent updates in either order": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			s.call(a, 0, 9, ok("x"))
			s.call(b, 1, 9, ok("y"))
			s.apply(b, 4, "y")
			s.apply(a, 5, "x")
		}, nil},
		"played twice": {func(s *story) {
			a := s.update("1", "AnnounceUrl")
			s.call(a, 0, 9, ok("y"))
			s.apply(a, 1, "x")
			s.apply(a, 2, "y")
		}, []rule{playedOnce}},
		"played again for the same request ID": {func(s *story) {
			a := s.update("1", "AnnounceUrl")
			s.call(a, 0, 2, ok("x"))
			s.call(a, 3, 5, ok("y"))
			s.apply(a, 1, "x")
			s.apply(a, 4, "y")
		}, []rule{playedOnce, sameAnswer}},
		"OK and not applied": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 2, ok("x"))
		}, []rule{okApplied}},
		"applied with other properties": {func(s *story) {
			a := s.update("1", "HoldUrl")
			s.call(a, 0, 2, ok("x"))
			other := *a
			other.form = url.Values{"HoldUrl": a.form["HoldUrl"], "Muted": {"true"}}
			s.whose.Muted = true
			s.apply(&other, 1, "x")
		}, []rule{okApplied, stateShown}},
		"applied=no and applied": {func(s *story) {
			a := s.update("1", "HoldUrl")
			s.call(a, 0, 2, overloaded)
			s.apply(a, 1, "x")
		}, []rule{noNotApplied}},
		"applied=yes and not applied": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 2, unexpected)
		}, []rule{yesApplied}},
		"applied without a call": {func(s *story) {
			s.apply(s.update("1", "HoldUrl"), 1, "x")
		}, []rule{nothingElse}},
		"an older update after a newer one": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			s.call(a, 0, 2, unknown)
			s.call(b, 3, 5, ok("y"))
			s.apply(b, 4, "y")
			s.apply(a, 6, "x")
		}, []rule{inOrder, lastStays}},
		"two in flight for one participant": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			s.call(a, 0, 9, ok("x"))
			s.call(b, 2, 9, ok("y"))
			s.arrived[1], s.arrived[2] = s.at(1), s.at(3)
			s.apply(b, 4, "y")
			s.apply(a, 5, "x")
		}, []rule{oneAtATime, inOrder, lastStays}},
		"an older update after a newer one, in an outage": {func(s *story) {
			s.outOfOrder("HoldUrl", "HoldUrl")
			s.outage = &outage{from: s.at(5), to: s.at(6), continues: true}
		}, nil},
		"an older update after a newer one that was sent in an outage": {func(s *story) {
			s.outOfOrder("AnnounceUrl", "HoldUrl")
			s.outage = &outage{from: s.at(4), to: s.at(5), continues: true}
		}, nil},
		"an announcement after another, in an outage": {func(s *story) {
			s.outOfOrder("AnnounceUrl", "AnnounceUrl")
			s.outage = &outage{from: s.at(0), to: s.at(9), continues: true}
		}, []rule{inOrder}},
		"an older update after a newer one, after an outage": {func(s *story) {
			s.call(s.update("3", "HoldUrl"), 0, 1, unknown)
			s.outOfOrder("HoldUrl", "HoldUrl")
			s.outage = &outage{from: s.at(0), to: s.at(1), continues: true}
		}, []rule{inOrder, lastStays}},
		"an older update after a newer one, in an outage in which nothing is sent": {func(s *story) {
			s.outOfOrder("HoldUrl", "HoldUrl")
			s.outage = &outage{from: s.at(0), to: s.at(9)}
		}, []rule{inOrder, lastStays}},
		"played in an outage": {func(s *story) {
			a := s.update("1", "AnnounceUrl")
			s.call(a, 1, 3, ok("x"))
			s.apply(a, 2, "x")
			s.outage = &outage{from: s.at(0), downFrom: s.at(0), downTo: s.at(4), to: s.at(9), continues: true}
		}, []rule{notPlayedInOutage}},
		"played twice in an outage": {func(s *story) {
			a := s.update("1", "AnnounceUrl")
			s.call(a, 0, 9, ok("y"))
			s.apply(a, 1, "x")
			s.apply(a, 2, "y")
			s.outage = &outage{from: s.at(0), to: s.at(9), continues: true}
		}, []rule{playedOnce}},
		"superseded by a newer update": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 9, superseded)
			b := s.update("2", "HoldUrl")
			s.call(b, 1, 9, ok("y"))
			s.apply(b, 4, "y")
		}, nil},
		"superseded by an update that was not applied": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 9, superseded)
			s.call(s.update("2", "HoldUrl"), 1, 9, overloaded)
		}, []rule{notLost}},
		"superseded by an update that may have been applied": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 9, superseded)
			s.call(s.update("2", "HoldUrl"), 1, 9, unknown)
		}, nil},
		"superseded by no update": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 9, superseded)
			b := s.update("2", "AnnounceUrl")
			s.call(b, 1, 9, ok("y"))
			s.apply(b, 4, "y")
		}, []rule{supersededByCovering}},
		"an announcement superseded": {func(s *story) {
			s.call(s.update("1", "AnnounceUrl"), 0, 9, superseded)
			b := s.update("2", "AnnounceUrl")
			s.call(b, 1, 9, ok("y"))
			s.apply(b, 4, "y")
		}, []rule{supersededByCovering}},
		"a retry after a newer update": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			s.call(a, 0, 9, ok("z"))
			s.call(b, 2, 5, ok("y"))
			s.arrived[1] = s.at(1)
			s.apply(a, 1, "x")
			s.apply(b, 4, "y")
			s.apply(a, 6, "z")
		}, []rule{inOrder, notUndone, lastStays}},
		"the state is another": {func(s *story) {
			a := s.update("1", "HoldUrl")
			s.call(a, 0, 2, ok("x"))
			s.apply(a, 1, "x")
			s.whose.HoldURL = "https://media.example/hold/7"
		}, []rule{stateShown}},
		"a request ID with other content": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			b.reusesIDOf = a
			s.call(a, 0, 2, ok("x"))
			s.call(b, 3, 5, ok("y"))
			s.apply(a, 1, "x")
			s.apply(b, 4, "y")
		}, []rule{idsKept}},
		"a request ID of another caller": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			b.reusesIDOf, b.caller = a, 1
			s.call(a, 0, 2, ok("x"))
			s.call(b, 3, 5, reused)
			s.apply(a, 1, "x")
		}, []rule{idsKept}},
		"an answer that is not in the outcome table": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 2, answer{answered: true, code: codes.Unknown, applied: "maybe"})
		}, []rule{inTable}},
		"an announcement with a status that clients retry": {func(s *story) {
			s.call(s.update("1", "AnnounceUrl"), 0, 2, unknown)
		}, []rule{inTable}},
		"no answer without a reason": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 2, answer{})
		}, []rule{inTable}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			c.build(s)
			v := examine(s.history)
			for _, rule := range c.broken {
				if len(v.violations[rule]) == 0 {
					t.Errorf("not found: %s", rule)
				}
				delete(v.violations, rule)
			}
			v.require(t)
		})
	}
}
