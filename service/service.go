// Package service is ConferenceService: it turns an UpdateParticipant call into
// an update for Twilio, and what came of it into the caller's answer.
package service

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/callers"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/properties"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

// RequestIDHeader is the response header that holds Twilio's id of the request
// that was answered, as Twilio's support asks for it.
const RequestIDHeader = "twilio-request-id"

// Deliver gets an update to Twilio. Its errors are *delivery.Error.
type Deliver func(context.Context, *delivery.Update) (*twilio.Answer, error)

// Service implements ConferenceService.
type Service struct {
	conferencev1.UnimplementedConferenceServiceServer

	accounts  func(context.Context) *twilio.Accounts
	authorize Authorize
	deliver   Deliver
}

// Authorize returns nil if the call's caller may set the properties in the
// account. Otherwise its error is a *callers.Refusal.
type Authorize func(ctx context.Context, accountSID string, properties []string) error

// New returns the service. Accounts are asked for with each call's context.
func New(accounts func(context.Context) *twilio.Accounts, authorize Authorize, deliver Deliver) *Service {
	return &Service{accounts: accounts, authorize: authorize, deliver: deliver}
}

// UpdateParticipant changes one participant. The request must have passed
// [Validate].
func (s *Service) UpdateParticipant(
	ctx context.Context, request *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	response, err := s.update(ctx, request)
	if id := telemetry.CallFrom(ctx).TwilioRequestID; id != "" {
		// It fails only when the headers are sent already or the call is not
		// gRPC's, and the answer does not depend on it.
		_ = grpc.SetHeader(ctx, metadata.Pairs(RequestIDHeader, id))
	}
	return response, err
}

// update is one update's way through the service. Its errors are statuses of
// package outcome.
func (s *Service) update(
	ctx context.Context, request *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	change := changeOf(request)
	if setsNothing(change) {
		return nil, outcome.NothingToUpdate.Err(outcome.Facts{})
	}
	account, err := s.account(ctx, request)
	if err != nil {
		return nil, err
	}
	update := updateOf(request, account, change)
	update.Caller = callers.FromContext(ctx).Key()
	answer, err := s.deliver(ctx, update)
	if err != nil {
		return nil, failed(ctx, err, update)
	}
	telemetry.CallFrom(ctx).TwilioRequestID = answer.RequestID
	return responseOf(answer, change), nil
}

func setsNothing(change *twilio.ParticipantUpdate) bool {
	return *change == (twilio.ParticipantUpdate{})
}

// account is the one that the request names, if the caller may do there what the
// request asks. A caller learns nothing of accounts that are not theirs.
func (s *Service) account(
	ctx context.Context, request *conferencev1.UpdateParticipantRequest,
) (*twilio.Account, error) {
	account, ok := s.accounts(ctx).Lookup(request.GetAccountSid())
	sid := request.GetAccountSid()
	if ok {
		sid = account.SID
	}
	telemetry.CallFrom(ctx).AccountSID = sid
	if err := s.authorize(ctx, sid, properties.Of(request)); err != nil {
		return nil, notAllowed(ctx, err)
	}
	if !ok {
		return nil, accountNotConfigured(request)
	}
	return account, nil
}

func notAllowed(ctx context.Context, err error) error {
	telemetry.CallFrom(ctx).Cause = err
	refusal, ok := errors.AsType[*callers.Refusal](err)
	if !ok {
		return outcome.Internal.Err(outcome.Facts{})
	}
	return outcome.NotAllowed.Err(outcome.Facts{Detail: refusal.What})
}

func accountNotConfigured(request *conferencev1.UpdateParticipantRequest) error {
	var facts outcome.Facts
	if request.GetAccountSid() == "" {
		facts.Detail = "account_sid is empty and there is no default account"
	}
	return outcome.AccountNotConfigured.Err(facts)
}

// failed keeps the cause for the log and returns what the caller is told.
func failed(ctx context.Context, err error, update *delivery.Update) error {
	st := outcome.Of(err, update)
	call := telemetry.CallFrom(ctx)
	call.Cause = err
	call.TwilioRequestID = outcome.Info(st).GetMetadata()[outcome.KeyTwilioRequestID]
	return st.Err()
}
