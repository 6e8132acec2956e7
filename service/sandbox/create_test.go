package sandbox

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// create posts a form to the participants of a conference, given by SID or by
// escaped friendly name.
func (s *stage) create(conference string, form url.Values) reply {
	s.t.Helper()
	return s.do(s.request(http.MethodPost, participantsPath(conference)+".json", form.Encode()))
}

// calling returns the form of a create request with the required fields.
func calling(more url.Values) url.Values {
	form := url.Values{"From": {"+15017122661"}, "To": {"+15558675310"}}
	maps.Copy(form, more)
	return form
}

// conference returns the state of a conference of the default account.
func (s *stage) conference(name string) *Conference {
	s.t.Helper()
	for _, c := range s.State().Accounts[0].Conferences {
		if c.FriendlyName == name {
			return c
		}
	}
	s.t.Fatalf("no conference %q", name)
	return nil
}

func TestCreatedParticipantResource(t *testing.T) {
	s := newStage(t, Config{})
	got := s.create(ConferenceSID, calling(url.Values{"Label": {"Zoë 100%"}, "Muted": {"true"}, "EndConferenceOnExit": {"true"}}))
	sid := s.participant("Zoë 100%").CallSID
	want := map[string]any{
		"account_sid":               AccountSID,
		"call_sid":                  sid,
		"label":                     "Zoë 100%",
		"call_sid_to_coach":         nil,
		"coaching":                  false,
		"conference_sid":            ConferenceSID,
		"date_created":              began,
		"date_updated":              began,
		"end_conference_on_exit":    true,
		"muted":                     true,
		"hold":                      false,
		"start_conference_on_enter": true,
		"status":                    "queued",
		"queue_time":                "1000",
		"uri":                       participantPath(sid),
	}
	diff(t, 201, got.status)
	diff(t, want, got.json(t))
	want["queue_time"] = nil
	diff(t, want, s.get(participantPath(sid)).json(t))
	diff(t, want, s.get(participantPath("Zo%C3%AB%20100%25")).json(t))
	diff(t, 0, len(s.Journal()))
}

func TestCreateSetsProperties(t *testing.T) {
	began := newClock().now
	music := "https://example.com/music.mp3"
	tests := map[string]struct {
		form   url.Values
		change func(p *Participant)
	}{
		"required fields only": {nil, func(*Participant) {}},
		"a label":              {url.Values{"Label": {"guest"}}, func(p *Participant) { p.Label = "guest" }},
		"muted":                {url.Values{"Muted": {"true"}}, func(p *Participant) { p.Muted = true }},
		"not starting the conference": {
			url.Values{"StartConferenceOnEnter": {"false"}}, func(p *Participant) { p.StartConferenceOnEnter = false },
		},
		"ending the conference": {
			url.Values{"EndConferenceOnExit": {"true"}},
			func(p *Participant) { p.EndConferenceOnExit, p.EffectiveEndConferenceOnExit = true, true },
		},
		"no beep":           {url.Values{"Beep": {"false"}}, func(p *Participant) { p.BeepOnEnter, p.BeepOnExit = false, false }},
		"a beep":            {url.Values{"Beep": {"true"}}, func(*Participant) {}},
		"a beep on enter":   {url.Values{"Beep": {"onEnter"}}, func(p *Participant) { p.BeepOnExit = false }},
		"a beep on exit":    {url.Values{"Beep": {"onExit"}}, func(p *Participant) { p.BeepOnEnter = false }},
		"wait music":        {url.Values{"WaitUrl": {music}, "WaitMethod": {"GET"}}, func(p *Participant) { p.WaitURL, p.WaitMethod = &music, "GET" }},
		"an empty wait URL": {url.Values{"WaitUrl": {""}}, func(p *Participant) { p.WaitURL = new("") }},
		"coaching":          {url.Values{"CallSidToCoach": {AgentSID}}, func(p *Participant) { p.Coaching, p.CallSIDToCoach = true, AgentSID }},
		"ignored fields":    {url.Values{"Hold": {"true"}, "Timeout": {"30"}, "Record": {"true"}, "StatusCallback": {"https://example.com/calls"}}, func(*Participant) {}},
		"fields for a new conference": {
			url.Values{"ConferenceStatusCallback": {"https://example.com/events"}, "MaxParticipants": {"2"}}, func(*Participant) {},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			diff(t, "201", s.create(ConferenceSID, calling(test.form)).outcome())
			want := Participant{
				From: "+15017122661", To: "+15558675310",
				Status: "queued", StatusDue: began.Add(time.Second),
				HoldMethod: "GET", WaitMethod: "POST", Announcements: []Announcement{},
				BeepOnEnter: true, BeepOnExit: true, StartConferenceOnEnter: true,
				DateCreated: began, DateUpdated: began,
			}
			test.change(&want)
			all := s.conference("Support").Participants
			got := all[len(all)-1]
			want.CallSID = got.CallSID // See TestSIDsAreTheSameInEveryRun.
			diff(t, &want, got)
		})
	}
}

