package gateway

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/twilio"
)

// participantJSON returns a participant in Twilio's format, with null for unset
// properties. Twilio's names of the properties are the API's field names.
func participantJSON(p *conferencev1.Participant) map[string]any {
	properties := map[string]any{}
	message := p.ProtoReflect()
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if message.Has(field) {
			properties[string(field.Name())] = twilioValue(message.Get(field), field)
		} else {
			properties[string(field.Name())] = nil
		}
	}
	return properties
}

// twilioValue returns a value in Twilio's format: a date as in RFC 2822, a duration
// as a string of milliseconds, and an enum value as a word in lower case.
func twilioValue(value protoreflect.Value, field protoreflect.FieldDescriptor) any {
	if enum := field.Enum(); enum != nil {
		known := enum.Values().ByNumber(value.Enum())
		if known == nil {
			return nil
		}
		return strings.ToLower(strings.TrimPrefix(string(known.Name()), enumPrefix(enum)))
	}
	if field.Message() == nil {
		return value.Interface()
	}
	switch known := value.Message().Interface().(type) {
	case *timestamppb.Timestamp:
		return known.AsTime().Format(time.RFC1123Z)
	case *durationpb.Duration:
		return strconv.FormatInt(known.AsDuration().Milliseconds(), 10)
	}
	return nil
}

// answerJSON returns Twilio's answer to a read in Twilio's format.
func answerJSON(operation twilio.Operation, answer *twilio.Answer) any {
	switch operation {
	case twilio.ListParticipants:
		return struct {
			Participants []twilio.Participant `json:"participants"`
			*twilio.Paging
		}{answer.Participants, answer.Paging}
	case twilio.ListConferences:
		return struct {
			Conferences []twilio.Conference `json:"conferences"`
			*twilio.Paging
		}{answer.Conferences, answer.Paging}
	default:
		return answer.Conferences[0]
	}
}
