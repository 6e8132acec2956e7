package server

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// testCase is one call and its outcome, the same over gRPC and over REST.
type testCase struct {
	name    string
	request *request
	// joins adds a participant with the request's label to the conference first.
	joins bool
	// effect changes the participant as expected; nil: not at all.
	effect func(*sandbox.Participant)
	// applied is how often the update is applied; 0 with an effect is once.
	applied int
	// faults counts the faults that the sandbox served.
	faults map[string]int
	// want is the error; nil: none.
	want     *refusal
	warnings []*conferencev1.Warning
}

// cases returns all cases.
func cases() []testCase {
	return slices.Concat(propertyCases, nameCases, ruleCases, stateCases, faultCases())
}

func TestBothWaysAreTheSame(t *testing.T) {
	r := start(t)
	for _, way := range bothWays {
		for _, test := range cases() {
			t.Run(way.name+"/"+test.name, func(t *testing.T) {
				r.box.Reset()
				test.run(t, r, way)
			})
		}
	}
}

// TestTwilioRejectsAnUpdate passes on Twilio's reason, which has a code that is not known.
func TestTwilioRejectsAnUpdate(t *testing.T) {
	state, err := sandbox.ParseState("state", []byte(`
accounts:
  - sid: `+sandbox.AccountSID+`
    auth_token: `+sandbox.AuthToken+`
    refusals: [{when: [hold, announce], code: 16031, status: 400, message: Not while on hold}]
    conferences:
      - sid: `+sandbox.ConferenceSID+`
        participants: [{call_sid: `+sandbox.AgentSID+`, hold: true}]
`))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(s *setup) { s.box.State = state })
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			rejected := &testCase{request: announcing(sandbox.AgentSID), want: &refusal{
				kind: outcome.TwilioRejected, detail: "Not while on hold", twilioStatus: 400, twilioCode: 16031,
			}}
			rejected.run(t, r, way)
		})
	}
}

func (c *testCase) run(t *testing.T, r *running, way way) {
	if c.joins {
		joining := sandbox.Participant{Label: c.request.GetCallSid(), StartConferenceOnEnter: true}
		if _, err := r.box.AddParticipant(sandbox.ConferenceSID, joining); err != nil {
			t.Fatal(err)
		}
	}
	after := c.after(r.box.State())
	got := way.call(t, t.Context(), r, proto.CloneOf(c.request))
	if c.want != nil {
		c.want.check(t, got)
	} else {
		checkResponse(t, got, participantIn(after, c.request.GetCallSid()), c.warnings)
	}
	sounds := cmp.Options{
		cmpopts.IgnoreFields(sandbox.Participant{}, "HoldSince", "Playing"),
		cmpopts.IgnoreFields(sandbox.Announcement{}, "Ends", "Outcome"),
	}
	if diff := cmp.Diff(after, r.box.State(), sounds); diff != "" {
		t.Errorf("the sandbox's state (-want +got):\n%s", diff)
	}
}

// after returns the expected state of the sandbox after the call.
func (c *testCase) after(state sandbox.State) sandbox.State {
	participant := participantIn(state, c.request.GetCallSid())
	if c.effect != nil {
		c.effect(participant)
		state.JournalLength += max(c.applied, 1)
	}
	maps.Copy(state.FaultsServed, c.faults)
	for _, count := range c.faults {
		participant.FaultsServed += count
	}
	return state
}

func TestEveryFieldIsInACase(t *testing.T) {
	set := map[protoreflect.Name]bool{"request_id": true, "confirm": true} // It has other tests.
	for _, test := range cases() {
		if test.want != nil {
			continue
		}
		test.request.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			set[field.Name()] = true
			return true
		})
	}
	fields := new(request).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if name := fields.Get(i).Name(); !set[name] {
			t.Errorf("no case sets %s", name)
		}
	}
}

const (
	get  = conferencev1.HttpMethod_HTTP_METHOD_GET
	post = conferencev1.HttpMethod_HTTP_METHOD_POST
)

var (
	yes, no  = proto.Bool(true), proto.Bool(false)
	text     = proto.String
	mutes    = func(p *sandbox.Participant) { p.Muted = true }
	nothing  = func(*sandbox.Participant) {}
	announce = func(url, method string) func(*sandbox.Participant) {
		return func(p *sandbox.Participant) {
			p.Announcements = append(p.Announcements,
				sandbox.Announcement{URL: url, Method: method, Time: seededAt})
		}
	}
	ignoredOnHold = []*conferencev1.Warning{{
		Code:  "END_CONFERENCE_ON_EXIT_IGNORED_ON_HOLD",
		Field: "end_conference_on_exit",
		Message: "the participant is on hold: Twilio shows the new value, but it has no effect; " +
			"set it again when the participant is off hold",
	}}
)

