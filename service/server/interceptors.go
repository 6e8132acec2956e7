package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"conferenced/service"
	"conferenced/service/callers"
	"conferenced/service/clientaddr"
	"conferenced/service/delivery"
	"conferenced/service/gateway"
	"conferenced/service/outcome"
	"conferenced/service/telemetry"
)

// maxMargin is the most that is kept of a caller's deadline to answer in.
const maxMargin = 50 * time.Millisecond

// interceptor is one step on the way of every call, over every protocol.
type interceptor struct {
	name  string
	unary grpc.UnaryServerInterceptor
}

// interceptors are the steps in their order, the outermost first. The span, the
// metrics and the log see what every other step decides; a panic of the service itself becomes a status
// before the log sees it. The first step only keeps a panic of the others from
// ending the process. Late calls are refused when their deadlines are known and
// before anything else is asked of them.
func interceptors(cfg Config, metrics *telemetry.Metrics, refuseLate grpc.UnaryServerInterceptor) ([]interceptor, error) {
	validate, err := service.Validate()
	if err != nil {
		return nil, err
	}
	recovery := recoverPanics(cfg.Logger, metrics.Panicked)
	steps := []interceptor{{"last resort", recovery}}
	if cfg.Tracing != nil {
		steps = append(steps, interceptor{"trace", cfg.Tracing.Interceptor(gateway.Protocol)})
	}
	steps = append(steps,
		interceptor{"metrics", metrics.Interceptor(gateway.Protocol)},
		interceptor{"access log", telemetry.AccessLog(cfg.Logger, gateway.Protocol)})
	if cfg.Audit != nil {
		where := telemetry.Where{Protocol: gateway.Protocol, Client: clientOf}
		steps = append(steps, interceptor{"audit", telemetry.Audit(cfg.Audit, cfg.AuditFailOpen, cfg.Logger, where)})
	}
	return append(steps,
		interceptor{"settings", pin(cfg.Settings)},
		interceptor{"deadline", deadline(cfg.DefaultTimeout)},
		interceptor{"shutdown", refuseLate},
		interceptor{"callers", callers.Interceptor(pinnedCallers, fromTwilioSDK)},
		interceptor{"validation", validate},
		interceptor{"recovery", recovery},
	), nil
}

// fromTwilioSDK says whether the call came by Twilio's own path.
func fromTwilioSDK(ctx context.Context) bool { return gateway.Protocol(ctx) == gateway.ProtocolTwilio }

// authorize decides by the settings that the call began with.
func authorize(ctx context.Context, accountSID string, properties []string) error {
	return pinnedCallers(ctx).Authorize(callers.FromContext(ctx), accountSID, properties)
}

// clientOf is the address of the call's client.
func clientOf(ctx context.Context) string {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	return clientaddr.Host(from.Addr)
}

// adoptForwarded makes the peer of a gRPC call that came by a trusted proxy the
// client itself. The gateway does so for REST.
func (s *Server) adoptForwarded(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	from, ok := peer.FromContext(ctx)
	if !ok || len(s.cfg.TrustedProxies) == 0 {
		return handler(ctx, request)
	}
	forwardedFor := metadata.ValueFromIncomingContext(ctx, "x-forwarded-for")
	client := *from
	client.Addr = clientaddr.Resolve(from.Addr, forwardedFor, s.cfg.TrustedProxies)
	return handler(peer.NewContext(ctx, &client), request)
}

// chain makes one interceptor of several, the first outermost, each of which calls
// its handler at most once. gRPC's own chaining serves only its own server, and
// REST must run the very same steps.
func chain(steps []interceptor) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		next := 0
		var walk grpc.UnaryHandler
		walk = func(ctx context.Context, request any) (any, error) {
			if next == len(steps) {
				return handler(ctx, request)
			}
			next++
			return steps[next-1].unary(ctx, request, info, walk)
		}
		return walk(ctx, request)
	}
}

// errDeadline is the end of a call whose deadline has passed before it began.
var errDeadline = outcome.Deadline.Err(outcome.Facts{})

// deadline gives every call a deadline: the caller's less a margin to answer
// in, or the default.
func deadline(byDefault time.Duration) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		timeout := byDefault
		if at, ok := ctx.Deadline(); ok {
			timeout = time.Until(at)
			timeout -= min(timeout/10, maxMargin)
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if ctx.Err() != nil {
			return nil, errDeadline
		}
		return handler(ctx, request)
	}
}

// recoverPanics turns a panic into a status with a constant text. What was in
// flight by then may have been applied.
func recoverPanics(logger *slog.Logger, panicked func()) grpc.UnaryServerInterceptor {
	return recovery.UnaryServerInterceptor(
		recovery.WithRecoveryHandlerContext(func(ctx context.Context, value any) error {
			panicked()
			logger.LogAttrs(ctx, slog.LevelError, "panic",
				slog.String("value", panicText(value)),
				slog.String("stack", string(debug.Stack())))
			return outcome.Internal.Err(outcome.Facts{Applied: delivery.Maybe})
		}))
}

// panicText is a panic's value where the Go runtime made it. Any other value is
// named by its type alone, for it may hold what must not be logged.
func panicText(value any) string {
	if err, ok := value.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", value)
}
