package main

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"conferenced/service/sandbox"
)

// page is a text that is printed at once.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// welcome returns what the sandbox prints when it serves: the addresses, and commands to
// try it with.
func welcome(e *examples, upstream string, state sandbox.State) string {
	var p page
	docs := ""
	if e.hasDocs {
		docs = "   (API page: " + e.rest + "/docs)"
	}
	p.line("conferenced is serving in front of an embedded Twilio.\n")
	p.line("  gRPC             %s", e.grpc)
	p.line("  REST             %s%s", e.rest, docs)
	p.line("  admin            %s", e.admin)
	p.line("  embedded Twilio  %s   (open it in a browser)\n", upstream)
	if conference := exampleOf(state); conference != nil {
		p.describe(conference)
		p.showCalls(e, conference)
	}
	p.line("Stop with Ctrl-C.\n")
	return p.String()
}

// showCalls adds commands that mute a participant and put one on hold.
func (p *page) showCalls(e *examples, conference *sandbox.Conference) {
	muted, held := find(conference, "customer"), find(conference, "front desk")
	path := "/v1/conferences/" + conference.SID + "/participants/"
	if e.needed != "" {
		p.line("%s\n", e.needed)
	}
	p.line("Mute %s:\n", nameOf(muted))
	if e.hasReflection {
		p.line("  %s\n", e.grpcurl("UpdateParticipant",
			fmt.Sprintf(`{"conference_sid": "%s", "call_sid": "%s", "muted": true}`, conference.SID, muted.CallSID)))
	}
	p.line("  %s\n", e.curl("PATCH", path+muted.CallSID, `{"muted": true}`))
	p.line("Put %s on hold:\n", nameOf(held))
	p.line("  %s\n", e.curl("PATCH", path+url.PathEscape(nameOf(held)), `{"hold": true}`))
}

// welcomeAlone returns what the sandbox prints when the embedded Twilio runs alone. The
// credentials are those of all accounts, the default one first.
func welcomeAlone(upstream string, state sandbox.State, credentials []sandbox.Credentials) string {
	var p page
	p.line("The embedded Twilio is at %s (open it in a browser).\n", upstream)
	for _, account := range credentials {
		p.line("  TWILIO_ACCOUNT_SID=%s\n  TWILIO_AUTH_TOKEN=%s\n", account.AccountSID, account.AuthToken)
	}
	if conference := exampleOf(state); conference != nil {
		muted := find(conference, "customer")
		p.describe(conference)
		p.line("Mute %s:\n", nameOf(muted))
		p.line("  curl %s/2010-04-01/Accounts/%s/Conferences/%s/Participants/%s.json -u %[2]s:%[5]s -d Muted=true\n",
			shellQuote(upstream), conference.AccountSID, conference.SID, muted.CallSID, credentials[0].AuthToken)
	}
	p.line("Stop with Ctrl-C.")
	return p.String()
}

// describe adds a conference and its participants.
func (p *page) describe(c *sandbox.Conference) {
	p.line("  account          %s", c.AccountSID)
	p.line("  conference       %s, with the participants", c.SID)
	for _, participant := range c.Participants {
		about := participant.Label
		if participant.Hold {
			about = strings.TrimPrefix(about+", on hold", ", ")
		}
		p.line("    %s", strings.TrimSpace(participant.CallSID+"  "+about))
	}
	p.line("")
}

// exampleOf returns the conference that the examples use: the first of the default account
// that is in progress and has participants, or nil.
func exampleOf(state sandbox.State) *sandbox.Conference {
	for _, conference := range state.Accounts[0].Conferences {
		if conference.Status == "in-progress" && len(conference.Participants) > 0 {
			return conference
		}
	}
	return nil
}

// find returns the participant with the label, or the first one.
func find(c *sandbox.Conference, label string) *sandbox.Participant {
	for _, p := range c.Participants {
		if p.Label == label {
			return p
		}
	}
	return c.Participants[0]
}

// nameOf returns the label of a participant, or the Call SID if there is none.
func nameOf(p *sandbox.Participant) string { return cmp.Or(p.Label, p.CallSID) }