// applies returns a case whose request changes the participant.
func applies(name string, message *request, effect func(*sandbox.Participant)) testCase {
	return testCase{name: name, request: message, effect: effect}
}

// propertyCases set each property to each kind of value.
var propertyCases = []testCase{
	{name: "mute", request: muting(sandbox.AgentSID), effect: mutes},
	applies("unmute a participant that is not muted", to(sandbox.AgentSID, &request{Muted: no}), nothing),
	applies("hold", to(sandbox.AgentSID, &request{Hold: yes}), func(p *sandbox.Participant) { p.Hold = true }),
	applies("take off hold", to(sandbox.HeldSID, &request{Hold: no}), func(p *sandbox.Participant) { p.Hold = false }),
	{
		name: "hold music with a fragment and a method",
		request: to(sandbox.AgentSID, &request{
			HoldUrl: text("https://h.example/m?a=1&b=%20#rc=2&ct=3000"), HoldMethod: post,
		}),
		effect: func(p *sandbox.Participant) {
			p.HoldURL, p.HoldMethod = "https://h.example/m?a=1&b=%20#rc=2&ct=3000", "POST"
		},
	},
	{
		name:    "a URL whose scheme is in capitals",
		request: to(sandbox.AgentSID, &request{HoldUrl: text("HTTP://h.example/")}),
		effect:  func(p *sandbox.Participant) { p.HoldURL = "HTTP://h.example/" },
	},
	applies("announce", announcing(sandbox.AgentSID), announce("https://a.example/bell.mp3", "POST")),
	{
		name: "announce by GET",
		request: to(sandbox.AgentSID, &request{
			AnnounceUrl: text("http://a.example:8443/?x=+%2B"), AnnounceMethod: get,
		}),
		effect: announce("http://a.example:8443/?x=+%2B", "GET"),
	},
	{
		name:    "wait music",
		request: to(sandbox.AgentSID, &request{WaitUrl: text("https://w.example/"), WaitMethod: get}),
		effect: func(p *sandbox.Participant) {
			p.WaitURL, p.WaitMethod = text("https://w.example/"), "GET"
		},
	},
	applies("an empty wait_url is silence", to(sandbox.AgentSID, &request{WaitUrl: text("")}), func(p *sandbox.Participant) { p.WaitURL = text("") }),
	applies("a method alone", to(sandbox.AgentSID, &request{HoldMethod: post}), func(p *sandbox.Participant) { p.HoldMethod = "POST" }),
	applies("beep on exit", to(sandbox.AgentSID, &request{BeepOnExit: yes}), func(p *sandbox.Participant) { p.BeepOnExit = true }),
	{
		name:    "end_conference_on_exit false",
		request: to(sandbox.AgentSID, &request{EndConferenceOnExit: no}),
		effect: func(p *sandbox.Participant) {
			p.EndConferenceOnExit, p.EffectiveEndConferenceOnExit = false, false
		},
	},
	{
		name:     "end_conference_on_exit on hold is a warning",
		request:  to(sandbox.HeldSID, &request{EndConferenceOnExit: yes}),
		effect:   func(p *sandbox.Participant) { p.EndConferenceOnExit = true },
		warnings: ignoredOnHold,
	},
	{
		name:     "end_conference_on_exit false on hold is a warning too",
		request:  to(sandbox.HeldSID, &request{EndConferenceOnExit: no}),
		effect:   nothing,
		warnings: ignoredOnHold,
	},
	applies("mute a participant on hold", muting(sandbox.HeldSID), mutes),
	{
		name:    "coach",
		request: to(sandbox.SupervisorSID, &request{Coaching: yes, CallSidToCoach: text(sandbox.AgentSID)}),
		effect:  func(p *sandbox.Participant) { p.Coaching, p.CallSIDToCoach = true, sandbox.AgentSID },
	},
	{
		name:    "call_sid_to_coach alone",
		request: to(sandbox.SupervisorSID, &request{CallSidToCoach: text(sandbox.AgentSID)}),
		effect:  func(p *sandbox.Participant) { p.Coaching, p.CallSIDToCoach = true, sandbox.AgentSID },
	},
	applies("stop coaching", to(sandbox.SupervisorSID, &request{Coaching: no}), nothing),
	{
		name: "all properties",
		request: to(sandbox.SupervisorSID, &request{
			AccountSid: sandbox.AccountSID,
			Muted:      yes, Hold: no, HoldUrl: text("https://h.example/"), HoldMethod: get,
			AnnounceUrl: text("https://a.example/"), AnnounceMethod: post,
			WaitUrl: text(""), WaitMethod: post, BeepOnExit: yes, EndConferenceOnExit: yes,
			Coaching: yes, CallSidToCoach: text(sandbox.AgentSID),
		}),
		effect: func(p *sandbox.Participant) {
			announce("https://a.example/", "POST")(p)
			p.Muted, p.HoldURL, p.WaitURL, p.BeepOnExit = true, "https://h.example/", text(""), true
			p.EndConferenceOnExit, p.EffectiveEndConferenceOnExit = true, true
			p.Coaching, p.CallSIDToCoach = true, sandbox.AgentSID
		},
	},
}

