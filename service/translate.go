package service

import (
	"net/mail"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/twilio"
)

// changeOf is what the request asks Twilio to change. What the request leaves
// unset stays unset; `false` and "" are values.
func changeOf(request *conferencev1.UpdateParticipantRequest) *twilio.ParticipantUpdate {
	return &twilio.ParticipantUpdate{
		Muted:               request.Muted,
		Hold:                request.Hold,
		HoldURL:             request.HoldUrl,
		HoldMethod:          methodOf(request.GetHoldMethod()),
		AnnounceURL:         request.AnnounceUrl,
		AnnounceMethod:      methodOf(request.GetAnnounceMethod()),
		WaitURL:             request.WaitUrl,
		WaitMethod:          methodOf(request.GetWaitMethod()),
		BeepOnExit:          request.BeepOnExit,
		EndConferenceOnExit: request.EndConferenceOnExit,
		Coaching:            request.Coaching,
		CallSIDToCoach:      request.CallSidToCoach,
	}
}

func methodOf(method conferencev1.HttpMethod) string {
	switch method {
	case conferencev1.HttpMethod_HTTP_METHOD_GET:
		return "GET"
	case conferencev1.HttpMethod_HTTP_METHOD_POST:
		return "POST"
	default:
		return ""
	}
}

// updateOf is the request as it is delivered for the account.
func updateOf(
	request *conferencev1.UpdateParticipantRequest, account *twilio.Account, change *twilio.ParticipantUpdate,
) *delivery.Update {
	return &delivery.Update{
		Account: account,
		Path: twilio.ParticipantPath{
			AccountSID:    account.SID,
			ConferenceSID: request.GetConferenceSid(),
			Participant:   request.GetCallSid(),
		},
		Change:    change,
		RequestID: request.GetRequestId(),
	}
}

// responseOf is what the API answers when Twilio has made the change.
func responseOf(answer *twilio.Answer, change *twilio.ParticipantUpdate) *conferencev1.UpdateParticipantResponse {
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
	change *twilio.ParticipantUpdate, after *conferencev1.Participant,
) []*conferencev1.Warning {
	if change.EndConferenceOnExit == nil || !after.GetHold() {
		return nil
	}
	return []*conferencev1.Warning{{
		Code:  warnEndOnHold,
		Field: "end_conference_on_exit",
		Message: "the participant is on hold: Twilio shows the new value and does not act on it; " +
			"set it again when the participant is off hold",
	}}
}
