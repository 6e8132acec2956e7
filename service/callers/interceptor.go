package callers

import (
	"context"

	"google.golang.org/grpc"

	"conferenced/service/call"
	"conferenced/service/outcome"
)

// Interceptor authenticates each call of the API with the Set that current returns
// for it, and puts the caller into the call's context and record. A call whose caller
// is not known ends with CALLER_UNKNOWN; the cause is for the log. Health checks and
// reflection need no caller. If [Identify] has seen the call, its result is used.
//
// Calls on Twilio's own path may come with basic authentication as well.
//
// The certificate is the one of the context's peer, so an interceptor that changes
// the peer belongs before this one.
func Interceptor(current func(context.Context) *Set) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		var err error
		switch identified := ctx.Value(callerKey{}).(type) {
		case Caller:
		case *outcome.Error:
			err = identified
		default:
			if call.IsAPI(info.FullMethod) {
				ctx, err = Identify(ctx, current(ctx))
			}
		}
		if err != nil {
			return nil, err
		}
		return handler(ctx, request)
	}
}

// Identify authenticates the call of the context with the set, and puts the caller
// into the call's record. It returns the context with the result, and nil or an
// *outcome.Error: CALLER_UNKNOWN, or how the context ended meanwhile.
func Identify(ctx context.Context, set *Set) (context.Context, error) {
	c := call.From(ctx)
	authenticate := set.Authenticate
	if c.Protocol == call.Twilio {
		authenticate = set.AuthenticateBasic
	}
	caller, err := authenticate(ctx)
	if err != nil {
		kind := outcome.CallerUnknown
		if ended := outcome.From(ctx.Err()); ended != nil {
			kind = ended.Kind
		}
		refusal := kind.Err(outcome.Facts{Cause: err})
		return context.WithValue(ctx, callerKey{}, refusal), refusal
	}
	c.Caller, c.KnownBy = caller.Name, caller.Kind.String()
	return WithCaller(ctx, caller), nil
}