// noConference returns the refusal of a name, given as it is in a path.
func noConference(name string) *refusal {
	return &refusal{
		kind: outcome.ConferenceNotFound, detail: "none in progress has this name",
		resource: "/2010-04-01/Accounts/" + sandbox.AccountSID + "/Conferences/" + name + ".json",
	}
}

// nameCases identify the account and the participant in every way.
var nameCases = []testCase{
	{
		name: "the account by name",
		request: to(sandbox.AgentSID, &request{
			AccountSid: sandbox.AccountSID, Muted: yes,
		}),
		effect: mutes,
	},
	applies("the conference by name", to(sandbox.AgentSID, &request{ConferenceSid: "name:Support", Muted: yes, WaitForParticipant: true}), mutes),
	{
		name:    "a conference's name in small letters",
		request: to(sandbox.AgentSID, &request{ConferenceSid: "name:support", Muted: yes}),
		want:    noConference("name%3Asupport"),
	},
	{
		name:    "the name of a conference that has not begun",
		request: to(sandbox.ConnectingSID, &request{ConferenceSid: "name:Not started", Muted: yes}),
		want:    noConference("name%3ANot%20started"),
	},
	{name: "a label", request: muting("agent"), effect: mutes},
	{name: "a label with a space", request: muting("front desk"), effect: mutes},
	{name: "a label with an accent", request: muting("café"), joins: true, effect: mutes},
	{name: "a label with a question mark", request: muting("a?b=c"), joins: true, effect: mutes},
	{name: "a label with a number sign", request: muting("a#b"), joins: true, effect: mutes},
	{name: "a label with a percent sign", request: muting("100%"), joins: true, effect: mutes},
	{name: "a label that looks escaped", request: muting("a%20b"), joins: true, effect: mutes},
	{name: "a label that looks like an escaped slash", request: muting("a%2Fb"), joins: true, effect: mutes},
	{name: "a label with a plus sign", request: muting("a+b"), joins: true, effect: mutes},
	{name: "a label with a colon", request: muting("a:b"), joins: true, effect: mutes},
	{name: "a label with a backslash", request: muting(`a\b`), joins: true, effect: mutes},
	{name: "a label with a line feed", request: muting("a\nb"), joins: true, effect: mutes},
	{name: "a label that ends like a path", request: muting("a.json"), joins: true, effect: mutes},
	{name: "a label of one dot", request: muting("."), joins: true, effect: mutes},
	{name: "a label of two dots", request: muting(".."), joins: true, effect: mutes},
	{name: "a label in Japanese", request: muting("受付"), joins: true, effect: mutes},
	{name: "a label of 128 characters of two bytes", request: muting(strings.Repeat("é", 128)), joins: true, effect: mutes},
	{
		name: "an account without credentials",
		request: to(sandbox.AgentSID, &request{
			AccountSid: "AC" + strings.Repeat("AbCdEf09", 4), Muted: yes,
		}),
		want: &refusal{kind: outcome.AccountNotConfigured},
	},
}

// stateCases are refused by Twilio because of the state.
var stateCases = []testCase{
	{
		name:    "coach a participant on hold",
		request: to(sandbox.SupervisorSID, &request{Coaching: yes, CallSidToCoach: text(sandbox.HeldSID)}),
		want: &refusal{
			kind: outcome.ConflictingState, detail: "Participant to be whispered is on hold",
			twilioStatus: 400, twilioCode: 16027,
		},
	},
	{
		name:    "coach an unknown participant",
		request: to(sandbox.SupervisorSID, &request{Coaching: yes, CallSidToCoach: text(absentSID)}),
		want: &refusal{
			kind: outcome.ConflictingState, detail: "Participant to be whispered is not present in the conference",
			twilioStatus: 400, twilioCode: 16028,
		},
	},
	{
		name: "a conference that has not started",
		request: to(sandbox.ConnectingSID, &request{
			ConferenceSid: sandbox.InitConferenceSID, Muted: yes,
		}),
		want: &refusal{
			kind: outcome.ConflictingState, detail: "Unexpected conference status",
			twilioStatus: 400, twilioCode: 16099,
		},
	},
	{
		name: "a conference that is over",
		request: to(sandbox.AgentSID, &request{
			ConferenceSid: sandbox.CompletedConferenceSID, Muted: yes,
		}),
		want: absent(sandbox.CompletedConferenceSID, sandbox.AgentSID),
	},
	{
		name:    "an unknown conference",
		request: to(sandbox.AgentSID, &request{ConferenceSid: unknownConferenceSID, Muted: yes}),
		want:    absent(unknownConferenceSID, sandbox.AgentSID),
	},
	{
		name:    "an unknown participant",
		request: muting(absentSID),
		want:    absent(sandbox.ConferenceSID, absentSID),
	},
	{
		name:    "an unknown label",
		request: muting("night shift"),
		want:    absent(sandbox.ConferenceSID, "night%20shift"),
	},
}

