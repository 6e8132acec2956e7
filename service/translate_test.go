package service

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/twilio"
)

// TestEveryPropertyIsTranslated fails when a property is added to the API and
// forgotten here.
func TestEveryPropertyIsTranslated(t *testing.T) {
	notSent := map[string]bool{
		"account_sid": true, "conference_sid": true, "call_sid": true, "request_id": true,
		"wait_for_participant": true, "confirm": true,
	}
	fields := new(conferencev1.UpdateParticipantRequest).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		request := new(conferencev1.UpdateParticipantRequest)
		value := request.ProtoReflect().NewField(field)
		if field.Enum() != nil {
			value = protoreflect.ValueOfEnum(1)
		}
		request.ProtoReflect().Set(field, value)
		change := Change(request)
		sent := change.Set() != 0
		if sent == notSent[string(field.Name())] {
			t.Errorf("%s: sent is %v", field.Name(), sent)
		}
	}
}

func TestParticipant(t *testing.T) {
	tests := []struct {
		name   string
		answer string
		want   *conferencev1.Participant
	}{
		{
			name: "everything",
			answer: `{
				"account_sid": "AC1", "call_sid": "CA1", "label": "front desk",
				"call_sid_to_coach": "CA2", "coaching": true, "conference_sid": "CF1",
				"date_created": "Fri, 18 Feb 2011 21:07:19 +0000",
				"date_updated": "Fri, 18 Feb 2011 21:08:00 +0100",
				"end_conference_on_exit": true, "muted": false, "hold": true,
				"start_conference_on_enter": true, "status": "connected",
				"queue_time": "1500", "uri": "/2010-04-01/x.json"
			}`,
			want: &conferencev1.Participant{
				AccountSid: proto.String("AC1"), CallSid: proto.String("CA1"), Label: proto.String("front desk"),
				CallSidToCoach: proto.String("CA2"), Coaching: proto.Bool(true), ConferenceSid: proto.String("CF1"),
				DateCreated:         timestamppb.New(time.Date(2011, 2, 18, 21, 7, 19, 0, time.UTC)),
				DateUpdated:         timestamppb.New(time.Date(2011, 2, 18, 20, 8, 0, 0, time.UTC)),
				EndConferenceOnExit: proto.Bool(true), Muted: proto.Bool(false), Hold: proto.Bool(true),
				StartConferenceOnEnter: proto.Bool(true),
				Status:                 conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
				QueueTime:              durationpb.New(1500 * time.Millisecond),
				Uri:                    proto.String("/2010-04-01/x.json"),
			},
		},
		{
			name: "nulls are unset and unknown members are passed over",
			answer: `{"call_sid": "CA1", "label": null, "muted": null, "date_created": null,
				"queue_time": null, "status": "queued", "new": {"a": [1]}}`,
			want: &conferencev1.Participant{
				CallSid: proto.String("CA1"),
				Status:  conferencev1.ParticipantStatus_PARTICIPANT_STATUS_QUEUED,
			},
		},
		{
			name:   "a status of the future is unspecified",
			answer: `{"call_sid": "CA1", "status": "levitating"}`,
			want:   &conferencev1.Participant{CallSid: proto.String("CA1")},
		},
		{
			name: "a date or a queue time that cannot be read is left out",
			answer: `{"call_sid": "CA1", "date_created": "yesterday", "queue_time": "long",
				"date_updated": "Fri, 8 Feb 2011 21:07:19 GMT"}`,
			want: &conferencev1.Participant{
				CallSid:     proto.String("CA1"),
				DateUpdated: timestamppb.New(time.Date(2011, 2, 8, 21, 7, 19, 0, time.UTC)),
			},
		},
		{
			name:   "a queue time beyond all bounds is left out",
			answer: `{"call_sid": "CA1", "queue_time": "9223372036854775807"}`,
			want:   &conferencev1.Participant{CallSid: proto.String("CA1")},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer, err := twilio.DecodeParticipant([]byte(test.answer))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, participantOf(answer), protocmp.Transform()); diff != "" {
				t.Errorf("participant (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryStatusIsTranslated(t *testing.T) {
	values := conferencev1.ParticipantStatus(0).Descriptor().Values()
	if len(statuses) != values.Len()-1 {
		t.Errorf("%d statuses are translated; the API has %d besides unspecified", len(statuses), values.Len()-1)
	}
}
