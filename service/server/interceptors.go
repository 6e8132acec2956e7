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

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service"
	"conferenced/service/call"
	"conferenced/service/callers"
	"conferenced/service/clientaddr"
	"conferenced/service/outcome"
	"conferenced/service/telemetry"
)

// maxMargin is the longest time that is kept for the answer.
const maxMargin = 50 * time.Millisecond

// interceptor is one step on the way of every call, over every protocol.
type interceptor struct {
	name  string
	unary grpc.UnaryServerInterceptor
}

// interceptors returns the interceptors of every call in their order, the outermost
// first. The span, the metrics and the access log see the outcome that all others
// decide; recovery is innermost, so that a panic of the service is an outcome before
// they see it. The first recovery only keeps a panic of the others from ending the
// process. Late calls are refused when their deadlines are known and before anything
// else is done for them.
func interceptors(cfg Config, metrics *telemetry.Metrics, refuseLate grpc.UnaryServerInterceptor) ([]interceptor, error) {
	validate, err := service.Validate()
	if err != nil {
		return nil, err
	}
	recovery := recoverPanics(cfg.Logger, metrics.Panicked)
	steps := []interceptor{
		{"last resort", recovery}, {"record", record}, {"deadline", limitDeadline(cfg.DefaultTimeout, cfg.MaxTimeout)},
	}
	if cfg.Tracing != nil {
		steps = append(steps, interceptor{"trace", cfg.Tracing.Interceptor()})
	}
	steps = append(steps,
		interceptor{"metrics", metrics.Interceptor()},
		interceptor{"access log", telemetry.AccessLog(cfg.Logger)})
	audit := &telemetry.Audit{Sink: cfg.Audit, FailOpen: cfg.AuditFailOpen, Logger: cfg.Logger}
	if cfg.Audit != nil {
		steps = append(steps, interceptor{"audit", audit.Interceptor()})
	}
	steps = append(steps,
		interceptor{"settings", pin(cfg.Settings)},
		interceptor{"margin", margin},
		interceptor{"shutdown", refuseLate},
		interceptor{"callers", callers.Interceptor(pinnedCallers)})
	if cfg.Audit != nil {
		steps = append(steps, interceptor{"audit ready", audit.Ready()})
	}
	return append(steps,
		interceptor{"validation", validate},
		interceptor{"recovery", recovery},
	), nil
}

// record begins the call's record. The gateway has made one for the calls that come
// in over HTTP.
func record(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	c := call.From(ctx)
	if c == nil {
		ctx, c = call.New(ctx, call.GRPC)
	}
	c.Method, c.Client, c.Start, c.TraceID = info.FullMethod, clientOf(ctx), time.Now(), telemetry.TraceID(ctx)
	c.Describe(request)
	if update, ok := request.(*conferencev1.UpdateParticipantRequest); ok {
		c.Change = *service.Change(update)
	}
	return handler(ctx, request)
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

// limitDeadline gives every call a deadline: the caller's, but no later than most, or the
// default.
func limitDeadline(byDefault, most time.Duration) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		timeout := byDefault
		if at, ok := ctx.Deadline(); ok {
			timeout = min(time.Until(at), most)
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return handler(ctx, request)
	}
}

// margin ends the work on a call before the call's deadline, so that there is time to
// answer.
func margin(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	at, _ := ctx.Deadline() // See limitDeadline.
	left := time.Until(at)
	ctx, cancel := context.WithDeadline(ctx, at.Add(-min(left/10, maxMargin)))
	defer cancel()
	if err := ctx.Err(); err != nil {
		return nil, outcome.From(err).Kind.Err(outcome.Facts{Cause: err})
	}
	return handler(ctx, request)
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
			return outcome.Internal.Err(outcome.Facts{Applied: outcome.Maybe})
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
