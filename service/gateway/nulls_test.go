package gateway

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

func TestAnswersShowEveryField(t *testing.T) {
	when := timestamppb.New(time.Date(2011, 2, 18, 21, 7, 19, 0, time.UTC))
	tests := []struct {
		name   string
		answer *conferencev1.UpdateParticipantResponse
		want   string
	}{
		{"nothing set", &conferencev1.UpdateParticipantResponse{}, `{"participant":null,"warnings":[]}`},
		{
			"an empty participant",
			&conferencev1.UpdateParticipantResponse{Participant: &conferencev1.Participant{}},
			`{"participant":{"account_sid":null,"call_sid":null,"label":null,"call_sid_to_coach":null,"coaching":null,` +
				`"conference_sid":null,"date_created":null,"date_updated":null,"end_conference_on_exit":null,"muted":null,"hold":null,` +
				`"start_conference_on_enter":null,"status":"PARTICIPANT_STATUS_UNSPECIFIED","queue_time":null,"uri":null},"warnings":[]}`,
		},
		{
			"all set, to false and nothing where that is a value",
			&conferencev1.UpdateParticipantResponse{
				Participant: &conferencev1.Participant{
					AccountSid: proto.String(accountSID), CallSid: proto.String(callSID), Label: proto.String("café <&>"),
					CallSidToCoach: proto.String(""), Coaching: proto.Bool(false), ConferenceSid: proto.String(conferenceSID),
					DateCreated: when, DateUpdated: when, EndConferenceOnExit: proto.Bool(false), Muted: proto.Bool(true),
					Hold: proto.Bool(false), StartConferenceOnEnter: proto.Bool(true),
					Status:    conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
					QueueTime: durationpb.New(1500 * time.Millisecond), Uri: proto.String("/x.json"),
				},
				Warnings: []*conferencev1.Warning{{Code: "CODE"}, {}},
			},
			`{"participant":{"account_sid":"` + accountSID + `","call_sid":"` + callSID + `","label":"café <&>","call_sid_to_coach":"",` +
				`"coaching":false,"conference_sid":"` + conferenceSID + `","date_created":"2011-02-18T21:07:19Z","date_updated":"2011-02-18T21:07:19Z",` +
				`"end_conference_on_exit":false,"muted":true,"hold":false,"start_conference_on_enter":true,` +
				`"status":"PARTICIPANT_STATUS_CONNECTED","queue_time":"1.500s","uri":"/x.json"},` +
				`"warnings":[{"code":"CODE","field":"","message":""},{"code":"","field":"","message":""}]}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newService()
			s.answer = func(context.Context, *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
				return test.answer, nil
			}
			got := send(t, serve(t, s, Config{}), http.MethodPatch, defaultAccountPath+callSID, "{}", "Accept", "text/html")
			if got.code != http.StatusOK || got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("HTTP status %d, headers %v", got.code, got.header)
			}
			if diff := cmp.Diff(test.want, compact(t, got.body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnsetMembersOfAOneofAreLeftOut(t *testing.T) {
	tests := []struct {
		message proto.Message
		want    string
	}{
		{
			&annotations.HttpRule{Pattern: &annotations.HttpRule_Post{Post: "/x"}},
			`{"selector":"","post":"/x","body":"","response_body":"","additional_bindings":[]}`,
		},
		{&descriptorpb.OneofOptions{}, `{"features":null,"uninterpreted_option":[]}`},
	}
	for _, test := range tests {
		text, err := marshaler{}.Marshal(test.message)
		if err != nil {
			t.Fatal(err)
		}
		if got := compact(t, text); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestAnswerThatCannotBeShown(t *testing.T) {
	s := newService()
	s.answer = func(context.Context, *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
		return &conferencev1.UpdateParticipantResponse{
			Participant: &conferencev1.Participant{DateCreated: &timestamppb.Timestamp{Nanos: -1}},
		}, nil
	}
	got := send(t, serve(t, s, Config{}), http.MethodPatch, defaultAccountPath+callSID, "{}")
	wantStatus(t, got, outcome.Internal.Status(outcome.Facts{Applied: delivery.Maybe}))
}