const (
	absentSID            = "CA00000000000000000000000000000009"
	unknownConferenceSID = "CF00000000000000000000000000000009"
)

// absent returns the refusal of an unknown participant, named as in a path.
// Twilio's message is passed on without a label.
func absent(conference, participant string) *refusal {
	participants := "/2010-04-01/Accounts/" + sandbox.AccountSID + "/Conferences/" + conference + "/Participants/"
	shown := "[redacted]"
	if strings.HasPrefix(participant, "CA") {
		shown = participant
	}
	return &refusal{
		kind: outcome.ParticipantNotFound, detail: "The requested resource " + participants + shown + ".json was not found",
		twilioStatus: 404, twilioCode: 20404, resource: participants + participant + ".json",
	}
}

// faultCases use the faults of the sandbox. After an unknown outcome a mute is retried,
// an announcement never.
func faultCases() []testCase {
	const mute, announcement = 0, 1
	unknown := func(twilioStatus, twilioCode int) [2]*refusal {
		return [2]*refusal{
			{kind: outcome.OutcomeUnknown, applied: "maybe", twilioStatus: twilioStatus, twilioCode: twilioCode},
			{kind: outcome.UnrepeatableOutcomeUnknown, applied: "maybe", twilioStatus: twilioStatus, twilioCode: twilioCode},
		}
	}
	both := func(want *refusal) [2]*refusal { return [2]*refusal{want, want} }
	tests := []struct {
		fault   string // As in the label of a participant.
		served  [2]int // How often, for a mute and for an announcement.
		applied bool
		want    [2]*refusal
	}{
		{"503", [2]int{4, 1}, false, unknown(503, 20503)},
		{"500-after", [2]int{4, 1}, true, unknown(500, 20500)},
		{"reset", [2]int{4, 1}, false, unknown(0, 0)},
		{"reset-after", [2]int{4, 1}, true, unknown(0, 0)},
		{"html", [2]int{4, 1}, false, unknown(503, 0)},
		{"truncated", [2]int{1, 1}, true, both(&refusal{kind: outcome.TwilioUnexpectedAnswer, applied: "yes", twilioStatus: 200})},
		{"401", [2]int{1, 1}, false, both(&refusal{kind: outcome.TwilioCredentialsRejected, twilioStatus: 401, twilioCode: 20003})},
		{"conflict", [2]int{1, 1}, false, both(&refusal{kind: outcome.ConflictingState, detail: "Conflict", twilioStatus: 409, twilioCode: 20409})},
		{"429", [2]int{4, 4}, false, both(&refusal{
			kind: outcome.TwilioRateLimited, detail: "Too Many Requests", twilioStatus: 429, twilioCode: 20429, retry: time.Second,
		})},
		{"429x2", [2]int{2, 2}, true, [2]*refusal{}},
		{"slow=5ms", [2]int{1, 1}, true, [2]*refusal{}},
	}
	cases := []testCase{{
		name: "503x2 for a mute", request: muting("fault:503x2"), joins: true, effect: mutes, faults: map[string]int{"503": 2},
	}}
	for _, test := range tests {
		label := "fault:" + test.fault
		kind := strings.TrimSuffix(strings.TrimSuffix(test.fault, "x2"), "=5ms")
		muted := testCase{name: test.fault + " for a mute", request: muting(label), effect: mutes}
		announced := testCase{
			name: test.fault + " for an announcement", request: announcing(label), effect: announce("https://a.example/bell.mp3", "POST"),
		}
		for i, c := range []testCase{mute: muted, announcement: announced} {
			c.joins, c.want, c.faults = true, test.want[i], map[string]int{kind: test.served[i]}
			if !test.applied {
				c.effect = nil
			} else if strings.HasSuffix(kind, "-after") {
				c.applied = test.served[i]
			}
			cases = append(cases, c)
		}
	}
	return cases
}
