package service

import (
	"net/mail"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// Change returns the properties that a request of any method sets. A property that is
// unset in the request stays unset; false and "" are values.
func Change(request any) property.Values {
	switch request := request.(type) {
	case *conferencev1.UpdateParticipantRequest:
		return changeOf(request)
	case *conferencev1.UpdateParticipantsRequest:
		return changeOf(request.GetSet())
	default:
		return property.Values{}
	}
}

// changeOf returns the properties that a message sets. Its fields have their names. A
// method that is unspecified is not sent.
func changeOf(message proto.Message) (change property.Values) {
	m := message.ProtoReflect()
	fields := m.Descriptor().Fields()
	for p := range property.All.Each() {
		field := fields.ByName(protoreflect.Name(p.String()))
		if !m.Has(field) {
			continue
		}
		switch value := m.Get(field); field.Kind() {
		case protoreflect.BoolKind:
			change.Put(p, strconv.FormatBool(value.Bool()))
		case protoreflect.EnumKind:
			method := conferencev1.HttpMethod(value.Enum()).String()
			change.Put(p, strings.TrimPrefix(method, "HTTP_METHOD_"))
		default:
			change.Put(p, value.String())
		}
	}
	return change
}

// pathOf returns the path of the participant that a request names.
func pathOf(account *twilio.Account, request interface {
	GetConferenceSid() string
	GetCallSid() string
},
) twilio.Path {
	return twilio.Path{
		AccountSID: account.SID, ConferenceSID: request.GetConferenceSid(), Participant: request.GetCallSid(),
	}
}

// responseOf returns the API's response to an update that Twilio applied.
func responseOf(answer *twilio.Answer, change *property.Values) *conferencev1.UpdateParticipantResponse {
	participant := participantOf(&answer.Participant)
	return &conferencev1.UpdateParticipantResponse{
		Participant: participant,
		Warnings:    warningsFor(change, participant),
	}
}

// participantOf converts Twilio's participant to the API's types. Dates, queue times
// and statuses that cannot be parsed are left unset, since the update was applied
// nevertheless.
func participantOf(answer *twilio.Participant) *conferencev1.Participant {
	return &conferencev1.Participant{
		AccountSid:             answer.AccountSID,
		CallSid:                answer.CallSID,
		Label:                  answer.Label,
		CallSidToCoach:         answer.CallSIDToCoach,
		Coaching:               answer.Coaching,
		ConferenceSid:          answer.ConferenceSID,
		DateCreated:            timestampOf(answer.DateCreated),
		DateUpdated:            timestampOf(answer.DateUpdated),
		EndConferenceOnExit:    answer.EndConferenceOnExit,
		Muted:                  answer.Muted,
		Hold:                   answer.Hold,
		StartConferenceOnEnter: answer.StartConferenceOnEnter,
		Status:                 statuses[answer.Status],
		QueueTime:              durationOf(answer.QueueTime),
		Uri:                    answer.URI,
	}
}

var statuses = map[string]conferencev1.ParticipantStatus{
	"queued":     conferencev1.ParticipantStatus_PARTICIPANT_STATUS_QUEUED,
	"connecting": conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTING,
	"ringing":    conferencev1.ParticipantStatus_PARTICIPANT_STATUS_RINGING,
	"connected":  conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
	"complete":   conferencev1.ParticipantStatus_PARTICIPANT_STATUS_COMPLETE,
	"failed":     conferencev1.ParticipantStatus_PARTICIPANT_STATUS_FAILED,
}

// timestampOf parses a date of RFC 2822.
func timestampOf(date *string) *timestamppb.Timestamp {
	if date == nil {
		return nil
	}
	at, err := time.Parse(time.RFC1123Z, *date)
	if err != nil {
		at, err = mail.ParseDate(*date)
	}
	if err != nil {
		return nil
	}
	timestamp := timestamppb.New(at)
	if !timestamp.IsValid() {
		return nil
	}
	return timestamp
}

// maxQueueTime is the maximum of a time.Duration in milliseconds.
const maxQueueTime = int64(1<<63-1) / int64(time.Millisecond)

// durationOf parses a number of milliseconds.
func durationOf(milliseconds *string) *durationpb.Duration {
	if milliseconds == nil {
		return nil
	}
	count, err := strconv.ParseInt(*milliseconds, 10, 64)
	if err != nil || count < 0 || count > maxQueueTime {
		return nil
	}
	return durationpb.New(time.Duration(count) * time.Millisecond)
}

// warnEndOnHold is the code of the only warning.
const warnEndOnHold = "END_CONFERENCE_ON_EXIT_IGNORED_ON_HOLD"

// warningsFor returns the warnings about properties that Twilio accepted and that have
// no effect.
func warningsFor(
	change *property.Values, after *conferencev1.Participant,
) []*conferencev1.Warning {
	if !change.Set().Has(property.EndConferenceOnExit) || !after.GetHold() {
		return nil
	}
	return []*conferencev1.Warning{{
		Code:  warnEndOnHold,
		Field: "end_conference_on_exit",
		Message: "the participant is on hold: Twilio shows the new value, but it has no effect; " +
			"set it again when the participant is off hold",
	}}
}
