package server

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"

	"conferenced/service/callers"
	"conferenced/service/settings"
	"conferenced/service/twilio"
)

type settingsKey struct{}

// pin keeps the settings in force at the beginning of a call for the whole call.
func pin(live *settings.Live) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		if ctx.Value(settingsKey{}) == nil { // See authenticateEarly.
			ctx = context.WithValue(ctx, settingsKey{}, live.Current())
		}
		return handler(ctx, request)
	}
}

// authenticateEarly authenticates an HTTP call before its body is read. It pins the
// settings for the call.
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

// checkExposure returns an error if admin is public without AdminPublic, if callers are
// authenticated and there is no policy, or if they are not authenticated and gRPC or
// HTTP is public without AllowAnonymous.
func (s *Server) checkExposure() error {
	if !s.cfg.AdminPublic && !isLoopback(s.Admin) {
		return fmt.Errorf("admin address %s is not a loopback address, and admin authenticates nobody: "+
			"allow it with --admin-public", s.Admin)
	}
	known := s.cfg.Settings.Current().Callers
	if known.Authenticating() {
		if known.Policy == nil {
			return errors.New("callers are authenticated, but there is no policy")
		}
		return nil
	}
	if s.cfg.AllowAnonymous {
		s.cfg.Logger.Warn("callers are not authenticated: every client that reaches this service may change any conference",
			"grpc", s.GRPC.String(), "http", s.HTTP.String())
		return nil
	}
	for name, addr := range map[string]net.Addr{"gRPC": s.GRPC, "HTTP": s.HTTP} {
		if !isLoopback(addr) {
			return fmt.Errorf("%s address %s is not a loopback address and callers are not authenticated: "+
				"configure tokens, JWTs or client certificates, or allow anonymous callers", name, addr)
		}
	}
	return nil
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
