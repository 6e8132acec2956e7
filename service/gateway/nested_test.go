package gateway

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	conferencev1 "conferenced/gen/conference/v1"
)

// TestNestedMessages tests decodeJSON itself, because no request of the API has a
// nested message.
func TestNestedMessages(t *testing.T) {
	path := map[string]string{"label": "the path's, not the participant's"}
	tests := []struct {
		name, body string
		want       *conferencev1.UpdateParticipantResponse
		violations []*violation
	}{
		{
			"its fields", `{"participant": {"label": "x", "status": "CONNECTED", "queue_time": "1.5s"}, "warnings": [{"code": "x"}]}`,
			&conferencev1.UpdateParticipantResponse{
				Participant: &conferencev1.Participant{
					Label: proto.String("x"), Status: conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
					QueueTime: durationpb.New(1500 * time.Millisecond),
				},
				Warnings: []*conferencev1.Warning{{Code: "x"}},
			}, nil,
		},
		{
			"mistakes at both levels",
			`{"participant": {"mute": "secret", "muted": "secret", "hold": true, "hold": false, "queue_time": "secret"},
			  "warnings": [{"secret": 1}], "warning": []}`,
			nil, []*violation{
				broken("participant.mute", "is no field of the request; did you mean muted?"),
				broken("participant.muted", "must be true or false"),
				broken("participant.hold", "is given more than once"),
				broken("participant.queue_time", "must be a valid Duration"),
				broken("warnings", "must be a list, each entry a JSON object"),
				broken("warning", "is no field of the request; did you mean warnings?"),
			},
		},
		{
			"no object", `{"participant": "secret"}`,
			nil, []*violation{broken("participant", "must be a JSON object")},
		},
		{
			"a list of another type", `{"differs": [1]}`,
			nil, []*violation{broken("differs", "must be a list, each entry a string of Unicode characters")},
		},
		{"null", `{"participant": null}`, &conferencev1.UpdateParticipantResponse{}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := new(conferencev1.UpdateParticipantResponse)
			violations := decodeJSON([]byte(test.body), got, path)
			if diff := cmp.Diff(test.violations, violations, protocmp.Transform()); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, got, protocmp.Transform()); test.want != nil && diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}
