package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"conferenced/service/outcome"
)

// received is a message to decode, and the error of decoding it.
type received struct {
	message any
	err     error
}

// codec is gRPC's codec, except that it stores the error of a *received. gRPC answers
// an error that the codec returns with INTERNAL, and skips the interceptors.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*received)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	in.err = c.CodecV2.Unmarshal(data, in.message)
	return nil
}

// withDecodeErrors returns the service's description, for a server with this
// package's codec. Its methods answer INVALID_REQUEST to a request that cannot be
// decoded, after the call has gone through the interceptors.
func withDecodeErrors(desc grpc.ServiceDesc) *grpc.ServiceDesc {
	methods := make([]grpc.MethodDesc, len(desc.Methods))
	for i, method := range desc.Methods {
		methods[i] = grpc.MethodDesc{
			MethodName: method.MethodName,
			Handler:    withDecodeError("/"+desc.ServiceName+"/"+method.MethodName, method.Handler),
		}
	}
	desc.Methods = methods
	return &desc
}

func withDecodeError(fullMethod string, handler grpc.MethodHandler) grpc.MethodHandler {
	return func(
		srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor,
	) (any, error) {
		var in received
		response, err := handler(srv, ctx, func(message any) error {
			in.message = message
			if err := decode(&in); err != nil {
				return err
			}
			return in.err
		}, intercept)
		if in.err == nil {
			return response, err
		}
		return intercept(ctx, nil, &grpc.UnaryServerInfo{Server: srv, FullMethod: fullMethod}, refuseUndecodable)
	}
}

func refuseUndecodable(context.Context, any) (any, error) {
	return nil, outcome.InvalidRequest.Err(outcome.Facts{
		Detail: "it is not a message of this method, or a text in it is not UTF-8",
	})
}
