package storm_test

import (
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"conferenced/service/sandbox"
)

// story is a small history made by hand, about one participant.
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
			bounds:       bounds{grace: time.Hour, defaultTimeout: time.Hour, memory: time.Hour},
			arrived:      map[int]time.Time{},
			participants: []*sandbox.Participant{p},
		},
	}
}

func (s *story) at(second int) time.Time { return s.start.Add(time.Duration(second) * time.Second) }

// update asks for music on hold, or an announcement.
func (s *story) update(marker, key string) *update {
	number, _ := markerOf("/hold/" + marker)
	kind := map[string]string{"HoldUrl": "hold", "AnnounceUrl": "announce"}[key]
	return &update{
		marker: number, participant: s.whose, requestID: marker,
		form: url.Values{key: {"https://media.example/" + kind + "/" + marker}},
	}
}

func (s *story) call(u *update, begin, end int, told answer) *call {
	c := &call{update: u, begin: s.at(begin), end: s.at(end), answer: told}
	s.calls = append(s.calls, c)
	return c
}

// apply puts the update into the journal, under the name of the request.
func (s *story) apply(u *update, second int, request string) {
	s.journal = append(s.journal, sandbox.Entry{
		Seq: len(s.journal) + 1, Time: s.at(second),
		CallSID: s.whose.CallSID, Form: u.form, RequestID: request,
	})
	if u.form.Has("HoldUrl") {
		s.whose.HoldURL = u.form.Get("HoldUrl")
	}
}

// outOfOrder lets a first update end at 4 and a second at 7, and be applied in
// the other order. The first may be announced, the second too.
func (s *story) outOfOrder(first, second string) {
	a, b := s.update("1", first), s.update("2", second)
	s.call(a, 2, 3, noWord)
	s.call(b, 4, 7, ok("y"))
	s.apply(b, 5, "y")
	s.apply(a, 8, "x")
}

func ok(request string) answer { return answer{heard: true, requestID: request} }

var (
	noWord     = answer{heard: true, code: codes.Unknown, reason: "OUTCOME_UNKNOWN", applied: "maybe"}
	lost       = answer{heard: true, code: codes.Unavailable, reason: "OUTCOME_UNKNOWN", applied: "maybe"}
	full       = answer{heard: true, code: codes.ResourceExhausted, reason: "OVERLOADED", applied: "no"}
	superseded = answer{heard: true, code: codes.Aborted, reason: "SUPERSEDED", applied: "no"}
	reused     = answer{heard: true, code: codes.InvalidArgument, reason: "REQUEST_ID_REUSED", applied: "no"}
	odd        = answer{heard: true, code: codes.Internal, reason: "TWILIO_UNEXPECTED_ANSWER", applied: "yes"}
)

