package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// Interceptor makes a span of each call of the API. Its parent is the one that
// the caller's W3C traceparent names, over gRPC and REST alike.
//
// A span holds SIDs, ids, the codes of what came of the call and the names of
// nothing: no label, URL, credential or text of the caller's.
func (t *Tracing) Interceptor(protocol func(context.Context) string) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		if !isAPI(info.FullMethod) {
			return handler(ctx, request)
		}
		ctx, span := t.tracer.Start(withParent(ctx), info.FullMethod[1:], serverSpan...)
		// Not deferred by itself: End would then recover a panic and export its
		// text, which may hold what must not be written.
		defer func() { span.End() }()
		if !span.IsRecording() {
			return handler(ctx, request)
		}
		ctx, call := WithCall(ctx)
		response, err := handler(ctx, request)
		span.SetAttributes(callAttributes(info.FullMethod, protocol(ctx), request, call, err)...)
		if isServerError(status.Code(err)) {
			span.SetStatus(otelcodes.Error, "")
		}
		return response, err
	}
}

var (
	serverSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	clientSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
)

// withParent is the context with the span that the caller's traceparent names,
// if it names one.
func withParent(ctx context.Context) context.Context {
	parents := metadata.ValueFromIncomingContext(ctx, "traceparent")
	if len(parents) != 1 {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, incoming{ctx, parents[0]})
}

// incoming is the W3C part of a server's metadata.
type incoming struct {
	ctx         context.Context
	traceparent string
}

// Get is propagation.TextMapCarrier's.
func (i incoming) Get(key string) string {
	if key == "traceparent" {
		return i.traceparent
	}
	return strings.Join(metadata.ValueFromIncomingContext(i.ctx, key), ",")
}

// Set is propagation.TextMapCarrier's. Nothing is written to what came in.
func (i incoming) Set(string, string) {}

// Keys is propagation.TextMapCarrier's. W3C's headers are got by name.
func (i incoming) Keys() []string { return nil }

func callAttributes(method, protocol string, request any, call *Call, err error) []attribute.KeyValue {
	service, name, _ := strings.Cut(method[1:], "/")
	attributes := []attribute.KeyValue{
		attribute.String("rpc.system", "grpc"),
		attribute.String("rpc.service", service),
		attribute.String("rpc.method", name),
		attribute.Int("rpc.grpc.status_code", int(status.Code(err))),
		attribute.String("conferenced.protocol", protocol),
	}
	put := func(key, value string) {
		if value != "" {
			attributes = append(attributes, attribute.String(key, value))
		}
	}
	known := idsOf(request, call)
	put("twilio.account_sid", known.account)
	put("twilio.conference_sid", known.conference)
	put("twilio.call_sid", known.call)
	put("conferenced.request_id", known.request)
	put("twilio.request_id", call.TwilioRequestID)
	if err != nil {
		info := outcome.Info(status.Convert(err))
		put("conferenced.reason", info.GetReason())
		put("conferenced.applied", info.GetMetadata()[outcome.KeyApplied])
	}
	return attributes
}

// isServerError says whether the code tells of a failure of the service, and not
// of its caller.
func isServerError(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal,
		codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// attempting begins the span of an attempt, if the call has one that is kept.
func (t *Tracing) attempting(ctx context.Context, n int) context.Context {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	ctx, span := t.tracer.Start(ctx, "twilio update participant", clientSpan...)
	span.SetAttributes(attribute.String("http.request.method", "POST"), attribute.Int("conferenced.attempt", n))
	return ctx
}

// attempted ends the span that attempting began.
func (t *Tracing) attempted(ctx context.Context, attempt delivery.Attempt) {
	if t == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		attribute.String("conferenced.outcome", string(attempt.Result)),
		attribute.Bool("conferenced.connection_reused", attempt.Reused))
	if attempt.HTTPStatus != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", attempt.HTTPStatus))
	}
	if attempt.TwilioCode != 0 {
		span.SetAttributes(attribute.Int("twilio.code", attempt.TwilioCode))
	}
	if attempt.TwilioRequestID != "" {
		span.SetAttributes(attribute.String("twilio.request_id", attempt.TwilioRequestID))
	}
	if attempt.Result != delivery.Succeeded {
		span.SetStatus(otelcodes.Error, string(attempt.Result))
	}
	span.End()
}

// replayed says on the call's span that nothing was sent for it.
func (t *Tracing) replayed(ctx context.Context) {
	if t != nil {
		trace.SpanFromContext(ctx).SetAttributes(attribute.Bool("conferenced.replayed", true))
	}
}

// traceID is the trace that the call belongs to: that of its span, or of the
// caller's W3C traceparent. Empty: none.
func traceID(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		return span.TraceID().String()
	}
	values := metadata.ValueFromIncomingContext(ctx, "traceparent")
	if len(values) != 1 {
		return ""
	}
	parts := strings.Split(values[0], "-")
	if len(parts) < 4 || len(parts[1]) != 32 || !isHex(parts[1]) {
		return ""
	}
	return parts[1]
}
