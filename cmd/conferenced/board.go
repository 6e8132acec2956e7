package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"conferenced/service/sandbox"
)

// maxCoached is the number of participants that the board offers to coach.
const maxCoached = 20

// change is an update of a participant that the board of the embedded Twilio offers.
type change struct{ name, property, value string }

// boardActions returns the commands for a participant: fetch, update and remove, by gRPC
// and REST. An update changes something.
func boardActions(e *examples) func(*sandbox.Conference, *sandbox.Participant) []sandbox.Action {
	return func(c *sandbox.Conference, p *sandbox.Participant) []sandbox.Action {
		target := []string{
			field("account_sid", quote(c.AccountSID)), field("conference_sid", quote(c.SID)), field("call_sid", quote(p.CallSID)),
		}
		path := fmt.Sprintf("/v1/accounts/%s/conferences/%s/participants/%s", c.AccountSID, c.SID, p.CallSID)
		action := func(name, method, curl string, fields ...string) sandbox.Action {
			message := "{" + strings.Join(append(target[:3:3], fields...), ", ") + "}"
			return sandbox.Action{Name: name, GRPCurl: e.grpcurl(method, message), Curl: curl}
		}
		actions := []sandbox.Action{action("fetch", "GetParticipant", e.curl("GET", path, ""))}
		for _, change := range changesOf(c, p) {
			set := field(change.property, change.value)
			actions = append(actions, action(change.name, "UpdateParticipant", e.curl("PATCH", path, "{"+set+"}"), set))
		}
		return append(actions, action("remove", "RemoveParticipant", e.curl("DELETE", path, "")))
	}
}

// changesOf returns the updates that change something.
func changesOf(c *sandbox.Conference, p *sandbox.Participant) []change {
	toggle := func(is bool, on, off, property string) change {
		if is {
			return change{off, property, "false"}
		}
		return change{on, property, "true"}
	}
	changes := []change{
		toggle(p.Muted, "mute", "unmute", "muted"),
		toggle(p.Hold, "hold", "take off hold", "hold"),
		toggle(p.EndConferenceOnExit, "end the conference on exit", "do not end the conference on exit", "end_conference_on_exit"),
		toggle(p.BeepOnExit, "beep on exit", "do not beep on exit", "beep_on_exit"),
		{"announce", "announce_url", quote("https://example.com/announcement.mp3")},
	}
	if p.Coaching {
		return append(changes, change{"stop coaching", "coaching", "false"})
	}
	for _, other := range c.Participants[:min(len(c.Participants), maxCoached)] {
		if other.CallSID != p.CallSID {
			changes = append(changes, change{"coach " + cmp.Or(other.Label, other.CallSID), "call_sid_to_coach", quote(other.CallSID)})
		}
	}
	return changes
}

func field(name, value string) string { return quote(name) + ": " + value }

func quote(text string) string {
	quoted, _ := json.Marshal(text) // Text can always be encoded.
	return string(quoted)
}
