package server

import (
	"context"

	"conferenced/service/callers"
	"conferenced/service/settings"
	"conferenced/service/twilio"
)

type settingsKey struct{}

// pin returns the context of a call with the settings in force. They apply to the whole
// call, also if they are reloaded meanwhile.
func pin(ctx context.Context, live *settings.Live) context.Context {
	if ctx.Value(settingsKey{}) != nil { // See authenticateEarly.
		return ctx
	}
	return context.WithValue(ctx, settingsKey{}, live.Current())
}

// authenticateEarly authenticates an HTTP call before its body is read, by the settings
// that it pins for the call.
func (s *Server) authenticateEarly(ctx context.Context) (context.Context, error) {
	ctx = context.WithValue(ctx, settingsKey{}, s.cfg.Settings.Current())
	ctx, err := callers.Identify(ctx, pinnedCallers(ctx))
	if c := connOf(ctx); c != nil && err == nil {
		c.setAuthenticated()
	}
	return ctx, err
}

// pinned returns the settings of the call. It panics unless pin ran before.
func pinned(ctx context.Context) *settings.Set {
	return ctx.Value(settingsKey{}).(*settings.Set)
}

func pinnedCallers(ctx context.Context) *callers.Set { return pinned(ctx).Callers }

func pinnedSettings(ctx context.Context) (*twilio.Accounts, *callers.Set) {
	set := pinned(ctx)
	return set.Accounts, set.Callers
}
