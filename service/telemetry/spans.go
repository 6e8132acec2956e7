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

	"conferenced/service/call"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// Interceptor returns the interceptor that records the trace ID of each call. If t is not
// nil, it creates a span for each call of the API, as a child of the span in the caller's
// W3C traceparent.
//
// A span has SIDs, IDs and codes, and no label, URL, credential or other text from
// the caller.
func (t *Tracing) Interceptor() grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		c := call.From(ctx)
		if t == nil || !c.IsAPI() {
			c.TraceID = TraceID(ctx)
			return handler(ctx, request)
		}
		ctx, span := t.tracer.Start(withParent(ctx), c.Method[1:], serverSpan...)
		defer span.End()
		c.TraceID = TraceID(ctx)
		if !span.IsRecording() {
			return handler(ctx, request)
		}
		response, err := handler(ctx, request)
		failed := outcome.From(err)
		span.SetAttributes(callAttributes(c, failed)...)
		if isServerError(codeOf(failed)) {
			span.SetStatus(otelcodes.Error, "")
		}
		return response, err
	}
}

var (
	serverSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	clientSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
)

// withParent returns the context with the remote span of the caller's traceparent, if
// that is valid.
func withParent(ctx context.Context) context.Context {
	parents := metadata.ValueFromIncomingContext(ctx, "traceparent")
	if len(parents) != 1 {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
		"traceparent": parents[0],
		"tracestate":  strings.Join(metadata.ValueFromIncomingContext(ctx, "tracestate"), ","),
	})
}

func callAttributes(c *call.Call, failed *outcome.Error) []attribute.KeyValue {
	service, name, _ := strings.Cut(c.Method[1:], "/")
	attributes := []attribute.KeyValue{
		attribute.String("rpc.system", "grpc"),
		attribute.String("rpc.service", service),
		attribute.String("rpc.method", name),
		attribute.Int("rpc.grpc.status_code", int(codeOf(failed))),
		attribute.String("conferenced.protocol", string(c.Protocol)),
	}
	put := func(key, value string) {
		if value != "" {
			attributes = append(attributes, attribute.String(key, value))
		}
	}
	put("twilio.account_sid", c.AccountSID)
	put("twilio.conference_sid", c.ConferenceSID)
	put("twilio.call_sid", c.CallSID)
	put("conferenced.request_id", c.RequestID)
	put("twilio.request_id", c.TwilioRequestID)
	if failed != nil {
		put("conferenced.reason", failed.Reason)
		put("conferenced.applied", failed.Applied.String())
	}
	return attributes
}

// isServerError reports whether the code is a failure of the service rather than the
// caller's.
func isServerError(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal,
		codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// attempting starts the span of an attempt, if the call's span is recorded.
func (t *Tracing) attempting(ctx context.Context, operation twilio.Operation, n int) context.Context {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	ctx, span := t.tracer.Start(ctx, "twilio "+operation.String(), clientSpan...)
	span.SetAttributes(attribute.String("http.request.method", operation.Method()), attribute.Int("conferenced.attempt", n))
	return ctx
}

// attempted ends the span that attempting started.
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

// replayed marks the call's span: nothing was sent.
func (t *Tracing) replayed(ctx context.Context) {
	if t != nil {
		trace.SpanFromContext(ctx).SetAttributes(attribute.Bool("conferenced.replayed", true))
	}
}

// TraceID returns the trace ID of the call's span or of the caller's W3C traceparent,
// or "" if there is none.
func TraceID(ctx context.Context) string {
	span := trace.SpanContextFromContext(ctx)
	if !span.HasTraceID() {
		span = trace.SpanContextFromContext(withParent(ctx))
	}
	if !span.HasTraceID() {
		return ""
	}
	return span.TraceID().String()
}
