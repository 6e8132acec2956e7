package sandbox

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// diff ignores the sounds that participants hear, which have tests of their own.
func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Participant{}, "HoldSince", "Playing")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestParticipantResource(t *testing.T) {
	s := newStage(t, Config{})
	want := map[string]any{
		"account_sid":               AccountSID,
		"call_sid":                  SupervisorSID,
		"label":                     "supervisor",
		"call_sid_to_coach":         AgentSID,
		"coaching":                  true,
		"conference_sid":            ConferenceSID,
		"date_created":              began,
		"date_updated":              began1,
		"end_conference_on_exit":    true,
		"muted":                     true,
		"hold":                      true,
		"start_conference_on_enter": true,
		"status":                    "connected",
		"queue_time":                nil,
		"uri":                       participantPath(SupervisorSID),
	}
	s.clock.advance(time.Second)
	got := s.update("supervisor", "Muted=true&Hold=true&EndConferenceOnExit=true&CallSidToCoach="+AgentSID)
	diff(t, want, got.json(t))
	diff(t, want, s.get(participantPath(SupervisorSID)).json(t))
}

func TestUnsetPropertiesAreNull(t *testing.T) {
	s := newStage(t, Config{})
	diff(t, map[string]any{
		"account_sid":               AccountSID,
		"call_sid":                  HeldSID,
		"label":                     nil,
		"call_sid_to_coach":         nil,
		"coaching":                  false,
		"conference_sid":            ConferenceSID,
		"date_created":              began,
		"date_updated":              began,
		"end_conference_on_exit":    false,
		"muted":                     false,
		"hold":                      true,
		"start_conference_on_enter": true,
		"status":                    "connected",
		"queue_time":                nil,
		"uri":                       participantPath(HeldSID),
	}, s.get(participantPath(HeldSID)).json(t))
}

func TestQueueTimeIsAString(t *testing.T) {
	s := newStage(t, Config{})
	if _, err := s.AddParticipant(ConferenceSID, Participant{Label: "queued", Status: "queued", QueueTime: "1500"}); err != nil {
		t.Fatal(err)
	}
	got := s.get(participantPath("queued")).json(t)
	diff(t, []any{"queued", "1500"}, []any{got["status"], got["queue_time"]})
}

func TestErrorResource(t *testing.T) {
	s := newStage(t, Config{})
	got := s.get(participantPath("no%20body"))
	diff(t, map[string]any{
		"code":      20404.0,
		"message":   "The requested resource " + participantPath("no%20body") + " was not found",
		"more_info": "https://www.twilio.com/docs/errors/20404",
		"status":    404.0,
	}, got.json(t))
}

func TestAnswersHaveTwiliosHeaders(t *testing.T) {
	s := newStage(t, Config{})
	for _, key := range []string{AgentSID, "nobody"} {
		header := s.get(participantPath(key)).header
		got := map[string]string{}
		for name := range header {
			got[name] = header.Get(name)
		}
		for _, varies := range []string{"Content-Length", "Date", "Twilio-Request-Duration", "Twilio-Request-Id"} {
			if got[varies] == "" {
				t.Errorf("%s is missing", varies)
			}
			delete(got, varies)
		}
		diff(t, map[string]string{
			"Content-Type":                     "application/json",
			"Twilio-Concurrent-Requests":       "1",
			"Access-Control-Allow-Origin":      "*",
			"Access-Control-Allow-Methods":     "GET, POST, DELETE, OPTIONS",
			"Access-Control-Allow-Headers":     "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Unmodified-Since, Idempotency-Key",
			"Access-Control-Allow-Credentials": "true",
			"Access-Control-Expose-Headers":    "ETag",
		}, got)
	}
}

func TestAnswersWithoutJSONSuffixAreXML(t *testing.T) {
	const header = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	s := newStage(t, Config{})
	held := `<Participant><AccountSid>` + AccountSID + `</AccountSid><CallSid>` + HeldSID + `</CallSid>` +
		`<Label></Label><CallSidToCoach></CallSidToCoach><Coaching>false</Coaching>` +
		`<ConferenceSid>` + ConferenceSID + `</ConferenceSid>` +
		`<DateCreated>` + began + `</DateCreated><DateUpdated>` + began + `</DateUpdated>` +
		`<EndConferenceOnExit>false</EndConferenceOnExit><Muted>false</Muted><Hold>true</Hold>` +
		`<StartConferenceOnEnter>true</StartConferenceOnEnter><Status>connected</Status><QueueTime></QueueTime>` +
		`<Uri>` + participantsPath(ConferenceSID) + `/` + HeldSID + `</Uri></Participant>`
	page := participantsPath(ConferenceSID) + "?Hold=true&amp;PageSize=50&amp;Page=0"

	tests := map[string]struct{ path, want string }{
		"a participant": {
			participantsPath(ConferenceSID) + "/" + HeldSID,
			`<TwilioResponse>` + held + `</TwilioResponse>`,
		},
		"a list": {
			participantsPath(ConferenceSID) + "?Hold=true",
			`<TwilioResponse><Participants page="0" pagesize="50" firstpageuri="` + page + `" nextpageuri="" ` +
				`previouspageuri="" uri="` + page + `" start="0" end="0">` + held + `</Participants></TwilioResponse>`,
		},
		"an error": {
			participantsPath(ConferenceSID) + "/nobody",
			`<TwilioResponse><RestException><Code>20404</Code><Message>The requested resource ` +
				participantsPath(ConferenceSID) + `/nobody was not found</Message>` +
				`<MoreInfo>https://www.twilio.com/docs/errors/20404</MoreInfo><Status>404</Status></RestException></TwilioResponse>`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := s.get(test.path)
			diff(t, header+test.want, got.body)
			diff(t, "application/xml", got.header.Get("Content-Type"))
		})
	}
}

func TestHeadHasNoBody(t *testing.T) {
	s := newStage(t, Config{})
	got := s.do(s.request(http.MethodHead, participantPath(AgentSID), ""))
	diff(t, []any{200, ""}, []any{got.status, got.body})
}