// TestRules breaks each rule once, so that none of the checks is an idle one.
func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		tell   func(*story)
		broken []rule
	}{
		"all is well": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			s.call(a, 0, 2, ok("x"))
			s.call(b, 3, 5, ok("y"))
			s.apply(a, 1, "x")
			s.apply(b, 4, "y")
		}, nil},
		"two at once in either order": {func(s *story) {
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
		"played again for its request id": {func(s *story) {
			a := s.update("1", "AnnounceUrl")
			s.call(a, 0, 2, ok("x"))
			s.call(a, 3, 5, ok("y"))
			s.apply(a, 1, "x")
			s.apply(a, 4, "y")
		}, []rule{playedOnce, sameAnswer}},
		"OK and not applied": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 2, ok("x"))
		}, []rule{okApplied}},
		"applied otherwise": {func(s *story) {
			a := s.update("1", "HoldUrl")
			s.call(a, 0, 2, ok("x"))
			other := *a
			other.form = url.Values{"HoldUrl": a.form["HoldUrl"], "Muted": {"true"}}
			s.whose.Muted = true
			s.apply(&other, 1, "x")
		}, []rule{okApplied, stateShown}},
		"applied=no and applied": {func(s *story) {
			a := s.update("1", "HoldUrl")
			s.call(a, 0, 2, full)
			s.apply(a, 1, "x")
		}, []rule{noNotApplied}},
		"applied=yes and not applied": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 2, odd)
		}, []rule{yesApplied}},
		"applied and never asked for": {func(s *story) {
			s.apply(s.update("1", "HoldUrl"), 1, "x")
		}, []rule{nothingElse}},
		"an older one after a newer one": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			s.call(a, 0, 2, lost)
			s.call(b, 3, 5, ok("y"))
			s.apply(b, 4, "y")
			s.apply(a, 6, "x")
		}, []rule{inOrder, lastStays}},
		"two on their way at once": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			s.call(a, 0, 9, ok("x"))
			s.call(b, 2, 9, ok("y"))
			s.arrived[1], s.arrived[2] = s.at(1), s.at(3)
			s.apply(b, 4, "y")
			s.apply(a, 5, "x")
		}, []rule{oneAtATime, inOrder, lastStays}},
		"an older one after a newer one, in an outage": {func(s *story) {
			s.outOfOrder("HoldUrl", "HoldUrl")
			s.outage = &outage{from: s.at(5), to: s.at(6), goesOn: true}
		}, nil},
		"an older one after a newer one, and the newer in an outage": {func(s *story) {
			s.outOfOrder("AnnounceUrl", "HoldUrl")
			s.outage = &outage{from: s.at(4), to: s.at(5), goesOn: true}
		}, nil},
		"an announcement after another, in an outage": {func(s *story) {
			s.outOfOrder("AnnounceUrl", "AnnounceUrl")
			s.outage = &outage{from: s.at(0), to: s.at(9), goesOn: true}
		}, []rule{inOrder}},
		"an older one after a newer one, after an outage": {func(s *story) {
			s.call(s.update("3", "HoldUrl"), 0, 1, lost)
			s.outOfOrder("HoldUrl", "HoldUrl")
			s.outage = &outage{from: s.at(0), to: s.at(1), goesOn: true}
		}, []rule{inOrder, lastStays}},
		"an older one after a newer one, in an outage in which nothing goes on": {func(s *story) {
			s.outOfOrder("HoldUrl", "HoldUrl")
			s.outage = &outage{from: s.at(0), to: s.at(9)}
		}, []rule{inOrder, lastStays}},
		"played in an outage": {func(s *story) {
			a := s.update("1", "AnnounceUrl")
			s.call(a, 1, 3, ok("x"))
			s.apply(a, 2, "x")
			s.outage = &outage{from: s.at(0), dead: s.at(0), alive: s.at(4), to: s.at(9), goesOn: true}
		}, []rule{playedTogether}},
		"played twice in an outage": {func(s *story) {
			a := s.update("1", "AnnounceUrl")
			s.call(a, 0, 9, ok("y"))
			s.apply(a, 1, "x")
			s.apply(a, 2, "y")
			s.outage = &outage{from: s.at(0), to: s.at(9), goesOn: true}
		}, []rule{playedOnce}},
		"superseded by the next": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 9, superseded)
			b := s.update("2", "HoldUrl")
			s.call(b, 1, 9, ok("y"))
			s.apply(b, 4, "y")
		}, nil},
		"superseded by one that was not applied": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 9, superseded)
			s.call(s.update("2", "HoldUrl"), 1, 9, full)
		}, []rule{notLost}},
		"superseded by one that may have been applied": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 9, superseded)
			s.call(s.update("2", "HoldUrl"), 1, 9, lost)
		}, nil},
		"superseded by nobody": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 9, superseded)
			b := s.update("2", "AnnounceUrl")
			s.call(b, 1, 9, ok("y"))
			s.apply(b, 4, "y")
		}, []rule{overtaken}},
		"an announcement superseded": {func(s *story) {
			s.call(s.update("1", "AnnounceUrl"), 0, 9, superseded)
			b := s.update("2", "AnnounceUrl")
			s.call(b, 1, 9, ok("y"))
			s.apply(b, 4, "y")
		}, []rule{overtaken}},
		"a repetition after a newer one": {func(s *story) {
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
		"a request id for other content": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			b.impostorOf = a
			s.call(a, 0, 2, ok("x"))
			s.call(b, 3, 5, ok("y"))
			s.apply(a, 1, "x")
			s.apply(b, 4, "y")
		}, []rule{idsKept}},
		"a request id that another caller had": {func(s *story) {
			a, b := s.update("1", "HoldUrl"), s.update("2", "HoldUrl")
			b.impostorOf, b.caller = a, 1
			s.call(a, 0, 2, ok("x"))
			s.call(b, 3, 5, reused)
			s.apply(a, 1, "x")
		}, []rule{idsKept}},
		"an answer that is in no row": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 2, answer{heard: true, code: codes.Unknown, applied: "maybe"})
		}, []rule{inTable}},
		"an announcement that clients send again": {func(s *story) {
			s.call(s.update("1", "AnnounceUrl"), 0, 2, lost)
		}, []rule{inTable}},
		"no answer without a reason": {func(s *story) {
			s.call(s.update("1", "HoldUrl"), 0, 2, answer{})
		}, []rule{inTable}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			c.tell(s)
			v := examine(s.history)
			for _, rule := range c.broken {
				if len(v.broken[rule]) == 0 {
					t.Errorf("not found: %s", rule)
				}
				delete(v.broken, rule)
			}
			v.require(t)
		})
	}
}
