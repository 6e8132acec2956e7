package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/sandbox"
)

// shortLines returns a function that prints one short line for each call, such as
// "muted customer  200  2 ms". Participants are named as in the embedded Twilio.
func shortLines(w io.Writer, fake *sandbox.Sandbox) func(*call.Call, *outcome.Error) {
	return func(c *call.Call, failed *outcome.Error) {
		line, code := actionText(c), http.StatusOK
		if failed != nil {
			code = failed.HTTP
			line = map[outcome.Applied]string{outcome.No: "not ", outcome.Maybe: "maybe "}[failed.Applied] + line
		}
		line += fmt.Sprintf(" %s  %d  %d ms", subject(fake, c), code, time.Since(c.Start).Milliseconds())
		if failed != nil {
			line += "  " + failed.Reason
		}
		_, _ = fmt.Fprintln(w, line) // It is the log: a line that cannot be written is lost.
	}
}

// verbs are the effects of the values of the most common properties.
var verbs = map[property.Property]map[string]string{
	property.Muted: {"true": "muted", "false": "unmuted"},
	property.Hold:  {"true": "held", "false": "took off hold"},
}

// actionText returns what a call does, without the participant: "muted", "set wait_url of".
func actionText(c *call.Call) string {
	if c.Operation != call.Update {
		return map[call.Operation]string{call.Read: "read", call.Remove: "removed"}[c.Operation]
	}
	var parts, others []string
	for p := range c.Change.Set().Each() {
		switch verb := verbs[p][c.Change.Get(p)]; {
		case verb != "":
			parts = append(parts, verb)
		case p == property.AnnounceURL:
			parts = append(parts, "announced to")
		default:
			others = append(others, p.String())
		}
	}
	if len(others) > 0 {
		parts = append(parts, "set "+strings.Join(others, ", ")+" of")
	}
	return cmp.Or(strings.Join(parts, ", "), "updated")
}

// subject returns what a call is about: its participant, or the number of participants of
// a bulk operation, or what it lists.
func subject(fake *sandbox.Sandbox, c *call.Call) string {
	switch {
	case c.Bulk != nil:
		return fmt.Sprintf("%d of %d participants", c.Bulk.Updated, c.Bulk.Participants)
	case c.CallSID != "":
		return cmp.Or(labelOf(fake.State(), c.ConferenceSID, c.CallSID), c.CallSID)
	case strings.Contains(path.Base(c.Method), "Conference"): // Twilio's own path can read conferences.
		return "conferences"
	case c.Operation == call.Read:
		return "participants"
	default:
		return "a participant"
	}
}

// labelOf returns the label of a participant; "" if there is no label or no participant.
func labelOf(state sandbox.State, conferenceSID, callSID string) string {
	for _, account := range state.Accounts {
		for _, conference := range account.Conferences {
			for _, p := range conference.Participants {
				if conference.SID == conferenceSID && p.CallSID == callSID {
					return p.Label
				}
			}
		}
	}
	return ""
}
