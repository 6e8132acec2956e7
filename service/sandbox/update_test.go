package sandbox

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestUpdateChangesNamedProperties(t *testing.T) {
	now := newClock().now.Add(time.Second)
	music := "https://example.com/music.mp3#rc=2&ct=3000"
	tests := map[string]struct {
		key    string
		form   url.Values
		change func(p *Participant)
	}{
		"muted":                         {AgentSID, url.Values{"Muted": {"true"}}, func(p *Participant) { p.Muted = true }},
		"muted, in capitals":            {AgentSID, url.Values{"Muted": {"TRUE"}}, func(p *Participant) { p.Muted = true }},
		"muted, neither true nor false": {AgentSID, url.Values{"Muted": {"yes"}}, func(*Participant) {}},
		"muted, empty":                  {AgentSID, url.Values{"Muted": {""}}, func(*Participant) {}},
		"the first of two values":       {AgentSID, url.Values{"Muted": {"true", "false"}}, func(p *Participant) { p.Muted = true }},
		"hold":                          {AgentSID, url.Values{"Hold": {"true"}}, func(p *Participant) { p.Hold = true }},
		"off hold":                      {HeldSID, url.Values{"Hold": {"false"}}, func(p *Participant) { p.Hold = false }},
		"hold with music": {
			AgentSID, url.Values{"Hold": {"true"}, "HoldUrl": {music}, "HoldMethod": {"POST"}},
			func(p *Participant) { p.Hold, p.HoldURL, p.HoldMethod = true, music, "POST" },
		},
		"an announcement": {
			AgentSID, url.Values{"AnnounceUrl": {music}},
			func(p *Participant) {
				p.Announcements = []Announcement{{URL: music, Method: "POST", Time: now, Ends: now.Add(defaultDuration)}}
			},
		},
		"an announcement by GET": {
			AgentSID, url.Values{"AnnounceUrl": {music}, "AnnounceMethod": {"GET"}},
			func(p *Participant) {
				p.Announcements = []Announcement{{URL: music, Method: "GET", Time: now, Ends: now.Add(defaultDuration)}}
			},
		},
		"an empty announcement URL": {AgentSID, url.Values{"AnnounceUrl": {""}}, func(*Participant) {}},
		"a wait URL": {
			AgentSID, url.Values{"WaitUrl": {music}, "WaitMethod": {"GET"}},
			func(p *Participant) { p.WaitURL, p.WaitMethod = new(music), "GET" },
		},
		"an empty wait URL": {AgentSID, url.Values{"WaitUrl": {""}}, func(p *Participant) { p.WaitURL = new("") }},
		"a beep":            {AgentSID, url.Values{"BeepOnExit": {"true"}}, func(p *Participant) { p.BeepOnExit = true }},
		"ending the conference": {
			CustomerSID, url.Values{"EndConferenceOnExit": {"true"}},
			func(p *Participant) { p.EndConferenceOnExit, p.EffectiveEndConferenceOnExit = true, true },
		},
		"ending the conference, going on hold": {
			CustomerSID, url.Values{"EndConferenceOnExit": {"true"}, "Hold": {"true"}},
			func(p *Participant) {
				p.Hold, p.EndConferenceOnExit, p.EffectiveEndConferenceOnExit = true, true, true
			},
		},
		"ending the conference, on hold": {
			HeldSID, url.Values{"EndConferenceOnExit": {"true"}},
			func(p *Participant) { p.EndConferenceOnExit = true },
		},
		"ending the conference, coming off hold": {
			HeldSID, url.Values{"EndConferenceOnExit": {"true"}, "Hold": {"false"}},
			func(p *Participant) {
				p.Hold, p.EndConferenceOnExit, p.EffectiveEndConferenceOnExit = false, true, true
			},
		},
		"coaching": {
			SupervisorSID, url.Values{"Coaching": {"true"}, "CallSidToCoach": {AgentSID}},
			func(p *Participant) { p.Coaching, p.CallSIDToCoach = true, AgentSID },
		},
		"coaching, implied": {
			SupervisorSID, url.Values{"CallSidToCoach": {AgentSID}},
			func(p *Participant) { p.Coaching, p.CallSIDToCoach = true, AgentSID },
		},
		"Coaching=false with a Call SID": {
			SupervisorSID, url.Values{"Coaching": {"false"}, "CallSidToCoach": {HeldSID}}, func(*Participant) {},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			want := s.participant(test.key)
			s.clock.advance(time.Second)
			if got := s.update(test.key, test.form.Encode()).outcome(); got != "200" {
				t.Fatalf("answered %s, want 200", got)
			}
			want.DateUpdated = now
			test.change(want)
			diff(t, want, s.participant(test.key))
		})
	}
}

