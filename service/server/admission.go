package server

import (
	"context"

	"google.golang.org/grpc"

	"conferenced/service/call"
	"conferenced/service/callers"
	"conferenced/service/outcome"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
)

// admission decides whether a call is served.
type admission struct {
	settings   *settings.Live
	refuseLate func(context.Context) error
	audit      *telemetry.Audit // nil: there is no audit.
}

// intercept is the interceptor that refuses calls which are not served.
func (a *admission) intercept(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	ctx, err := a.admit(ctx)
	if err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

// admit returns the context of a call that is served, with the settings in force and the
// caller, or an *outcome.Error.
func (a *admission) admit(ctx context.Context) (context.Context, error) {
	ctx = pin(ctx, a.settings)
	if err := ctx.Err(); err != nil { // The deadline has passed.
		return nil, outcome.From(err).Kind.Err(outcome.Facts{Cause: err})
	}
	if err := a.refuseLate(ctx); err != nil {
		return nil, err
	}
	if err := limitMetadata(ctx); err != nil {
		return nil, err
	}
	ctx, err := callers.Admit(ctx, pinnedCallers(ctx))
	if err != nil {
		return nil, err
	}
	if c := connOf(ctx); c != nil && call.From(ctx).IsAPI() {
		c.setAuthenticated()
	}
	if a.audit != nil { // After the caller is known, so that the log has the caller.
		if err := a.audit.Ready(ctx); err != nil {
			return nil, err
		}
	}
	return ctx, nil
}
