package callers

import (
	"context"
	"strings"

	"google.golang.org/grpc"

	"conferenced/service/outcome"
	"conferenced/service/telemetry"
)

// guarded is how the full names of the methods begin whose callers must be
// known. Others, health checks among them, need no caller.
const guarded = "/conference."

// Interceptor authenticates each call of the API with the Set that current
// returns for it, and puts the caller in the call's context. A call whose caller
// is not known ends as CALLER_UNKNOWN; why is the cause in [telemetry.Call].
//
// Calls of which basic says so may come with basic authentication too.
//
// The certificate is the one of the context's peer, so what makes a call from
// elsewhere keep its peer belongs before this interceptor.
func Interceptor(current func(context.Context) *Set, basic func(context.Context) bool) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		if !strings.HasPrefix(info.FullMethod, guarded) {
			return handler(ctx, request)
		}
		ctx, err := authenticated(ctx, current(ctx), basic(ctx))
		if err != nil {
			return nil, err
		}
		return handler(ctx, request)
	}
}

// authenticated is the context of a call whose caller is known.
func authenticated(ctx context.Context, set *Set, basic bool) (context.Context, error) {
	call := telemetry.CallFrom(ctx)
	authenticate := set.Authenticate
	if basic {
		authenticate = set.AuthenticateBasic
	}
	caller, err := authenticate(ctx)
	if err != nil {
		call.Cause = err
		return nil, outcome.CallerUnknown.Err(outcome.Facts{})
	}
	call.Caller, call.KnownBy = caller.Name, caller.Kind.String()
	return WithCaller(ctx, caller), nil
}
