package service

import (
	"net/mail"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// Change returns the properties that the request sets. A property that is unset in
// the request stays unset; false and "" are values.
func Change(request *conferencev1.UpdateParticipantRequest) *property.Values {
	v := new(property.Values)
	v.PutBool(property.Muted, request.Muted)
	v.PutBool(property.Hold, request.Hold)
	v.PutString(property.HoldURL, request.HoldUrl)
	putMethod(v, property.HoldMethod, request.GetHoldMethod())
	v.PutString(property.AnnounceURL, request.AnnounceUrl)
	putMethod(v, property.AnnounceMethod, request.GetAnnounceMethod())
	v.PutString(property.WaitURL, request.WaitUrl)
	putMethod(v, property.WaitMethod, request.GetWaitMethod())
	v.PutBool(property.BeepOnExit, request.BeepOnExit)
	v.PutBool(property.EndConferenceOnExit, request.EndConferenceOnExit)
	v.PutBool(property.Coaching, request.Coaching)
	v.PutString(property.CallSIDToCoach, request.CallSidToCoach)
	return v
}

// putMethod sets a method unless it is unspecified.
func putMethod(v *property.Values, p property.Property, method conferencev1.HttpMethod) {
	if method != conferencev1.HttpMethod_HTTP_METHOD_UNSPECIFIED {
		v.Put(p, strings.TrimPrefix(method.String(), "HTTP_METHOD_"))
	}
}

// responseOf is what the API answers when Twilio has made the change.
func responseOf(answer *twilio.Answer, change *property.Values) *conferencev1.UpdateParticipantResponse {
	participant := participantOf(&answer.Participant)
	return &conferencev1.UpdateParticipantResponse{
		Participant: participant,
		Warnings:    warningsFor(change, participant),
	}
}

// participantOf is Twilio's participant in the API's types. A date, a queue time
// or a status that cannot be read is left out: the update was applied all the
// same, and the rest of the answer says so.
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

// timestampOf reads the date of RFC 2822 that Twilio writes.
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

// maxQueueTime keeps the duration within what a Go duration can hold.
const maxQueueTime = int64(1<<63-1) / int64(time.Millisecond)

// durationOf reads a number of milliseconds.
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

// warnEndOnHold is the code of the one warning there is.
const warnEndOnHold = "END_CONFERENCE_ON_EXIT_IGNORED_ON_HOLD"

// warningsFor lists what Twilio accepted and does not do.
func warningsFor(
	change *property.Values, after *conferencev1.Participant,
) []*conferencev1.Warning {
	if !change.Set().Has(property.EndConferenceOnExit) || !after.GetHold() {
		return nil
	}
	return []*conferencev1.Warning{{
		Code:  warnEndOnHold,
		Field: "end_conference_on_exit",
		Message: "the participant is on hold: Twilio shows the new value and does not act on it; " +
			"set it again when the participant is off hold",
	}}
}
