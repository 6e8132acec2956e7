package sandbox

import (
	"fmt"
	"strings"
	"testing"
)

func TestAddParticipantSetsDefaults(t *testing.T) {
	s := newStage(t, Config{})
	got, err := s.AddParticipant(ConferenceSID, Participant{Label: "guest", EndConferenceOnExit: true})
	if err != nil {
		t.Fatal(err)
	}
	now := newClock().now
	diff(t, Participant{
		CallSID:                      "CAd282390240163dbf6e226378d325b228",
		Label:                        "guest",
		Status:                       "connected",
		HoldMethod:                   "GET",
		WaitMethod:                   "POST",
		Announcements:                []Announcement{},
		EndConferenceOnExit:          true,
		EffectiveEndConferenceOnExit: true,
		DateCreated:                  now,
		DateUpdated:                  now,
	}, got)
	diff(t, &got, s.participant("guest"))
}

func TestAddParticipantErrors(t *testing.T) {
	tests := map[string]struct {
		conference string
		p          Participant
		want       string
	}{
		"an unknown conference":                  {"CF0", Participant{}, `no conference "CF0"`},
		"a completed conference":                 {CompletedConferenceSID, Participant{}, "the conference has completed"},
		"a malformed Call SID":                   {ConferenceSID, Participant{CallSID: "CA1"}, `malformed Call SID "CA1"`},
		"a Call SID that is taken":               {ConferenceSID, Participant{CallSID: AgentSID}, "is taken"},
		"a label that is taken":                  {ConferenceSID, Participant{Label: "agent"}, `the label "agent" is taken`},
		"a label that is too long":               {ConferenceSID, Participant{Label: strings.Repeat("é", 129)}, "at most 128 characters"},
		"a label that is not UTF-8":              {ConferenceSID, Participant{Label: "\xff"}, "not text"},
		"a label with a slash":                   {ConferenceSID, Participant{Label: "a/b"}, "has a slash"},
		"a label that is a Call SID":             {ConferenceSID, Participant{Label: "CA" + strings.Repeat("0", 32)}, "looks like a Call SID"},
		"an unknown fault":                       {ConferenceSID, Participant{Label: "fault:502"}, "names no fault"},
		"a fault with a value":                   {ConferenceSID, Participant{Label: "fault:503=1s"}, "names no fault"},
		"no fault":                               {ConferenceSID, Participant{Label: "fault:"}, "names no fault"},
		"a slow fault without a duration":        {ConferenceSID, Participant{Label: "fault:slow"}, "names no fault"},
		"a slow fault of 0s":                     {ConferenceSID, Participant{Label: "fault:slow=0s"}, "needs a duration"},
		"a slow fault of more than a minute":     {ConferenceSID, Participant{Label: "fault:slow=61s"}, "needs a duration"},
		"a slow fault with a malformed duration": {ConferenceSID, Participant{Label: "fault:slow=soon"}, "needs a duration"},
		"a fault zero times":                     {ConferenceSID, Participant{Label: "fault:429x0"}, "names no fault"},
	}
	s := New(Config{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := s.AddParticipant(test.conference, test.p)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestAddParticipantToFullConference(t *testing.T) {
	s := newStage(t, Config{})
	for i := range maxParticipants - 5 {
		if _, err := s.AddParticipant(ConferenceSID, Participant{}); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := s.AddParticipant(ConferenceSID, Participant{}); err == nil {
		t.Error("got no error")
	}
	diff(t, "404/20404", s.update("fault:503", "Muted=true").outcome())
}

func TestAddParticipantCopies(t *testing.T) {
	s := newStage(t, Config{})
	mine := Participant{Label: "mine", WaitURL: new("http://example.com/"), Announcements: []Announcement{{URL: "http://example.com/"}}}
	if _, err := s.AddParticipant(ConferenceSID, mine); err != nil {
		t.Fatal(err)
	}
	*mine.WaitURL, mine.Announcements[0].URL = "changed", "changed"
	got := s.participant("mine")
	diff(t, "http://example.com/ http://example.com/", fmt.Sprint(*got.WaitURL, " ", got.Announcements[0].URL))
}
