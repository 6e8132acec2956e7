package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"

	"conferenced/service"
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

// interceptors are the steps in their order, the outermost first. The log sees
// what every other step decides; a panic of the service itself becomes a status
// before the log sees it. The first step only keeps a panic of the others from
// ending the process.
func interceptors(cfg Config) ([]interceptor, error) {
	validate, err := service.Validate()
	if err != nil {
		return nil, err
	}
	return []interceptor{
		{"last resort", recoverPanics(cfg.Logger)},
		{"access log", telemetry.AccessLog(cfg.Logger, gateway.Protocol)},
		{"deadline", deadline(cfg.DefaultTimeout)},
		{"validation", validate},
		{"recovery", recoverPanics(cfg.Logger)},
	}, nil
}

// chain makes one interceptor of several, the first outermost. gRPC's own
// chaining serves only its own server, and REST must run the very same steps.
func chain(steps []interceptor) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		for _, step := range slices.Backward(steps) {
			next := handler
			handler = func(ctx context.Context, request any) (any, error) {
				return step.unary(ctx, request, info, next)
			}
		}
		return handler(ctx, request)
	}
}

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
			return nil, outcome.Deadline.Err(outcome.Facts{})
		}
		return handler(ctx, request)
	}
}

// recoverPanics turns a panic into a status with a constant text. What was in
// flight by then may have been applied.
func recoverPanics(logger *slog.Logger) grpc.UnaryServerInterceptor {
	return recovery.UnaryServerInterceptor(
		recovery.WithRecoveryHandlerContext(func(ctx context.Context, value any) error {
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

// readable returns the service's description with every method answering
// INVALID_ARGUMENT, as the table says, where gRPC would answer INTERNAL: when
// the bytes of a request are no message. The interceptors see that call too.
func readable(desc grpc.ServiceDesc) *grpc.ServiceDesc {
	methods := make([]grpc.MethodDesc, len(desc.Methods))
	for i, method := range desc.Methods {
		methods[i] = grpc.MethodDesc{
			MethodName: method.MethodName,
			Handler:    readableHandler("/"+desc.ServiceName+"/"+method.MethodName, method.Handler),
		}
	}
	desc.Methods = methods
	return &desc
}

func readableHandler(fullMethod string, handler grpc.MethodHandler) grpc.MethodHandler {
	return func(
		srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor,
	) (any, error) {
		unreadable := false
		response, err := handler(srv, ctx, func(message any) error {
			err := decode(message)
			unreadable = err != nil
			return err
		}, intercept)
		if !unreadable {
			return response, err
		}
		refuse := func(context.Context, any) (any, error) {
			return nil, outcome.InvalidRequest.Err(outcome.Facts{
				Detail: "it is not a message of this method, or a text in it is not UTF-8",
			})
		}
		return intercept(ctx, nil, &grpc.UnaryServerInfo{Server: srv, FullMethod: fullMethod}, refuse)
	}
}
