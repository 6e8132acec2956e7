package telemetry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/go-logr/logr/funcr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/status"
)

// Tracing creates spans and exports them to a collector. A nil Tracing creates none.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// invalidSetting replaces OpenTelemetry's own messages about a variable, which
// contain its value and so may contain secrets.
const invalidSetting = "traces: a setting in the OTEL_* variables is invalid and is ignored"

// infoLevel is a part of the lines that OpenTelemetry logs for information. It logs
// variables with invalid numbers at this level too.
const infoLevel = `"level"=4`

// NewTracing returns the tracing that the standard OTEL_* variables configure, or nil
// if they do not enable it: one of OTEL_EXPORTER_OTLP_ENDPOINT,
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and OTEL_TRACES_EXPORTER=otlp must be set, and
// neither OTEL_SDK_DISABLED=true nor OTEL_TRACES_EXPORTER=none.
//
// Spans are exported by OTLP over HTTP, or over gRPC if the protocol is grpc. An
// invalid endpoint is an error. Other invalid settings are ignored with a warning,
// and lost spans are logged. Close must be called.
//
// NewTracing replaces OpenTelemetry's global logger and error handler.
func NewTracing(ctx context.Context, version string, logger *slog.Logger) (*Tracing, error) {
	wanted, err := tracesWanted()
	if !wanted || err != nil {
		return nil, err
	}
	otel.SetLogger(funcr.New(func(_, line string) {
		if !strings.Contains(line, infoLevel) || strings.Contains(line, "invalid value") {
			logger.Warn(invalidSetting)
		}
	}, funcr.Options{Verbosity: 4}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if !errors.Is(err, resource.ErrPartialResource) { // describe logs this error.
			logger.Warn(invalidSetting, "error", fmt.Sprintf("%T", err))
		}
	}))
	exporter, err := newExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(describe(ctx, version, logger)),
		sdktrace.WithoutPanicRecording()) // The text of a panic may contain secrets.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.Warn("traces: spans are lost", "cause", exportCause(err))
	}))
	return newTracing(provider), nil
}

func newTracing(provider *sdktrace.TracerProvider) *Tracing {
	return &Tracing{provider: provider, tracer: provider.Tracer("conferenced")}
}

// tracesWanted reports whether the environment enables traces.
func tracesWanted() (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false, nil
	case "otlp":
		return true, nil
	case "":
		return endpoint(baseEndpoint) != "" || endpoint(tracesEndpoint) != "", nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: must be otlp or none", exporter)
	}
}

func newExporter(ctx context.Context) (*otlptrace.Exporter, error) {
	protocol := cmp.Or(
		os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
	if err := errors.Join(checkEndpoint(baseEndpoint, protocol), checkEndpoint(tracesEndpoint, protocol)); err != nil {
		return nil, err
	}
	switch protocol {
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	default:
		return nil, fmt.Errorf("the OTLP protocol is %q: must be grpc or http/protobuf", protocol)
	}
}

// The variables of the collector's address.
const (
	baseEndpoint   = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
)

func endpoint(variable string) string { return strings.TrimSpace(os.Getenv(variable)) }

// checkEndpoint returns an error for an endpoint in which the exporter finds no host,
// because it would then export to localhost. The error does not contain the value,
// which may contain a secret.
func checkEndpoint(variable, protocol string) error {
	text := endpoint(variable)
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		return nil
	}
	if err == nil && protocol == "grpc" && (u.Scheme == "unix" || u.Scheme == "dns") {
		return nil
	}
	return fmt.Errorf("%s: must be a URL with http:// or https://, such as http://collector.example:4318", variable)
}

// describe returns the attributes of this process that all spans have.
// OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence.
func describe(ctx context.Context, version string, logger *slog.Logger) *resource.Resource {
	described, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "conferenced"),
			attribute.String("service.version", version)),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv())
	if err != nil {
		logger.Warn("traces: a part of OTEL_RESOURCE_ATTRIBUTES is not key=value and is ignored")
	}
	return described
}

// Close exports the remaining spans, until the context ends, and stops the export.
// Its error has no URL and no text from the collector, so it can be logged.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return errors.New(exportCause(err))
	}
	return nil
}

// Traceparent returns the traceparent of a traced attempt for its request, or "". It is
// for proxies; Twilio ignores it. The caller's tracestate and baggage are not forwarded.
func (t *Tracing) Traceparent(ctx context.Context) string {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ""
	}
	span := trace.SpanContextFromContext(ctx)
	return "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-" + span.TraceFlags().String()
}

// exportCause returns a text for an exporter's error that can be logged. The error's
// own text may contain the endpoint's path, a proxy's password or the collector's
// answer.
func exportCause(err error) string {
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return network.Error()
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificate.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "the collector did not answer in time"
	}
	if st, ok := status.FromError(err); ok {
		return "the collector answered with the gRPC status " + st.Code().String()
	}
	return "the collector refused the spans or closed the connection: check OTEL_EXPORTER_OTLP_ENDPOINT and its path, and OTEL_EXPORTER_OTLP_HEADERS"
}
