// Package service implements ConferenceService: it translates each request into one
// for Twilio, and Twilio's answer into the response.
package service

import (
	"cmp"
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/call"
	"conferenced/service/callers"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/sids"
	"conferenced/service/twilio"
)

// RequestIDHeader is the response header with the id that Twilio gave its answer.
const RequestIDHeader = "twilio-request-id"

// Settings returns the accounts and the callers' rules in force for the call of a
// context.
type Settings func(context.Context) (*twilio.Accounts, *callers.Set)

// Service implements ConferenceService. The context of each call has its record, see
// [call.From], with the properties that the request sets, see [Change].
type Service struct {
	conferencev1.UnimplementedConferenceServiceServer

	settings  Settings
	deliverer Deliverer
	each      grpc.UnaryServerInterceptor
}

// Deliverer delivers requests to Twilio, as *delivery.Deliverer does.
type Deliverer interface {
	Deliver(context.Context, *delivery.Update) (*twilio.Answer, error)
	BeginBulk(ctx context.Context, account *twilio.Account, caller, requestID string, content delivery.Content) (*delivery.Bulk, error)
	Read(ctx context.Context, account *twilio.Account, caller string, request *twilio.Request) (*twilio.Answer, error)
}

// New returns the service. each intercepts the update of each participant in a bulk
// operation, and must recover from panics.
func New(settings Settings, deliverer Deliverer, each grpc.UnaryServerInterceptor) *Service {
	return &Service{settings: settings, deliverer: deliverer, each: each}
}

// UpdateParticipant changes one participant. The request must have passed
// [Validate]. Errors are an *outcome.Error.
func (s *Service) UpdateParticipant(
	ctx context.Context, request *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	change := &call.From(ctx).Change
	if change.Set() == 0 {
		return nil, outcome.NothingToUpdate.Err(outcome.Facts{})
	}
	account, err := s.authorize(ctx, request.GetAccountSid(), call.Update, change.Set())
	if err != nil {
		return nil, err
	}
	answer, err := s.deliver(ctx, &delivery.Update{
		Request:   twilio.Request{Operation: twilio.UpdateParticipant, Path: pathOf(account, request), Change: change},
		Account:   account,
		Caller:    callers.FromContext(ctx).Key(),
		RequestID: request.GetRequestId(),
		Wait:      request.GetWaitForParticipant(),
		Confirm:   request.GetConfirm(),
	})
	if err != nil {
		return nil, err
	}
	response := responseOf(answer, change)
	if request.GetConfirm() {
		response.Confirmation, response.Differs = confirm(change, &answer.Participant, answer.After, false)
	}
	return response, nil
}

// GetParticipant reads one participant. The request must have passed [Validate].
// Errors are an *outcome.Error.
func (s *Service) GetParticipant(
	ctx context.Context, request *conferencev1.GetParticipantRequest,
) (*conferencev1.GetParticipantResponse, error) {
	account, err := s.authorize(ctx, request.GetAccountSid(), call.Read, 0)
	if err != nil {
		return nil, err
	}
	answer, err := s.read(ctx, account, &twilio.Request{
		Operation: twilio.FetchParticipant, Path: pathOf(account, request),
	})
	if err != nil {
		return nil, err
	}
	return &conferencev1.GetParticipantResponse{Participant: participantOf(&answer.Participant)}, nil
}

// ListParticipants reads a page of a conference's participants. The request must have
// passed [Validate]. Errors are an *outcome.Error.
func (s *Service) ListParticipants(
	ctx context.Context, request *conferencev1.ListParticipantsRequest,
) (*conferencev1.ListParticipantsResponse, error) {
	account, err := s.authorize(ctx, request.GetAccountSid(), call.Read, 0)
	if err != nil {
		return nil, err
	}
	list := listOf(account, request)
	page, err := pageOf(list, request)
	if err != nil {
		return nil, err
	}
	answer, err := s.read(ctx, account, page)
	if err != nil {
		return nil, err
	}
	response := &conferencev1.ListParticipantsResponse{NextPageToken: pageToken(list, page.Path.ConferenceSID, answer.Next)}
	for i := range answer.Participants {
		response.Participants = append(response.Participants, participantOf(&answer.Participants[i]))
	}
	return response, nil
}

