package server

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"conferenced/service/outcome"
)

var (
	errUndecodable = outcome.InvalidRequest.Err(outcome.Facts{
		Detail: "it is not a message of this method, or a text in it is not UTF-8",
	})
	errUnreadable = outcome.InvalidRequest.Err(outcome.Facts{Detail: "its message cannot be read"})
	errTooLarge   = outcome.RequestTooLarge.Err(outcome.Facts{Detail: "its message is larger than 64 KiB"})
)

// received is a message to decode, and the error of receiving or decoding it.
type received struct {
	message any
	err     *outcome.Error
}

// codec is gRPC's codec, except that it stores the error of a *received. gRPC answers
// an error that the codec returns with INTERNAL, and skips the interceptors.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*received)
	switch {
	case !ok:
		return c.CodecV2.Unmarshal(data, v)
	case data.Len() > maxRequestBytes:
		in.err = errTooLarge
	case c.CodecV2.Unmarshal(data, in.message) != nil:
		in.err = errUndecodable
	}
	return nil
}

// shortGzip decompresses no more of a message than the codec needs to see that it is
// too large. gRPC would decompress maxMessageBytes.
type shortGzip struct{}

// Type implements grpc.Decompressor.
func (shortGzip) Type() string { return gzip.Name }

// Do implements grpc.Decompressor.
func (shortGzip) Do(compressed io.Reader) ([]byte, error) {
	plain, err := encoding.GetCompressor(gzip.Name).Decompress(compressed)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(plain, maxRequestBytes+1))
}

// withReceiving returns the description of a service with unary methods that receive
// their message within the limits of a, on a server with this package's codec. A call
// whose message cannot be received or decoded goes through the interceptors and is
// refused, unless its client has disconnected.
func (a *arrivals) withReceiving(desc grpc.ServiceDesc) *grpc.ServiceDesc {
	methods := make([]grpc.MethodDesc, len(desc.Methods))
	for i, method := range desc.Methods {
		methods[i] = grpc.MethodDesc{
			MethodName: method.MethodName,
			Handler:    a.receiving("/"+desc.ServiceName+"/"+method.MethodName, method.Handler),
		}
	}
	desc.Methods = methods
	return &desc
}

func (a *arrivals) receiving(fullMethod string, handler grpc.MethodHandler) grpc.MethodHandler {
	return func(
		srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor,
	) (any, error) {
		var in received
		response, err := handler(srv, ctx, func(message any) error {
			in.message = message
			if err := a.receive(ctx, func() error { return decode(&in) }); err != nil {
				in.err = notReceived(err)
			}
			if in.err != nil {
				return in.err
			}
			return nil
		}, intercept)
		if in.err == nil || in.err.Kind == outcome.Cancelled { // There was no call.
			return response, err
		}
		if in.err == errUnreadable || in.err == errTooLarge {
			ctx = context.WithoutCancel(ctx) // gRPC may have answered, and ended it.
		}
		return intercept(ctx, nil, &grpc.UnaryServerInfo{Server: srv, FullMethod: fullMethod},
			func(context.Context, any) (any, error) { return nil, in.err })
	}
}

// notReceived returns the outcome for gRPC's error of receiving a message.
func notReceived(err error) *outcome.Error {
	switch status.Code(err) {
	case codes.ResourceExhausted:
		return errTooLarge
	case codes.DeadlineExceeded:
		return outcome.Deadline.Err(outcome.Facts{})
	case codes.Canceled:
		return outcome.Cancelled.Err(outcome.Facts{})
	default:
		return errUnreadable
	}
}
