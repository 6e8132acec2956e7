package sandbox

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

func TestCallProgress(t *testing.T) {
	tests := map[string]struct {
		step    time.Duration
		advance time.Duration
		status  string
	}{
		"at the start":           {0, 0, "queued"},
		"just before connecting": {0, 999 * time.Millisecond, "queued"},
		"connecting":             {0, time.Second, "connecting"},
		"ringing":                {0, 2 * time.Second, "ringing"},
		"just before connected":  {0, 2999 * time.Millisecond, "ringing"},
		"connected":              {0, 3 * time.Second, "connected"},
		"long after":             {0, time.Hour, "connected"},
		"long steps":             {time.Minute, 150 * time.Second, "ringing"},
		"short steps":            {time.Millisecond, 3 * time.Millisecond, "connected"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, way := range []string{"advance", "clock"} {
				s := newStage(t, Config{CallStep: test.step})
				s.create("New", calling(url.Values{"Label": {"guest"}}))
				if way == "advance" {
					s.Advance(test.advance)
				} else {
					s.clock.advance(test.advance)
				}
				sid := s.conference("New").SID
				diff(t, any(test.status), s.get(participantsPath(sid) + "/guest.json").json(t)["status"])
			}
		})
	}
}

func TestStartOfConference(t *testing.T) {
	tests := map[string]struct {
		others bool   // A participant is there that the API has not created.
		starts string // StartConferenceOnEnter of the one that it creates.
		want   string
	}{
		"the first of participants that the API creates": {false, "false", "in-progress"},
		"a participant that starts it":                   {true, "true", "in-progress"},
		"a participant that does not start it":           {true, "false", "init"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			conference := "New"
			if test.others {
				conference = "Not started"
			}
			s.create(url.PathEscape(conference), calling(url.Values{"Label": {"guest"}, "StartConferenceOnEnter": {test.starts}}))
			s.Advance(2 * time.Second)
			diff(t, "init", s.conference(conference).Status)
			sid := s.conference(conference).SID
			diff(t, "400/16099", s.do(s.request("POST", participantsPath(sid)+"/guest.json", "Muted=true")).outcome())
			s.Advance(3 * time.Second)
			made := s.conference(conference)
			diff(t, test.want, made.Status)
			if test.want == "in-progress" {
				diff(t, newClock().now.Add(3*time.Second), made.DateUpdated)
				diff(t, "200", s.do(s.request("POST", participantsPath(sid)+"/guest.json", "Muted=true")).outcome())
			}
		})
	}
}

func TestAddedParticipantStartsConference(t *testing.T) {
	s := newStage(t, Config{})
	for _, p := range []Participant{{Label: "guest"}, {Label: "late", StartConferenceOnEnter: true, Status: "ringing"}} {
		if _, err := s.AddParticipant(InitConferenceSID, p); err != nil {
			t.Fatal(err)
		}
		diff(t, "init", s.conference("Not started").Status)
	}
	if _, err := s.AddParticipant(InitConferenceSID, Participant{Label: "host", StartConferenceOnEnter: true}); err != nil {
		t.Fatal(err)
	}
	diff(t, "in-progress", s.conference("Not started").Status)
}

func TestStatusesOfInitialStateStay(t *testing.T) {
	s := newStage(t, Config{})
	s.Advance(time.Hour)
	diff(t, "connecting", s.conference("Not started").Participants[0].Status)
}

func TestAdvanceAndReset(t *testing.T) {
	s := newStage(t, Config{})
	began := newClock().now
	diff(t, 204, s.do(s.request(http.MethodPost, "/sandbox/advance", "by=1m30s")).status)
	s.Advance(-time.Hour)
	s.update(AgentSID, "Muted=true")
	diff(t, began.Add(90*time.Second), s.participant(AgentSID).DateUpdated)
	s.Reset()
	s.update(AgentSID, "Muted=true")
	diff(t, began, s.participant(AgentSID).DateUpdated)
}
