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
// reflection need no caller, and a call that [Identify] has authenticated passes.
//
// Calls on Twilio's own path may come with basic authentication as well.
//
// The certificate is the one of the context's peer, so an interceptor that changes
// the peer belongs before this one.
func Interceptor(current func(context.Context) *Set) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		if _, known := ctx.Value(callerKey{}).(Caller); known || !call.IsAPI(info.FullMethod) {
			return handler(ctx, request)
		}
		ctx, err := Identify(ctx, current(ctx))
		if err != nil {
			return nil, err
		}
		return handler(ctx, request)
	}
}

// Identify authenticates the call of the context with the set. It returns the context
// with the caller, whom it has put into the call's record too, or an *outcome.Error,
// CALLER_UNKNOWN.
func Identify(ctx context.Context, set *Set) (context.Context, error) {
	c := call.From(ctx)
	authenticate := set.Authenticate
	if c.Protocol == call.Twilio {
		authenticate = set.AuthenticateBasic
	}
	caller, err := authenticate(ctx)
	if err != nil {
		return nil, outcome.CallerUnknown.Err(outcome.Facts{Cause: err})
	}
	c.Caller, c.KnownBy = caller.Name, caller.Kind.String()
	return WithCaller(ctx, caller), nil
}