func TestRefusedCreateChangesNothing(t *testing.T) {
	tests := map[string]struct {
		conference string
		form       url.Values
		want       string
	}{
		"no To":                                        {ConferenceSID, url.Values{"To": {""}}, "400/21201"},
		"no From":                                      {ConferenceSID, url.Values{"From": {""}}, "400/21213"},
		"a label that is taken":                        {ConferenceSID, url.Values{"Label": {"front desk"}}, "400/16026"},
		"an empty label":                               {ConferenceSID, url.Values{"Label": {""}}, "400/16024"},
		"a label that is too long":                     {ConferenceSID, url.Values{"Label": {strings.Repeat("é", 129)}}, "400/16024"},
		"a label with a slash":                         {ConferenceSID, url.Values{"Label": {"a/b"}}, "400/16024"},
		"a label with an escaped slash":                {ConferenceSID, url.Values{"Label": {"a%2fb"}}, "400/16024"},
		"a label like a Call SID":                      {ConferenceSID, url.Values{"Label": {"CA" + strings.Repeat("0", 32)}}, "400/16024"},
		"a label that is not UTF-8":                    {ConferenceSID, url.Values{"Label": {"\xff"}}, "400/16024"},
		"a malformed fault label":                      {ConferenceSID, url.Values{"Label": {"fault:nothing"}}, "400/16024"},
		"an unknown beep":                              {ConferenceSID, url.Values{"Beep": {"loud"}}, "400/20001"},
		"an invalid wait URL":                          {ConferenceSID, url.Values{"WaitUrl": {"music"}}, "400/21205"},
		"an invalid wait method":                       {ConferenceSID, url.Values{"WaitMethod": {"PUT"}}, "400/21209"},
		"an invalid status callback":                   {ConferenceSID, url.Values{"StatusCallback": {"calls"}}, "400/21205"},
		"an invalid status callback method":            {ConferenceSID, url.Values{"StatusCallbackMethod": {"PUT"}}, "400/21209"},
		"coaching without a Call SID":                  {ConferenceSID, url.Values{"Coaching": {"true"}}, "400/20001"},
		"coaching a participant on hold":               {ConferenceSID, url.Values{"CallSidToCoach": {HeldSID}}, "400/16027"},
		"coaching a participant of another conference": {ConferenceSID, url.Values{"CallSidToCoach": {ConnectingSID}}, "400/16028"},
		"a completed conference":                       {CompletedConferenceSID, nil, "404/16022"},
		"an unknown conference":                        {"CF" + strings.Repeat("0", 32), nil, "404/16022"},
		"a name that is too long":                      {strings.Repeat("n", 129), nil, "404/20404"},
		"a name that is not UTF-8":                     {"%ff", nil, "404/20404"},
		"too few participants":                         {"New", url.Values{"MaxParticipants": {"1"}}, "400/20001"},
		"too many participants":                        {"New", url.Values{"MaxParticipants": {"251"}}, "400/20001"},
		"a malformed number of participants":           {"New", url.Values{"MaxParticipants": {"many"}}, "400/20001"},
		"events to another host":                       {"New", url.Values{"ConferenceStatusCallback": {"https://example.com/events"}}, "400/21205"},
		"events to a malformed URL":                    {"New", url.Values{"ConferenceStatusCallback": {"events"}}, "400/21205"},
		"events by an invalid method":                  {"New", url.Values{"ConferenceStatusCallbackMethod": {"PUT"}}, "400/21209"},
		"unknown events": {
			"New", url.Values{"ConferenceStatusCallback": {"http://localhost/"}, "ConferenceStatusCallbackEvent": {"start ring"}}, "400/20001",
		},
	}
	s := newStage(t, Config{})
	want := s.State()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			diff(t, test.want, s.create(test.conference, calling(test.form)).outcome())
			diff(t, want, s.State())
		})
	}
}

