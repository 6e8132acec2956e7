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

// pin keeps for a whole call the settings that it began with, whatever is
// reloaded meanwhile.
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

// authenticateEarly authenticates a call that came in over HTTP before its body is
// read, with the settings that are then pinned for it.
func (s *Server) authenticateEarly(ctx context.Context) (context.Context, error) {
	ctx = context.WithValue(ctx, settingsKey{}, s.cfg.Settings.Current())
	return callers.Identify(ctx, pinnedCallers(ctx))
}

// pinned is what the call began with. Without pin before it, it panics.
func pinned(ctx context.Context) *settings.Set {
	return ctx.Value(settingsKey{}).(*settings.Set)
}

func pinnedCallers(ctx context.Context) *callers.Set { return pinned(ctx).Callers }

func pinnedSettings(ctx context.Context) (*twilio.Accounts, *callers.Set) {
	set := pinned(ctx)
	return set.Accounts, set.Callers
}

// checkExposure refuses to serve strangers by mistake: without any way of
// knowing callers, gRPC and HTTP are for this machine alone unless allowed
// otherwise. With one, there must be a policy that says what callers may do.
func (s *Server) checkExposure() error {
	known := s.cfg.Settings.Current().Callers
	if known.Authenticating() {
		if known.Policy == nil {
			return errors.New("callers are authenticated, but there is no policy that says what they may do")
		}
		return nil
	}
	if s.cfg.AllowAnonymous {
		s.cfg.Logger.Warn("callers are not authenticated: anybody who reaches this service may change any conference",
			"grpc", s.GRPC.String(), "http", s.HTTP.String())
		return nil
	}
	for name, addr := range map[string]net.Addr{"gRPC": s.GRPC, "HTTP": s.HTTP} {
		if tcp, ok := addr.(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
			return fmt.Errorf("%s address %s is not a loopback address and callers are not authenticated: "+
				"configure tokens, JWTs or client certificates, or allow anonymous callers", name, addr)
		}
	}
	return nil
}
