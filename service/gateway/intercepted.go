package gateway

import (
	"context"

	"google.golang.org/grpc"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
)

// intercepted calls the service through the interceptor, which grpc-gateway's
// RegisterConferenceServiceHandlerServer skips. Calls run on the goroutine of the
// HTTP request.
type intercepted struct {
	conferencev1.UnsafeConferenceServiceServer
	service   conferencev1.ConferenceServiceServer
	intercept grpc.UnaryServerInterceptor
}

func (i *intercepted) UpdateParticipant(
	ctx context.Context, request *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	return invoke(ctx, i, conferencev1.ConferenceService_UpdateParticipant_FullMethodName, request, i.service.UpdateParticipant)
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

// invoke runs the interceptor around the service's method. If the context has a
// refusal, the handler returns it without calling the method.
func invoke[Request, Response any](
	ctx context.Context, i *intercepted, name string, request *Request,
	method func(context.Context, *Request) (*Response, error),
) (*Response, error) {
	info := &grpc.UnaryServerInfo{Server: i.service, FullMethod: name}
	answer, err := i.intercept(ctx, request, info, func(ctx context.Context, request any) (any, error) {
		if refusal := refusalOf(ctx); refusal != nil {
			return nil, refusal
		}
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

type refusalKey struct{}

// withRefusal returns the context of a call that ends with the error.
func withRefusal(ctx context.Context, err error) context.Context {
	return context.WithValue(ctx, refusalKey{}, err)
}

func refusalOf(ctx context.Context) error {
	err, _ := ctx.Value(refusalKey{}).(error)
	return err
}
