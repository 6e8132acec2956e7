package server

import (
	"strings"

	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// violates returns the refusal for pairs of a field and the rule that it breaks.
func violates(pairs ...string) *refusal {
	var texts []string
	for i := 0; i < len(pairs); i += 2 {
		texts = append(texts, pairs[i]+": "+pairs[i+1])
	}
	return &refusal{kind: outcome.InvalidRequest, detail: strings.Join(texts, "; "), broken: pairs}
}

// The texts of the rules.
const (
	accountRule    = "must be AC and 32 hexadecimal digits"
	conferenceRule = "must be CF and 32 hexadecimal digits, or name: and a conference's friendly name"
	coachRule      = "must be CA and 32 hexadecimal digits: a Call SID, not a label"
	urlRule        = "must be an absolute http or https URL"
	waitURLRule    = "must be an absolute http or https URL, or empty to play nothing"
	methodRule     = "value must be one of the defined enum values"
	coachingRule   = "true needs call_sid_to_coach, the Call SID of the participant to coach"
	uuidRule       = "must be a valid UUID"
	labelRule      = "must be at most 128 characters"
)

// ruleCases break the rules of the API. None of them reaches Twilio.
var ruleCases = []testCase{
	{
		name:    "no property",
		request: to(sandbox.AgentSID, &request{}),
		want:    &refusal{kind: outcome.NothingToUpdate},
	},
	{
		name:    "a request id alone",
		request: to(sandbox.AgentSID, &request{RequestId: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}),
		want:    &refusal{kind: outcome.NothingToUpdate},
	},
	{
		name:    "an account SID that is too short",
		request: to(sandbox.AgentSID, &request{AccountSid: "AC1", Muted: yes}),
		want:    violates("account_sid", accountRule),
	},
	{
		name:    "an account SID with other digits",
		request: to(sandbox.AgentSID, &request{AccountSid: "AC" + strings.Repeat("g", 32), Muted: yes}),
		want:    violates("account_sid", accountRule),
	},
	{
		name:    "an account SID with a line feed behind it",
		request: to(sandbox.AgentSID, &request{AccountSid: sandbox.AccountSID + "\n", Muted: yes}),
		want:    violates("account_sid", accountRule),
	},
	{
		name:    "a conference SID of another kind",
		request: to(sandbox.AgentSID, &request{ConferenceSid: sandbox.AgentSID, Muted: yes}),
		want:    violates("conference_sid", conferenceRule),
	},
	{
		name:    "a conference SID that is too long",
		request: to(sandbox.AgentSID, &request{ConferenceSid: sandbox.ConferenceSID + "0", Muted: yes}),
		want:    violates("conference_sid", conferenceRule),
	},
	{
		name:    "a conference SID with a line feed behind it",
		request: to(sandbox.AgentSID, &request{ConferenceSid: sandbox.ConferenceSID + "\n", Muted: yes}),
		want:    violates("conference_sid", conferenceRule),
	},
	{
		name:    "a conference SID in small letters",
		request: to(sandbox.AgentSID, &request{ConferenceSid: strings.ToLower(sandbox.ConferenceSID), Muted: yes}),
		want:    violates("conference_sid", conferenceRule),
	},
	{
		name:    "an empty name of a conference",
		request: to(sandbox.AgentSID, &request{ConferenceSid: "name:", Muted: yes}),
		want:    violates("conference_sid", "must have a conference's friendly name after name:"),
	},
	{
		name:    "a conference's name of 129 characters",
		request: to(sandbox.AgentSID, &request{ConferenceSid: "name:" + strings.Repeat("é", 129), Muted: yes}),
		want:    violates("conference_sid", "must be a friendly name of at most 128 characters"),
	},
	{
		name:    "a conference's name without name:",
		request: to(sandbox.AgentSID, &request{ConferenceSid: "Support", Muted: yes}),
		want:    violates("conference_sid", conferenceRule),
	},
	{
		name:    "a label of 129 characters",
		request: muting(strings.Repeat("a", 129)),
		want:    violates("call_sid", labelRule),
	},
	{
		name:    "a label of 129 characters of two bytes",
		request: muting(strings.Repeat("é", 129)),
		want:    violates("call_sid", labelRule),
	},
	{
		name:    "an empty hold_url",
		request: to(sandbox.AgentSID, &request{HoldUrl: text("")}),
		want:    violates("hold_url", urlRule),
	},
	{
		name:    "an empty announce_url",
		request: to(sandbox.AgentSID, &request{AnnounceUrl: text("")}),
		want:    violates("announce_url", urlRule),
	},
	{
		name: "methods that do not exist",
		request: to(sandbox.AgentSID, &request{
			HoldMethod: 3, AnnounceMethod: conferencev1.HttpMethod(-1), WaitMethod: 1 << 20,
		}),
		want: violates("hold_method", methodRule, "announce_method", methodRule, "wait_method", methodRule),
	},
	{
		name:    "coaching without call_sid_to_coach",
		request: to(sandbox.SupervisorSID, &request{Coaching: proto.Bool(true)}),
		want:    violates("coaching", coachingRule),
	},
	{
		name:    "a label to coach",
		request: to(sandbox.SupervisorSID, &request{Coaching: yes, CallSidToCoach: text("agent")}),
		want:    violates("call_sid_to_coach", coachRule),
	},
	{
		name:    "an empty SID to coach",
		request: to(sandbox.SupervisorSID, &request{CallSidToCoach: text("")}),
		want:    violates("call_sid_to_coach", coachRule),
	},
	{
		name:    "a request id that is no UUID",
		request: to(sandbox.AgentSID, &request{Muted: yes, RequestId: "once"}),
		want:    violates("request_id", uuidRule),
	},
	{
		name:    "a request id without hyphens",
		request: to(sandbox.AgentSID, &request{Muted: yes, RequestId: "a0eebc999c0b4ef8bb6d6bb9bd380a11"}),
		want:    violates("request_id", uuidRule),
	},
	{
		name: "three rules at once",
		request: to(sandbox.AgentSID, &request{
			AccountSid: "AC", HoldUrl: text("/"), Coaching: yes,
		}),
		want: violates("coaching", coachingRule, "account_sid", accountRule, "hold_url", urlRule),
	},
}
