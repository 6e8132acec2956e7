package callers

import (
	"context"

	"conferenced/service/call"
	"conferenced/service/outcome"
)

// Admit authenticates the call of the context with the set, unless [Identify] has done
// so. Health checks and reflection need no caller. It returns what Identify does.
func Admit(ctx context.Context, set *Set) (context.Context, error) {
	switch identified := ctx.Value(callerKey{}).(type) {
	case Caller:
		return ctx, nil
	case *outcome.Error:
		return ctx, identified
	}
	if !call.From(ctx).IsAPI() {
		return ctx, nil
	}
	return Identify(ctx, set)
}

// Identify authenticates the call of the context with the set, and puts the caller
// into the call's record. It returns the context with the result, and nil or an
// *outcome.Error: CALLER_UNKNOWN, or how the context ended meanwhile. The cause is for
// the log.
//
// Calls on Twilio's own path may also have basic authentication. The certificate is that
// of the context's peer.
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
