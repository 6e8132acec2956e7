package service

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/twilio"
)

func TestConfirm(t *testing.T) {
	const (
		early, late = "Sun, 01 Mar 2026 12:00:00 +0000", "Sun, 01 Mar 2026 12:00:01 +0000"
		coached     = "CA0000000000000000000000000000000a"
	)
	yes, no := proto.Bool(true), proto.Bool(false)
	shown := func(date string, p twilio.Participant) *twilio.Participant {
		p.DateUpdated = &date
		return &p
	}
	muting := &request{Muted: yes}
	tests := []struct {
		name   string
		set    *request
		onHold bool // In the answer to the update.
		after  *twilio.Participant
		want   string
	}{
		{"in effect", muting, false, shown(early, twilio.Participant{Muted: yes}), "CONFIRMED []"},
		{"not in effect", muting, false, shown(early, twilio.Participant{Muted: no}), "DIFFERS [muted]"},
		{"changed later", muting, false, shown(late, twilio.Participant{Muted: no}), "UNKNOWN []"},
		{"updated later", muting, false, shown(late, twilio.Participant{Muted: yes}), "CONFIRMED []"},
		{"not shown", muting, false, shown(early, twilio.Participant{}), "UNKNOWN []"},
		{"not read", muting, false, nil, "UNKNOWN []"},
		{"a URL", &request{HoldUrl: proto.String("https://a.example/")}, false, shown(early, twilio.Participant{}), "UNKNOWN []"},
		{
			"a beep and a property that differs", &request{BeepOnExit: yes, Muted: yes}, false,
			shown(early, twilio.Participant{Muted: no}), "DIFFERS [muted]",
		},
		{
			"end on exit", &request{EndConferenceOnExit: yes}, false,
			shown(early, twilio.Participant{EndConferenceOnExit: yes}), "CONFIRMED []",
		},
		{
			"end on exit on hold", &request{EndConferenceOnExit: yes}, true,
			shown(early, twilio.Participant{EndConferenceOnExit: yes}), "DIFFERS [end_conference_on_exit]",
		},
		{"end on exit on hold, not read", &request{EndConferenceOnExit: yes}, true, nil, "DIFFERS [end_conference_on_exit]"},
		{
			"coaching", &request{Coaching: yes, CallSidToCoach: proto.String(coached)}, false,
			shown(early, twilio.Participant{Coaching: yes, CallSIDToCoach: proto.String("CA0000000000000000000000000000000A")}), "CONFIRMED []",
		},
		{
			"coaching another", &request{CallSidToCoach: proto.String(coached)}, false,
			shown(early, twilio.Participant{Coaching: yes, CallSIDToCoach: proto.String(callSID)}), "DIFFERS [call_sid_to_coach]",
		},
		{"no coaching", &request{Coaching: no}, false, shown(early, twilio.Participant{Coaching: no}), "CONFIRMED []"},
	}
	got, _ := confirm(new(Change(muting)), shown(early, twilio.Participant{}), shown(early, twilio.Participant{Muted: no}), true)
	if got != conferencev1.Confirmation_CONFIRMATION_UNKNOWN {
		t.Errorf("followed by another update of the same second: %v", got)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, differs := confirm(new(Change(test.set)), shown(early, twilio.Participant{Hold: &test.onHold}), test.after, false)
			if text := fmt.Sprint(got.String()[len("CONFIRMATION_"):], " ", differs); text != test.want {
				t.Errorf("got %s, want %s", text, test.want)
			}
		})
	}
}