func TestUpdateWithoutPropertiesChangesNothing(t *testing.T) {
	for name, form := range map[string]string{
		"no field":                   "",
		"an unknown field":           "Mute=true",
		"a field in another case":    "muted=true",
		"an empty Call SID to coach": "CallSidToCoach=",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			want := s.participant(AgentSID)
			s.clock.advance(time.Second)
			diff(t, "200", s.update(AgentSID, form).outcome())
			diff(t, want, s.participant(AgentSID))
			diff(t, 1, len(s.Journal()))
		})
	}
}

func TestRepeatedAnnouncementIsPlayedEachTime(t *testing.T) {
	s := newStage(t, Config{})
	for range 3 {
		s.update(CustomerSID, "AnnounceUrl=http://example.com/again.mp3")
	}
	diff(t, 3, len(s.participant(CustomerSID).Announcements))
	diff(t, 0, len(s.participant(AgentSID).Announcements))
}

func TestEndConferenceOnExitOnHoldIsShownAndNotInEffect(t *testing.T) {
	s := newStage(t, Config{})
	shown := s.update(HeldSID, "EndConferenceOnExit=true").json(t)["end_conference_on_exit"]
	s.update(HeldSID, "Hold=false")
	s.update(HeldSID, "Muted=true")
	held := s.participant(HeldSID)
	diff(t, []any{true, true, false}, []any{shown, held.EndConferenceOnExit, held.EffectiveEndConferenceOnExit})

	s.update(HeldSID, "EndConferenceOnExit=true")
	diff(t, true, s.participant(HeldSID).EffectiveEndConferenceOnExit)
}

func TestCoachingFalseRemovesCallSidToCoach(t *testing.T) {
	s := newStage(t, Config{})
	s.update(SupervisorSID, "CallSidToCoach="+AgentSID)
	s.update(SupervisorSID, "Muted=true")
	p := s.participant(SupervisorSID)
	diff(t, []any{true, AgentSID}, []any{p.Coaching, p.CallSIDToCoach})
	s.update(SupervisorSID, "Coaching=false")
	p = s.participant(SupervisorSID)
	diff(t, []any{false, ""}, []any{p.Coaching, p.CallSIDToCoach})
}

func TestRefusedUpdateChangesNothing(t *testing.T) {
	long := "http://example.com/" + strings.Repeat("x", maxURL)
	tests := map[string]struct {
		form url.Values
		want string
	}{
		"a relative URL":                               {url.Values{"HoldUrl": {"/music.mp3"}}, "400/21205"},
		"a URL of another scheme":                      {url.Values{"AnnounceUrl": {"ftp://example.com/a"}}, "400/21205"},
		"a URL without a host":                         {url.Values{"WaitUrl": {"http:///a"}}, "400/21205"},
		"a URL that cannot be read":                    {url.Values{"WaitUrl": {"http://a b/"}}, "400/21205"},
		"a URL that is too long":                       {url.Values{"HoldUrl": {long}}, "400/21205"},
		"an invalid hold method":                       {url.Values{"HoldMethod": {"PUT"}}, "400/21209"},
		"an invalid announce method":                   {url.Values{"AnnounceMethod": {"post"}}, "400/21209"},
		"an empty wait method":                         {url.Values{"WaitMethod": {""}}, "400/21209"},
		"coaching without a Call SID":                  {url.Values{"Coaching": {"true"}}, "400/20001"},
		"coaching an empty Call SID":                   {url.Values{"Coaching": {"true"}, "CallSidToCoach": {""}}, "400/20001"},
		"coaching a participant on hold":               {url.Values{"CallSidToCoach": {HeldSID}}, "400/16027"},
		"coaching a participant of another conference": {url.Values{"CallSidToCoach": {ConnectingSID}}, "400/16028"},
		"coaching a label":                             {url.Values{"CallSidToCoach": {"agent"}}, "400/16028"},
		"coaching a participant that is not connected": {url.Values{"CallSidToCoach": {"CA" + strings.Repeat("9", 32)}}, "400/16028"},
		"two errors, the first counts":                 {url.Values{"HoldUrl": {"no"}, "WaitMethod": {"no"}}, "400/21205"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			// It cannot be coached: it is not connected.
			absent := Participant{CallSID: "CA" + strings.Repeat("9", 32), Status: "ringing"}
			if _, err := s.AddParticipant(ConferenceSID, absent); err != nil {
				t.Fatal(err)
			}
			want := s.State()
			test.form.Set("Muted", "true")
			if !test.form.Has("AnnounceUrl") {
				test.form.Set("AnnounceUrl", "http://example.com/a.mp3")
			}
			diff(t, test.want, s.update(AgentSID, test.form.Encode()).outcome())
			diff(t, want, s.State())
		})
	}
}
