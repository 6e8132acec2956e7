package gateway

import (
	"context"

	"google.golang.org/grpc"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// intercepted is the service behind its interceptor, as a gRPC server calls it
// but on the goroutine of the HTTP request. That a method is missing here does not
// compile.
type intercepted struct {
	conferencev1.UnsafeConferenceServiceServer
	intercept grpc.UnaryServerInterceptor
	info      *grpc.UnaryServerInfo
	update    grpc.UnaryHandler
}

func newIntercepted(service conferencev1.ConferenceServiceServer, intercept grpc.UnaryServerInterceptor) *intercepted {
	return &intercepted{
		intercept: intercept,
		info: &grpc.UnaryServerInfo{
			Server: service, FullMethod: conferencev1.ConferenceService_UpdateParticipant_FullMethodName,
		},
		update: func(ctx context.Context, request any) (any, error) {
			return service.UpdateParticipant(ctx, request.(*conferencev1.UpdateParticipantRequest))
		},
	}
}

func (i *intercepted) UpdateParticipant(
	ctx context.Context, request *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	answer, err := i.intercept(ctx, request, i.info, i.update)
	if err != nil {
		return nil, err
	}
	response, ok := answer.(*conferencev1.UpdateParticipantResponse)
	if !ok || response == nil {
		return nil, outcome.Internal.Err(outcome.Facts{Applied: delivery.Maybe})
	}
	return response, nil
}
