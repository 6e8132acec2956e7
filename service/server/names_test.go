package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// TestNamesInTheLog has calls that name their conference: the log has the SID of the
// conference, and not the name.
func TestNamesInTheLog(t *testing.T) {
	r := start(t)
	for _, way := range bothWays {
		way.call(t, t.Context(), r, to("agent", &request{ConferenceSid: "name:Support", Muted: yes}))
		way.call(t, t.Context(), r, to("nobody", &request{ConferenceSid: "name:Support", Muted: yes}))
		way.call(t, t.Context(), r, to("agent", &request{ConferenceSid: "name:Sales", Muted: yes}))
	}
	for name, call := range ways {
		if _, got := call(t, r, &conferencev1.ListParticipantsRequest{ConferenceSid: "name:Support"}); got.status != nil {
			t.Errorf("%s: %v", name, got.status)
		}
	}
	var seen []string
	for _, line := range r.log.lines(t, "call") {
		seen = append(seen, line.text("conference_sid"))
	}
	const sid = sandbox.ConferenceSID
	if got, want := strings.Join(seen, " "), strings.Join([]string{sid, sid, "", sid, sid, "", sid, sid}, " "); got != want {
		t.Errorf("the lines have %q, want %q", got, want)
	}
	checkUnsaid(t, r.log.String(), "Support")
	checkUnsaid(t, r.log.String(), "Sales")
}

// TestAmbiguousName: Twilio lists two conferences in progress with the name.
func TestAmbiguousName(t *testing.T) {
	r := start(t)
	const listed = `{"conferences": [
		{"sid": "CF00000000000000000000000000000001", "friendly_name": "Twins", "status": "in-progress"},
		{"sid": "CF00000000000000000000000000000002", "friendly_name": "Twins", "status": "in-progress"}]}`
	twins := sandbox.Fault{Status: http.StatusOK, Body: json.RawMessage(listed)}
	if err := r.box.Arm(sandbox.Rule{Operation: "list-conferences", Fault: twins}); err != nil {
		t.Fatal(err)
	}
	const name = "name:Twins"
	want := refusal{kind: outcome.ConferenceAmbiguous, detail: "use the SID of one of them"}
	for _, way := range bothWays {
		want.check(t, way.call(t, t.Context(), r, to("agent", &request{ConferenceSid: name, Muted: yes, WaitForParticipant: true})))
	}
	for _, call := range bulkWays {
		_, got := call(t, r, all(&bulk{ConferenceSid: name}))
		want.check(t, got)
	}
	for _, call := range ways {
		for _, message := range []proto.Message{
			&conferencev1.GetParticipantRequest{ConferenceSid: name, CallSid: "agent"},
			&conferencev1.ListParticipantsRequest{ConferenceSid: name},
			&conferencev1.RemoveParticipantRequest{ConferenceSid: name, CallSid: "agent"},
		} {
			_, got := call(t, r, message)
			want.check(t, got)
		}
	}
}

// TestRequestIDOfANameAfterTheConference repeats a call after its conference has ended.
func TestRequestIDOfANameAfterTheConference(t *testing.T) {
	r := start(t)
	update := to(sandbox.AgentSID, &request{
		ConferenceSid: "name:Support", Muted: yes, RequestId: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
	})
	first := callGRPC(t, t.Context(), r, update)
	if first.status != nil {
		t.Fatal(first.status)
	}
	for _, name := range []string{sandbox.AgentSID, sandbox.CustomerSID, sandbox.SupervisorSID, sandbox.FrontDeskSID, sandbox.HeldSID} {
		r.box.HangUp(sandbox.ConferenceSID, name) // The last one ends the conference.
	}
	for _, way := range bothWays {
		checkResponse(t, way.call(t, t.Context(), r, update), mutedAgent(), nil)
	}
	update.RequestId = ""
	noConference("name%3ASupport").check(t, callGRPC(t, t.Context(), r, update))
}

// mutedAgent returns the agent of a new sandbox, after it was muted.
func mutedAgent() *sandbox.Participant {
	agent := participantIn(sandbox.New(sandbox.Config{}).State(), sandbox.AgentSID)
	agent.DateCreated, agent.DateUpdated, agent.Muted = seededAt, seededAt, true
	return agent
}

func TestWaitForParticipant(t *testing.T) {
	for _, way := range bothWays {
		for _, conference := range []string{sandbox.ConferenceSID, "name:Support"} {
			t.Run(way.name+"/"+conference, func(t *testing.T) {
				r := start(t)
				joining := sandbox.Participant{Label: "expert", StartConferenceOnEnter: true}
				joined := make(chan error, 1)
				go func() {
					_, err := r.box.AddParticipant(sandbox.ConferenceSID, joining)
					joined <- err
				}()
				got := way.call(t, t.Context(), r, to("expert", &request{
					ConferenceSid: conference, Muted: yes, WaitForParticipant: true,
				}))
				if err := await(t, joined, "the participant to join"); err != nil {
					t.Fatal(err)
				}
				checkResponse(t, got, participantIn(r.box.State(), "expert"), nil)
			})
		}
	}
}

// TestWaitUntilTheDeadline has updates whose conference or participant does not come.
func TestWaitUntilTheDeadline(t *testing.T) {
	r := start(t)
	send := func(conference, participant string) (got reply) {
		tryLonger(func(timeout time.Duration) bool {
			got = sendREST(t, t.Context(), r, http.MethodPatch, "/v1/conferences/"+conference+"/participants/"+participant,
				`{"muted": true, "wait_for_participant": true}`, "Grpc-Timeout", fmt.Sprintf("%dm", timeout.Milliseconds()))
			return got.code != outcome.Deadline.HTTP
		})
		return got
	}
	noConference("name%3ASales").check(t, send("name:Sales", "agent"))
	path := "/2010-04-01/Accounts/" + sandbox.AccountSID + "/Conferences/" + sandbox.ConferenceSID + "/Participants/nobody.json"
	refusal{
		kind: outcome.ParticipantNotFound, twilioStatus: 404, twilioCode: 20404, resource: path,
		detail: "The requested resource " + strings.Replace(path, "nobody", "[redacted]", 1) + " was not found",
	}.check(t, send("name:Support", "nobody"))
}
