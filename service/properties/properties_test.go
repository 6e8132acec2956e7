package properties

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	conferencev1 "conferenced/gen/conference/v1"
)

// TestNamesAreThoseOfTheAPI fails when a property is added to the API and
// forgotten here.
func TestNamesAreThoseOfTheAPI(t *testing.T) {
	identity := map[protoreflect.Name]bool{
		"account_sid": true, "conference_sid": true, "call_sid": true, "request_id": true,
	}
	var want []string
	everything := new(conferencev1.UpdateParticipantRequest)
	fields := everything.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if identity[field.Name()] {
			continue
		}
		want = append(want, string(field.Name()))
		one := new(conferencev1.UpdateParticipantRequest)
		for _, request := range []*conferencev1.UpdateParticipantRequest{one, everything} {
			value := request.ProtoReflect().NewField(field)
			if field.Enum() != nil {
				value = protoreflect.ValueOfEnum(1)
			}
			request.ProtoReflect().Set(field, value)
		}
		if diff := cmp.Diff([]string{string(field.Name())}, Of(one)); diff != "" {
			t.Errorf("a request with %s (-want +got):\n%s", field.Name(), diff)
		}
	}
	if diff := cmp.Diff(want, Names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, Of(everything)); diff != "" {
		t.Errorf("a request with everything (-want +got):\n%s", diff)
	}
}

func TestBooleans(t *testing.T) {
	got := map[string]bool{}
	Booleans(got, &conferencev1.UpdateParticipantRequest{
		Muted: proto.Bool(false), Coaching: proto.Bool(true), HoldUrl: proto.String("https://h.example/"),
	})
	if diff := cmp.Diff(map[string]bool{"muted": false, "coaching": true}, got); diff != "" {
		t.Errorf("booleans (-want +got):\n%s", diff)
	}
}
