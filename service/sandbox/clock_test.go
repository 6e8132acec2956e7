package sandbox

import (
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"
)

func TestACallIsAnsweredInTime(t *testing.T) {
	tests := map[string]struct {
		step    time.Duration
		advance time.Duration
		status  string
	}{
		"at once":                       {0, 0, "queued"},
		"just before it is placed":      {0, 999 * time.Millisecond, "queued"},
		"when it is placed":             {0, time.Second, "connecting"},
		"when it rings":                 {0, 2 * time.Second, "ringing"},
		"just before it is answered":    {0, 2999 * time.Millisecond, "ringing"},
		"when it is answered":           {0, 3 * time.Second, "connected"},
		"long after":                    {0, time.Hour, "connected"},
		"while it rings, in slow steps": {time.Minute, 150 * time.Second, "ringing"},
		"when it is quickly answered":   {time.Millisecond, 3 * time.Millisecond, "connected"},
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

func TestWhoeverAnswersFirstStartsTheConference(t *testing.T) {
	s := newStage(t, Config{})
	began := newClock().now
	s.create("New", calling(url.Values{"Label": {"guest"}, "StartConferenceOnEnter": {"false"}}))
	s.Advance(5 * time.Second)
	made := s.conference("New")
	diff(t, []any{"init", began}, []any{made.Status, made.DateUpdated})
	diff(t, "400/16099", s.do(s.request("POST", participantsPath(made.SID)+"/guest.json", "Muted=true")).outcome())

	s.create("New", calling(url.Values{"Label": {"host"}}))
	s.Advance(time.Minute)
	made = s.conference("New")
	diff(t, []any{"in-progress", began.Add(8 * time.Second)}, []any{made.Status, made.DateUpdated})
	diff(t, began.Add(8*time.Second), made.participant("host").DateUpdated)
	diff(t, "200", s.do(s.request("POST", participantsPath(made.SID)+"/guest.json", "Muted=true")).outcome())
}

func TestSomebodyAddedAndConnectedStartsTheConference(t *testing.T) {
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

func TestSeededStatusesStay(t *testing.T) {
	s := newStage(t, Config{})
	s.Advance(time.Hour)
	diff(t, "connecting", s.conference("Not started").Participants[0].Status)
}

func TestTheClockMovesOnAndResetTakesItBack(t *testing.T) {
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

func TestAnAlarmIsSetForTheRealClockOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		dialled := func() Participant {
			s.mu.Lock() // not State, which would itself let happen what is due
			defer s.mu.Unlock()
			all := s.world.conference(ConferenceSID).Participants
			return *all[len(all)-1].clone()
		}
		placeCall(t, s)
		for _, want := range []string{"queued", "connecting", "ringing", "connected"} {
			diff(t, want, dialled().Status)
			<-time.After(time.Second) // the bubble's, which takes no time
			synctest.Wait()
		}
		placeCall(t, s)
		s.Close()
		<-time.After(time.Hour)
		synctest.Wait()
		diff(t, "queued", dialled().Status)
	})
}