func TestMessageForCallbackToAnotherHost(t *testing.T) {
	s := newStage(t, Config{})
	got := s.create("New", calling(url.Values{"ConferenceStatusCallback": {"https://example.com/events"}})).json(t)
	diff(t, any("ConferenceStatusCallback must be on loopback, such as http://127.0.0.1:8080/: the sandbox calls no other host"), got["message"])
}

func TestFriendlyNameFindsOrCreatesConference(t *testing.T) {
	s := newStage(t, Config{})
	name := url.PathEscape("Zoë's room 1")
	first := s.create(name, calling(nil)).json(t)
	second := s.create(name, calling(nil)).json(t)
	diff(t, first["conference_sid"], second["conference_sid"])
	if first["call_sid"] == second["call_sid"] {
		t.Error("both participants have the same Call SID")
	}
	sid := first["conference_sid"].(string)
	diff(t, any(participantsPath(sid)+"/"+first["call_sid"].(string)+".json"), first["uri"])
	made := s.conference("Zoë's room 1")
	diff(t, []any{sid, "init", "us1", 250, 2}, []any{made.SID, made.Status, made.Region, made.MaxParticipants, len(made.Participants)})

	diff(t, any(ConferenceSID), s.create("Support", calling(nil)).json(t)["conference_sid"])
	over := s.create("Over", calling(nil)).json(t)["conference_sid"]
	if over == CompletedConferenceSID {
		t.Error("the completed conference is used")
	}
}

func TestSIDsAreTheSameInEveryRun(t *testing.T) {
	s := newStage(t, Config{})
	first := s.create("New", calling(nil)).json(t)
	s.Reset()
	diff(t, first, s.create("New", calling(nil)).json(t))
}

func TestLabelCanBeReusedAfterItsParticipantLeft(t *testing.T) {
	s := newStage(t, Config{})
	first := s.create(ConferenceSID, calling(url.Values{"Label": {"guest"}})).json(t)
	diff(t, "400/16026", s.create(ConferenceSID, calling(url.Values{"Label": {"guest"}})).outcome())
	diff(t, 204, s.do(s.request(http.MethodDelete, participantPath("guest"), "")).status)
	second := s.create(ConferenceSID, calling(url.Values{"Label": {"guest"}})).json(t)
	if first["call_sid"] == second["call_sid"] {
		t.Error("both calls have the same SID")
	}
}

func TestFullConferenceRefusesCreate(t *testing.T) {
	s := newStage(t, Config{})
	for range maxParticipants - 5 {
		if _, err := s.AddParticipant(ConferenceSID, Participant{}); err != nil {
			t.Fatal(err)
		}
	}
	diff(t, "400/16020", s.create(ConferenceSID, calling(nil)).outcome())
	s.HangUp(ConferenceSID, HeldSID)
	diff(t, "201", s.create(ConferenceSID, calling(nil)).outcome())

	for range 2 {
		diff(t, "201", s.create("Two", calling(url.Values{"MaxParticipants": {"2"}})).outcome())
	}
	diff(t, "400/16020", s.create("Two", calling(url.Values{"MaxParticipants": {"3"}})).outcome())
}

func TestConfigFaultsApplyToCreate(t *testing.T) {
	for kind, want := range map[FaultKind]string{FailAfter: "500/20500", Truncated: "201 cut short"} {
		s := newStage(t, Config{Fault: func(*http.Request) Fault { return Fault{Kind: kind} }})
		got, err := s.try(s.request(http.MethodPost, participantsPath(ConferenceSID)+".json", calling(nil).Encode()))
		outcome := got.outcome()
		if err != nil {
			outcome += " cut short"
		}
		diff(t, want, outcome)
		diff(t, 6, len(s.conference("Support").Participants))
	}
}
