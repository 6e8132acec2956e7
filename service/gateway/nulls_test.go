package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
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

// Where all is set, an answer is what protojson makes of it.
func TestAnswersAreThoseOfProtojson(t *testing.T) {
	tests := map[string]string{
		"plain": "front desk", "other letters": "café ☎ 𝄞", "signs": `<&>'"\/`, "control characters": "\x00\t\r\n\x1f\x7f",
		"line ends of JavaScript": "\u2028\u2029",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			answer := new(conferencev1.UpdateParticipantResponse)
			fill(t, answer.ProtoReflect(), text)
			want, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			got, err := marshaler{}.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(compact(t, want), compact(t, got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a status of a newer version", func(t *testing.T) {
		got, err := marshaler{}.Marshal(&conferencev1.Participant{Status: 99})
		if err != nil || !strings.Contains(string(got), `"status":99`) {
			t.Errorf("%s, %v", got, err)
		}
	})
	t.Run("a text that is not UTF-8", func(t *testing.T) {
		if got, err := (marshaler{}).Marshal(&conferencev1.Warning{Code: "\xff"}); err == nil {
			t.Errorf("no error, but %s", got)
		}
	})
	for name, message := range map[string]proto.Message{
		"a number": &descriptorpb.EnumValueDescriptorProto{Number: proto.Int32(1)},
		"a map":    &structpb.Struct{Fields: map[string]*structpb.Value{"x": nil}},
	} {
		t.Run(name+" is none of an answer", func(t *testing.T) {
			if got, err := (marshaler{}).Marshal(message); err == nil {
				t.Errorf("no error, but %s", got)
			}
		})
	}
}

// fill sets every field of a message to something that is not its default.
func fill(t *testing.T, message protoreflect.Message, text string) {
	t.Helper()
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch {
		case field.IsList():
			list := message.Mutable(field).List()
			fill(t, list.AppendMutable().Message(), text)
			fill(t, list.AppendMutable().Message(), text)
		case field.Kind() == protoreflect.MessageKind:
			fill(t, message.Mutable(field).Message(), text)
		case field.Kind() == protoreflect.StringKind:
			message.Set(field, protoreflect.ValueOfString(text))
		case field.Kind() == protoreflect.BoolKind:
			message.Set(field, protoreflect.ValueOfBool(true))
		case field.Kind() == protoreflect.EnumKind:
			message.Set(field, protoreflect.ValueOfEnum(1))
		case field.Kind() == protoreflect.Int64Kind:
			message.Set(field, protoreflect.ValueOfInt64(7))
		case field.Kind() == protoreflect.Int32Kind:
			message.Set(field, protoreflect.ValueOfInt32(8))
		default:
			t.Fatalf("%s: a %s is not filled", field.FullName(), field.Kind())
		}
	}
}
