package server

import (
	"strings"

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

// breaks returns a case whose request breaks rules, given as pairs of a field and the rule.
func breaks(name string, message *request, pairs ...string) testCase {
	return testCase{name: name, request: message, want: violates(pairs...)}
}

// ruleCases break the rules of the API. None of them reaches Twilio.
var ruleCases = []testCase{
	{name: "no property", request: to(sandbox.AgentSID, &request{}), want: &refusal{kind: outcome.NothingToUpdate}},
	{
		name:    "a request id alone",
		request: to(sandbox.AgentSID, &request{RequestId: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}),
		want:    &refusal{kind: outcome.NothingToUpdate},
	},
	breaks("an account SID that is too short", to(sandbox.AgentSID, &request{AccountSid: "AC1", Muted: yes}), "account_sid", accountRule),
	breaks("an account SID with other digits", to(sandbox.AgentSID, &request{AccountSid: "AC" + strings.Repeat("g", 32), Muted: yes}), "account_sid", accountRule),
	breaks("an account SID with a line feed behind it", to(sandbox.AgentSID, &request{AccountSid: sandbox.AccountSID + "\n", Muted: yes}), "account_sid", accountRule),
	breaks("a conference SID of another kind", to(sandbox.AgentSID, &request{ConferenceSid: sandbox.AgentSID, Muted: yes}), "conference_sid", conferenceRule),
	breaks("a conference SID that is too long", to(sandbox.AgentSID, &request{ConferenceSid: sandbox.ConferenceSID + "0", Muted: yes}), "conference_sid", conferenceRule),
	breaks("a conference SID with a line feed behind it", to(sandbox.AgentSID, &request{ConferenceSid: sandbox.ConferenceSID + "\n", Muted: yes}), "conference_sid", conferenceRule),
	breaks("a conference SID in small letters", to(sandbox.AgentSID, &request{ConferenceSid: strings.ToLower(sandbox.ConferenceSID), Muted: yes}), "conference_sid", conferenceRule),
	breaks("an empty name of a conference", to(sandbox.AgentSID, &request{ConferenceSid: "name:", Muted: yes}), "conference_sid", "must have a conference's friendly name after name:"),
	breaks("a conference's name of 129 characters", to(sandbox.AgentSID, &request{ConferenceSid: "name:" + strings.Repeat("é", 129), Muted: yes}), "conference_sid", "must be a friendly name of at most 128 characters"),
	breaks("a conference's name without name:", to(sandbox.AgentSID, &request{ConferenceSid: "Support", Muted: yes}), "conference_sid", conferenceRule),
	breaks("a label of 129 characters", muting(strings.Repeat("a", 129)), "call_sid", labelRule),
	breaks("a label of 129 characters of two bytes", muting(strings.Repeat("é", 129)), "call_sid", labelRule),
	breaks("an empty hold_url", to(sandbox.AgentSID, &request{HoldUrl: text("")}), "hold_url", urlRule),
	breaks("an empty announce_url", to(sandbox.AgentSID, &request{AnnounceUrl: text("")}), "announce_url", urlRule),
	breaks("methods that do not exist", to(sandbox.AgentSID, &request{HoldMethod: 3, AnnounceMethod: -1, WaitMethod: 1 << 20}),
		"hold_method", methodRule, "announce_method", methodRule, "wait_method", methodRule),
	breaks("coaching without call_sid_to_coach", to(sandbox.SupervisorSID, &request{Coaching: yes}), "coaching", coachingRule),
	breaks("a label to coach", to(sandbox.SupervisorSID, &request{Coaching: yes, CallSidToCoach: text("agent")}), "call_sid_to_coach", coachRule),
	breaks("an empty SID to coach", to(sandbox.SupervisorSID, &request{CallSidToCoach: text("")}), "call_sid_to_coach", coachRule),
	breaks("a request id that is no UUID", to(sandbox.AgentSID, &request{Muted: yes, RequestId: "once"}), "request_id", uuidRule),
	breaks("a request id without hyphens", to(sandbox.AgentSID, &request{Muted: yes, RequestId: "a0eebc999c0b4ef8bb6d6bb9bd380a11"}), "request_id", uuidRule),
	breaks("three rules at once", to(sandbox.AgentSID, &request{AccountSid: "AC", HoldUrl: text("/"), Coaching: yes}),
		"coaching", coachingRule, "account_sid", accountRule, "hold_url", urlRule),
}