// RemoveParticipant removes one participant. The request must have passed [Validate].
// Errors are an *outcome.Error.
func (s *Service) RemoveParticipant(
	ctx context.Context, request *conferencev1.RemoveParticipantRequest,
) (*conferencev1.RemoveParticipantResponse, error) {
	account, err := s.authorize(ctx, request.GetAccountSid(), call.Remove, 0)
	if err != nil {
		return nil, err
	}
	answer, err := s.deliver(ctx, &delivery.Update{
		Request:   twilio.Request{Operation: twilio.RemoveParticipant, Path: pathOf(account, request)},
		Account:   account,
		Caller:    callers.FromContext(ctx).Key(),
		RequestID: request.GetRequestId(),
	})
	if err != nil {
		return nil, err
	}
	return &conferencev1.RemoveParticipantResponse{CallSid: *answer.Participant.CallSID}, nil
}

// ReadTwilio makes a read that the Twilio-shaped route passes on as Twilio answers it, and
// for which the API has no method or no message. Errors are an *outcome.Error.
func (s *Service) ReadTwilio(ctx context.Context, request *twilio.Request) (*twilio.Answer, error) {
	if err := checkPath(request); err != nil {
		return nil, err
	}
	account, err := s.authorize(ctx, request.Path.AccountSID, call.Read, 0)
	if err != nil {
		return nil, err
	}
	return s.read(ctx, account, request)
}

// deliver delivers a change.
func (s *Service) deliver(ctx context.Context, update *delivery.Update) (*twilio.Answer, error) {
	answer, err := s.deliverer.Deliver(ctx, update)
	record(ctx, update.Path.ConferenceSID, answer, err)
	return answer, err
}

// read makes a request that changes nothing.
func (s *Service) read(ctx context.Context, account *twilio.Account, request *twilio.Request) (*twilio.Answer, error) {
	answer, err := s.deliverer.Read(ctx, account, callers.FromContext(ctx).Key(), request)
	record(ctx, request.Path.ConferenceSID, answer, err)
	return answer, err
}

// authorize returns the account with the SID, or the default account for "", if the
// caller may do the operation there, and an update may set the properties. It applies the
// policy first, so that callers do not learn whether other accounts are configured.
func (s *Service) authorize(
	ctx context.Context, sid string, operation call.Operation, properties property.Set,
) (*twilio.Account, error) {
	accounts, known := s.settings(ctx)
	account, configured := accounts.Lookup(sid)
	if configured {
		sid = account.SID
	}
	call.From(ctx).AccountSID = sid
	if err := known.Authorize(callers.FromContext(ctx), sid, operation, properties); err != nil {
		return nil, err
	}
	if !configured {
		var facts outcome.Facts
		if sid == "" {
			facts.Detail = "account_sid is empty and there is no default account"
		}
		return nil, outcome.AccountNotConfigured.Err(facts)
	}
	return account, nil
}

// record puts the id of Twilio's answer and the SIDs of the conference and the
// participant into the call's record, and the id into the response's header.
func record(ctx context.Context, conference string, answer *twilio.Answer, err error) {
	c, id, callSID := call.From(ctx), "", ""
	if answer != nil {
		id, callSID = answer.RequestID, valueOf(answer.Participant.CallSID)
		conference = cmp.Or(valueOf(answer.Participant.ConferenceSID), conference)
	} else if failed := outcome.From(err); failed.Twilio != nil {
		id = failed.Twilio.RequestID
	}
	if sids.IsConference(conference) {
		c.ConferenceSID = conference
	}
	if sids.IsCall(callSID) {
		c.CallSID = callSID
	}
	if id == "" {
		return
	}
	c.TwilioRequestID = id
	if c.OperationID != "" {
		return // Its answers are many.
	}
	// SetHeader fails only if the headers were sent or ctx is not a gRPC call's; the
	// response does not depend on it.
	_ = grpc.SetHeader(ctx, metadata.Pairs(RequestIDHeader, id))
}
