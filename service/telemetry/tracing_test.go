package telemetry

import (
	"context"
	"net/http"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"conferenced/service/delivery"
)

const (
	parentTrace = "0af7651916cd43dd8448eb211c80319c"
	sampledIn   = "00-" + parentTrace + "-b7ad6b7169203331-01"
	sampledOut  = "00-" + parentTrace + "-b7ad6b7169203331-00"
)

func TestTracesAreOffUnlessWanted(t *testing.T) {
	tests := []struct {
		name        string
		environment map[string]string
		on, fails   bool
	}{
		{"nothing is set", nil, false, false},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, false},
		{"an endpoint of traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, true, false},
		{"an exporter", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, false},
		{"gRPC", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, false},
		{"no exporter", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, false, false},
		{"disabled", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, false, false},
		{"another exporter", map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, true},
		{"another protocol", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{
				"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT",
				"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
			} {
				t.Setenv(name, test.environment[name])
			}
			tracing, err := NewTracing(t.Context(), "v1", discarding)
			if tracing != nil != test.on || err != nil != test.fails {
				t.Errorf("got %v, %v", tracing, err)
			}
			if err := tracing.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// through makes a call with the traceparent go through the interceptor.
func through(ctx context.Context, step grpc.UnaryServerInterceptor, traceparent string, handler grpc.UnaryHandler) {
	if traceparent != "" {
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("traceparent", traceparent))
	}
	_, _ = step(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/conference.v1.ConferenceService/UpdateParticipant"}, handler)
}

func protocolGRPC(context.Context) string { return "grpc" }

func recorded() (*Tracing, *tracetest.InMemoryExporter) {
	exporter := tracetest.NewInMemoryExporter()
	return newTracing(sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))), exporter
}

func TestACallThatIsSampledOutLeavesNothing(t *testing.T) {
	tracing, exporter := recorded()
	header := http.Header{}
	var traced string
	through(t.Context(), tracing.Interceptor(protocolGRPC), sampledOut, func(ctx context.Context, _ any) (any, error) {
		attempt := tracing.attempting(ctx, 1)
		if attempt != ctx {
			t.Error("the attempt has a context of its own")
		}
		tracing.Header(attempt, header)
		tracing.attempted(attempt, delivery.Attempt{})
		traced = traceID(ctx)
		return nil, nil
	})
	if len(exporter.GetSpans()) != 0 || len(header) != 0 {
		t.Errorf("spans %v, header %v", exporter.GetSpans(), header)
	}
	if traced != parentTrace {
		t.Errorf("its trace is %q, want the caller's", traced)
	}
}

func TestOtherServicesAreNotTraced(t *testing.T) {
	tracing, exporter := recorded()
	_, _ = tracing.Interceptor(protocolGRPC)(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/grpc.health.v1.Health/Check"},
		func(context.Context, any) (any, error) { return nil, nil })
	if spans := exporter.GetSpans(); len(spans) != 0 {
		t.Errorf("spans: %v", spans)
	}
}

func TestATraceparentThatIsNone(t *testing.T) {
	for _, text := range []string{"", "00", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "secret"} {
		tracing, exporter := recorded()
		through(t.Context(), tracing.Interceptor(protocolGRPC), text, func(context.Context, any) (any, error) { return nil, nil })
		if spans := exporter.GetSpans(); len(spans) != 1 || spans[0].Parent.IsValid() {
			t.Errorf("%q: %v", text, spans)
		}
	}
}

// BenchmarkTrace is what traces cost a call with one attempt.
func BenchmarkTrace(b *testing.B) {
	discard := newTracing(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(dropping{})))
	never := newTracing(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))
	for _, test := range []struct {
		name, traceparent string
		tracing           *Tracing
	}{
		{"off", "", nil},
		{"off for a caller with a trace", sampledOut, nil},
		{"sampled out", "", never},
		{"sampled out by the caller", sampledOut, discard},
		{"kept", sampledIn, discard},
	} {
		b.Run(test.name, func(b *testing.B) { benchmarkTrace(b, test.tracing, test.traceparent) })
	}
}

func benchmarkTrace(b *testing.B, tracing *Tracing, traceparent string) {
	step := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(ctx, request)
	}
	if tracing != nil {
		step = tracing.Interceptor(protocolGRPC)
	}
	header := http.Header{}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		through(ctx, step, traceparent, func(ctx context.Context, _ any) (any, error) {
			ctx = tracing.attempting(ctx, 1)
			tracing.Header(ctx, header)
			tracing.attempted(ctx, delivery.Attempt{Result: delivery.Succeeded, HTTPStatus: 200})
			return nil, nil
		})
	}
}

// dropping forgets the spans.
type dropping struct{}

func (dropping) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (dropping) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (dropping) Shutdown(context.Context) error                  { return nil }
func (dropping) ForceFlush(context.Context) error                { return nil }
