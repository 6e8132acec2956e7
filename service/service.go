// Package service implements ConferenceService: it translates an
// UpdateParticipant request into an update for Twilio, and Twilio's answer into the
// response.
package service

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/call"
	"conferenced/service/callers"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// RequestIDHeader is the response header with the id that Twilio gave its answer.
const RequestIDHeader = "twilio-request-id"

// Settings returns the accounts and the callers' rules in force for the call of a
// context.
type Settings func(context.Context) (*twilio.Accounts, *callers.Set)

// Service implements ConferenceService.
type Service struct {
	conferencev1.UnimplementedConferenceServiceServer

	settings  Settings
	deliverer Deliverer
}

// Deliverer delivers updates to Twilio, as *delivery.Deliverer does.
type Deliverer interface {
	Deliver(context.Context, *delivery.Update) (*twilio.Answer, error)
}

// New returns the service.
func New(settings Settings, deliverer Deliverer) *Service {
	return &Service{settings: settings, deliverer: deliverer}
}

// UpdateParticipant changes one participant. The request must have passed
// [Validate]. Errors are an *outcome.Error.
func (s *Service) UpdateParticipant(
	ctx context.Context, request *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	change := Change(request)
	if change.Set() == 0 {
		return nil, outcome.NothingToUpdate.Err(outcome.Facts{})
	}
	account, err := s.authorize(ctx, request.GetAccountSid(), change.Set())
	if err != nil {
		return nil, err
	}
	answer, err := s.deliverer.Deliver(ctx, &delivery.Update{
		Request: twilio.Request{
			Operation: twilio.UpdateParticipant,
			Path: twilio.Path{
				AccountSID:    account.SID,
				ConferenceSID: request.GetConferenceSid(),
				Participant:   request.GetCallSid(),
			},
			Change: change,
		},
		Account:   account,
		Caller:    callers.FromContext(ctx).Key(),
		RequestID: request.GetRequestId(),
	})
	record(ctx, answer, err)
	if err != nil {
		return nil, err
	}
	return responseOf(answer, change), nil
}

// authorize returns the account with the SID, or the default account for "", if the
// caller may set the properties there. It applies the policy first, so that callers do
// not learn whether other accounts are configured.
func (s *Service) authorize(ctx context.Context, sid string, properties property.Set) (*twilio.Account, error) {
	accounts, known := s.settings(ctx)
	account, configured := accounts.Lookup(sid)
	if configured {
		sid = account.SID
	}
	if c := call.From(ctx); c != nil {
		c.AccountSID = sid
	}
	if err := known.Authorize(callers.FromContext(ctx), sid, properties); err != nil {
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

// record puts the id of Twilio's answer and the participant's Call SID into the call's
// record, and the id into the response's header.
func record(ctx context.Context, answer *twilio.Answer, err error) {
	id := ""
	c := call.From(ctx)
	if answer != nil {
		id = answer.RequestID
		if sid := answer.Participant.CallSID; c != nil && sid != nil && call.IsCallSID(*sid) {
			c.CallSID = *sid
		}
	} else if failed := outcome.From(err); failed.Twilio != nil {
		id = failed.Twilio.RequestID
	}
	if id == "" {
		return
	}
	if c != nil {
		c.TwilioRequestID = id
	}
	// SetHeader fails only if the headers were sent or ctx is not a gRPC call's; the
	// response does not depend on it.
	_ = grpc.SetHeader(ctx, metadata.Pairs(RequestIDHeader, id))
}
