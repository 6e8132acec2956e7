package server

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"conferenced/service"
	"conferenced/service/call"
	"conferenced/service/clientaddr"
	"conferenced/service/gateway"
	"conferenced/service/outcome"
	"conferenced/service/telemetry"
)

// maxMargin is the maximum time before a call's deadline that is kept for the response.
const maxMargin = 50 * time.Millisecond

// interceptor is one of the interceptors of a call. The name is for tests.
type interceptor struct {
	name  string
	unary grpc.UnaryServerInterceptor
}

// interceptors returns the interceptors of every call over every protocol, the
// outermost first. Spans, metrics and access log see the outcome of the inner interceptors.
// Recovery is innermost, so that they see a panic of the service as an outcome; the
// outermost recovery only keeps a panic of an interceptor from ending the process.
//
// member are the interceptors of the update of one participant in a bulk operation.
func interceptors(
	cfg Config, metrics *telemetry.Metrics, refuseLate func(context.Context) error,
) (all, member []interceptor, err error) {
	validate, err := service.Validate()
	if err != nil {
		return nil, nil, err
	}
	recovery := recoverPanics(cfg.Logger, metrics.Panicked)
	all = []interceptor{
		{"last resort", recovery}, {"record", record},
		{"deadline", limitDeadline(cfg.DefaultTimeout, cfg.MaxTimeout)}, {"trace", cfg.Tracing.Interceptor()},
		{"metrics", metrics.Interceptor()}, {"access log", telemetry.AccessLog(cfg.Logger, cfg.LogCall)},
	}
	admission := &admission{settings: cfg.Settings, refuseLate: refuseLate}
	if cfg.Audit != nil {
		admission.audit = &telemetry.Audit{Sink: cfg.Audit, FailOpen: cfg.AuditFailOpen, Logger: cfg.Logger}
		member = []interceptor{{"audit", admission.audit.Interceptor()}}
		all = append(all, member...)
	}
	innermost := interceptor{"recovery", recovery}
	all = append(all, interceptor{"admission", admission.intercept}, interceptor{"validation", validate}, innermost)
	return all, append(member, innermost), nil
}

// record creates the call's record, or takes the gateway's for an HTTP call, and fills it
// in.
func record(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	c := call.From(ctx)
	if c == nil {
		ctx, c = call.New(ctx, call.GRPC)
	}
	c.Client, c.Start = clientOf(ctx), time.Now()
	c.Describe(info.FullMethod, request)
	c.Change = service.Change(request)
	return handler(ctx, request)
}

// clientOf returns the address of the call's client without a port.
func clientOf(ctx context.Context) string {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	if addr, ok := from.Addr.(connAddr); ok {
		return clientaddr.Host(addr.Addr)
	}
	return clientaddr.Host(from.Addr)
}

// adoptForwarded makes the client the peer of a gRPC call that a trusted proxy forwards.
// For HTTP, the gateway does so.
func (s *Server) adoptForwarded(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return handler(ctx, request)
	}
	forwardedFor := metadata.ValueFromIncomingContext(ctx, "x-forwarded-for")
	client := *from
	client.Addr = clientaddr.Resolve(from.Addr, forwardedFor, s.cfg.TrustedProxies)
	return handler(peer.NewContext(ctx, &client), request)
}

// chain returns the interceptors as one, the first outermost. Each of them must call
// its handler at most once. gRPC's own chaining works only in its server, and REST needs
// the same interceptors.
func chain(interceptors []interceptor) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		next := 0
		var walk grpc.UnaryHandler
		walk = func(ctx context.Context, request any) (any, error) {
			if next == len(interceptors) {
				return handler(ctx, request)
			}
			next++
			return interceptors[next-1].unary(ctx, request, info, walk)
		}
		return walk(ctx, request)
	}
}

// limitDeadline gives every call a deadline: the caller's, at most maxTimeout from now, or
// else that of defaultTimeout. The deadline of the context is earlier by a margin, so that
// there is time to respond.
func limitDeadline(defaultTimeout, maxTimeout time.Duration) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		now := time.Now()
		left := defaultTimeout
		if at, ok := ctx.Deadline(); ok {
			left = min(at.Sub(now), maxTimeout)
		}
		call.From(ctx).Deadline = now.Add(left)
		ctx, cancel := context.WithDeadline(ctx, now.Add(left-min(left/10, maxMargin)))
		defer cancel()
		return handler(ctx, request)
	}
}

// recoverPanics turns a panic into INTERNAL. An attempt in flight may have been applied.
func recoverPanics(logger *slog.Logger, panicked func()) grpc.UnaryServerInterceptor {
	return recovery.UnaryServerInterceptor(
		recovery.WithRecoveryHandlerContext(func(ctx context.Context, value any) error {
			panicked()
			logger.LogAttrs(ctx, slog.LevelError, "panic",
				slog.String("value", gateway.PanicText(value)),
				slog.String("stack", string(debug.Stack())))
			return outcome.Internal.Err(outcome.Facts{Applied: outcome.Maybe})
		}))
}
