package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"conferenced/service/outcome"
)

// received is where the bytes of a request go, and why they are no message.
type received struct {
	message any
	err     error
}

// codec is gRPC's, but for what it decodes into a received: gRPC answers an error
// of its codec by itself, with INTERNAL and past every interceptor.
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

// readable returns the service's description with every method answering
// INVALID_ARGUMENT, as the table says, when the bytes of a request are no message.
// The interceptors see that call too. It is for a server that has this package's
// codec.
func readable(desc grpc.ServiceDesc) *grpc.ServiceDesc {
	methods := make([]grpc.MethodDesc, len(desc.Methods))
	for i, method := range desc.Methods {
		methods[i] = grpc.MethodDesc{
			MethodName: method.MethodName,
			Handler:    readableHandler("/"+desc.ServiceName+"/"+method.MethodName, method.Handler),
		}
	}
	desc.Methods = methods
	return &desc
}

func readableHandler(fullMethod string, handler grpc.MethodHandler) grpc.MethodHandler {
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
		return intercept(ctx, nil, &grpc.UnaryServerInfo{Server: srv, FullMethod: fullMethod}, refuseUnreadable)
	}
}

func refuseUnreadable(context.Context, any) (any, error) {
	return nil, outcome.InvalidRequest.Err(outcome.Facts{
		Detail: "it is not a message of this method, or a text in it is not UTF-8",
	})
}
