package gateway

import (
	"context"

	"google.golang.org/grpc"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// intercepted calls the service through the interceptor, which grpc-gateway's
// RegisterConferenceServiceHandlerServer skips. Calls run on the goroutine of the
// HTTP request.
type intercepted struct {
	conferencev1.UnsafeConferenceServiceServer
	service   conferencev1.ConferenceServiceServer
	intercept grpc.UnaryServerInterceptor
	read      func(context.Context, *twilio.Request) (*twilio.Answer, error)
}

func (i *intercepted) UpdateParticipant(
	ctx context.Context, request *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	return invoke(ctx, i, conferencev1.ConferenceService_UpdateParticipant_FullMethodName, request, i.service.UpdateParticipant)
}

func (i *intercepted) UpdateParticipants(
	ctx context.Context, request *conferencev1.UpdateParticipantsRequest,
) (*conferencev1.UpdateParticipantsResponse, error) {
	return invoke(ctx, i, conferencev1.ConferenceService_UpdateParticipants_FullMethodName, request, i.service.UpdateParticipants)
}

func (i *intercepted) GetParticipant(
	ctx context.Context, request *conferencev1.GetParticipantRequest,
) (*conferencev1.GetParticipantResponse, error) {
	return invoke(ctx, i, conferencev1.ConferenceService_GetParticipant_FullMethodName, request, i.service.GetParticipant)
}

func (i *intercepted) ListParticipants(
	ctx context.Context, request *conferencev1.ListParticipantsRequest,
) (*conferencev1.ListParticipantsResponse, error) {
	return invoke(ctx, i, conferencev1.ConferenceService_ListParticipants_FullMethodName, request, i.service.ListParticipants)
}

func (i *intercepted) RemoveParticipant(
	ctx context.Context, request *conferencev1.RemoveParticipantRequest,
) (*conferencev1.RemoveParticipantResponse, error) {
	return invoke(ctx, i, conferencev1.ConferenceService_RemoveParticipant_FullMethodName, request, i.service.RemoveParticipant)
}

// twilioRead is a read of the Twilio-shaped route, as interceptors see it.
type twilioRead struct{ *twilio.Request }

func (r *twilioRead) GetAccountSid() string    { return r.Path.AccountSID }
func (r *twilioRead) GetConferenceSid() string { return r.Path.ConferenceSID }

// readMethods are the names of the methods of the Twilio-shaped route's reads, for the log
// and the metrics. The gRPC service has no method that reads conferences.
var readMethods = map[twilio.Operation]string{
	twilio.ListParticipants: conferencev1.ConferenceService_ListParticipants_FullMethodName,
	twilio.FetchConference:  "/conference.v1.ConferenceService/GetConference",
	twilio.ListConferences:  "/conference.v1.ConferenceService/ListConferences",
}

// ReadTwilio makes a read that is passed on as Twilio answers it.
func (i *intercepted) ReadTwilio(ctx context.Context, request *twilio.Request) (*twilio.Answer, error) {
	return invoke(ctx, i, readMethods[request.Operation], &twilioRead{request},
		func(ctx context.Context, r *twilioRead) (*twilio.Answer, error) { return i.read(ctx, r.Request) })
}

// refusedRequest is a request that is refused, as interceptors see it: the variables of
// its path.
type refusedRequest map[string]string

func (r refusedRequest) GetAccountSid() string    { return r["account_sid"] }
func (r refusedRequest) GetConferenceSid() string { return r["conference_sid"] }
func (r refusedRequest) GetCallSid() string       { return r["call_sid"] }

// invoke runs the interceptor around the service's method. A request that is refused
// does not reach the method.
func invoke[Request, Response any](
	ctx context.Context, i *intercepted, name string, request *Request,
	method func(context.Context, *Request) (*Response, error),
) (*Response, error) {
	info := &grpc.UnaryServerInfo{Server: i.service, FullMethod: name}
	if body := bodyOf(ctx); body.refusal != nil {
		_, err := i.intercept(ctx, refusedRequest(body.path), info, func(context.Context, any) (any, error) {
			return nil, body.refusal
		})
		return nil, err
	}
	answer, err := i.intercept(ctx, request, info, func(ctx context.Context, request any) (any, error) {
		return method(ctx, request.(*Request))
	})
	if err != nil {
		return nil, err
	}
	response, ok := answer.(*Response)
	if !ok || response == nil {
		return nil, outcome.Internal.Err(outcome.Facts{Applied: outcome.Maybe})
	}
	return response, nil
}
