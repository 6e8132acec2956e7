package telemetry

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/metadata"

	"conferenced/service/call"
	"conferenced/service/delivery"
	"conferenced/service/twilio"
)

const (
	parentTrace = "0af7651916cd43dd8448eb211c80319c"
	sampledOut  = "00-" + parentTrace + "-b7ad6b7169203331-00"
)

// setOTEL sets OTEL_* variables and clears all others.
func setOTEL(t *testing.T, environment map[string]string) {
	t.Helper()
	for _, name := range []string{
		"SDK_DISABLED", "TRACES_EXPORTER", "TRACES_SAMPLER", "SERVICE_NAME", "RESOURCE_ATTRIBUTES",
		"EXPORTER_OTLP_ENDPOINT", "EXPORTER_OTLP_TRACES_ENDPOINT", "EXPORTER_OTLP_HEADERS",
		"EXPORTER_OTLP_PROTOCOL", "EXPORTER_OTLP_TRACES_PROTOCOL", "BSP_SCHEDULE_DELAY",
	} {
		t.Setenv("OTEL_"+name, environment["OTEL_"+name])
	}
}

func TestTracesAreDisabledUnlessConfigured(t *testing.T) {
	const base, traces, exporter, protocol = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
		"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL"
	const form = ": must be a URL with http:// or https://, such as http://collector.example:4318"
	tests := []struct {
		name        string
		environment map[string]string
		on          bool
		refused     string
	}{
		{"nothing is set", nil, false, ""},
		{"an endpoint", map[string]string{base: "http://127.0.0.1:1"}, true, ""},
		{"an endpoint for traces", map[string]string{traces: "http://127.0.0.1:1/path"}, true, ""},
		{"an exporter", map[string]string{exporter: "otlp"}, true, ""},
		{"gRPC", map[string]string{base: "https://127.0.0.1:1", protocol: "grpc"}, true, ""},
		{"gRPC over a Unix socket", map[string]string{base: "unix:///nowhere", protocol: "grpc"}, true, ""},
		{"no exporter", map[string]string{base: "http://127.0.0.1:1", exporter: "none"}, false, ""},
		{"disabled", map[string]string{exporter: "otlp", "OTEL_SDK_DISABLED": "true"}, false, ""},
		{"another exporter", map[string]string{exporter: "zipkin"}, false, `OTEL_TRACES_EXPORTER is "zipkin": must be otlp or none`},
		{"another protocol", map[string]string{exporter: "otlp", protocol: "http/json"}, false, `the OTLP protocol is "http/json": must be grpc or http/protobuf`},
		{"a host without a scheme", map[string]string{base: "collector:4318"}, false, base + form},
		{"an address without a scheme", map[string]string{base: "10.0.0.1:4318"}, false, base + form},
		{"gRPC to a host without a scheme", map[string]string{base: "collector:4317", protocol: "grpc"}, false, base + form},
		{"a host without a scheme and port", map[string]string{traces: "collector"}, false, traces + form},
		{"a URL without a host", map[string]string{traces: "https:///secret"}, false, traces + form},
		{"HTTP over a Unix socket", map[string]string{base: "unix:///nowhere"}, false, base + form},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			setOTEL(t, test.environment)
			tracing, err := NewTracing(t.Context(), "v1", discarding)
			if tracing != nil != test.on {
				t.Errorf("got %v", tracing)
			}
			if test.refused == "" && err != nil || test.refused != "" && (err == nil || err.Error() != "traces: "+test.refused && err.Error() != test.refused) {
				t.Errorf("error %v, want %q", err, test.refused)
			}
			if err := tracing.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestInvalidSettingsAreIgnored checks that the service starts, and warns without the
// secrets in the settings.
func TestInvalidSettingsAreIgnored(t *testing.T) {
	tests := []struct{ name, variable, value, want string }{
		{"a header without a value", "OTEL_EXPORTER_OTLP_HEADERS", "authorization:secret", invalidSetting},
		{"a header that is not percent-encoded", "OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret%zz", invalidSetting},
		{"an invalid name of a header", "OTEL_EXPORTER_OTLP_HEADERS", "the secret=a", invalidSetting},
		{"a sampler", "OTEL_TRACES_SAMPLER", "secret", invalidSetting},
		{"a number", "OTEL_BSP_SCHEDULE_DELAY", "secret", invalidSetting},
		{"an attribute without a value", "OTEL_RESOURCE_ATTRIBUTES", "a=b,secret", "OTEL_RESOURCE_ATTRIBUTES"},
		{"a trailing comma", "OTEL_RESOURCE_ATTRIBUTES", "a=b,", "OTEL_RESOURCE_ATTRIBUTES"},
		{"an attribute that is not percent-encoded", "OTEL_RESOURCE_ATTRIBUTES", "a=secret%zz", invalidSetting},
	}
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		for _, test := range tests {
			t.Run(protocol+"/"+test.name, func(t *testing.T) {
				setOTEL(t, map[string]string{
					"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, test.variable: test.value,
				})
				var log bytes.Buffer
				logger, err := NewLogger(&log, "info", "text")
				if err != nil {
					t.Fatal(err)
				}
				tracing, err := NewTracing(t.Context(), "v1", logger)
				if err != nil {
					t.Fatal(err)
				}
				defer tracing.Close(t.Context())
				if got := log.String(); !strings.Contains(got, test.want) || strings.Contains(got, "secret") {
					t.Errorf("logged %s", got)
				}
			})
		}
	}
}

func TestInvalidAttributesAreOmitted(t *testing.T) {
	setOTEL(t, map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine,nonsense,a=b"})
	got := describe(t.Context(), "v1", discarding).String()
	if !strings.Contains(got, "a=b") || !strings.Contains(got, "service.name=mine") || !strings.Contains(got, "service.version=v1") {
		t.Errorf("got %s", got)
	}
}

// TestExportErrorsContainNoSecrets exports to a collector that refuses spans, and to
// addresses without a collector.
func TestExportErrorsContainNoSecrets(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "secret", http.StatusForbidden)
	}))
	defer refusing.Close()
	tests := []struct{ name, endpoint, protocol, want string }{
		{"refused", refusing.URL, "http/protobuf", "the collector refused the spans"},
		{"no collector", "http://127.0.0.1:1", "http/protobuf", "connection refused"},
		{"no collector for gRPC", "http://127.0.0.1:1", "grpc", "the collector answered with the gRPC status Unavailable"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			setOTEL(t, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": test.endpoint + "/secret", "OTEL_EXPORTER_OTLP_PROTOCOL": test.protocol,
			})
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
			var log bytes.Buffer
			logger, err := NewLogger(&log, "debug", "text")
			if err != nil {
				t.Fatal(err)
			}
			tracing, err := NewTracing(t.Context(), "v1", logger)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = through(t.Context(), tracing.Interceptor(), call.Call{Method: method}, nil, answering(nil, nil))
			text := ""
			if err := tracing.Close(t.Context()); err != nil {
				text = err.Error()
			}
			text += log.String()
			if !strings.Contains(text, test.want) || strings.Contains(text, "secret") {
				t.Errorf("told: %s", text)
			}
		})
	}
}

func recorded() (*Tracing, *tracetest.InMemoryExporter) {
	exporter := tracetest.NewInMemoryExporter()
	return newTracing(sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))), exporter
}

func withTraceparent(ctx context.Context, traceparent string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs("traceparent", traceparent))
}

func TestUnsampledCallHasNoSpan(t *testing.T) {
	tracing, exporter := recorded()
	var traceparent, traced string
	ctx := withTraceparent(t.Context(), sampledOut)
	_, _ = through(ctx, tracing.Interceptor(), call.Call{Method: method}, nil, func(ctx context.Context, _ any) (any, error) {
		attempt := tracing.attempting(ctx, twilio.FetchParticipant, 1)
		if attempt != ctx {
			t.Error("the attempt has a context of its own")
		}
		traceparent = tracing.Traceparent(attempt)
		tracing.attempted(attempt, delivery.Attempt{})
		traced = call.From(ctx).TraceID
		return nil, nil
	})
	if len(exporter.GetSpans()) != 0 || traceparent != "" {
		t.Errorf("spans %v, traceparent %q", exporter.GetSpans(), traceparent)
	}
	if traced != parentTrace {
		t.Errorf("its trace is %q, want the caller's", traced)
	}
}

func TestOtherServicesAreNotTraced(t *testing.T) {
	tracing, exporter := recorded()
	_, _ = through(t.Context(), tracing.Interceptor(), call.Call{Method: healthCheck}, nil, answering(nil, nil))
	if spans := exporter.GetSpans(); len(spans) != 0 {
		t.Errorf("spans: %v", spans)
	}
}

func TestInvalidTraceparentIsIgnored(t *testing.T) {
	for _, text := range []string{"", "00", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "secret"} {
		tracing, exporter := recorded()
		ctx := withTraceparent(t.Context(), text)
		_, _ = through(ctx, tracing.Interceptor(), call.Call{Method: method}, nil, answering(nil, nil))
		if spans := exporter.GetSpans(); len(spans) != 1 || spans[0].Parent.IsValid() {
			t.Errorf("%q: %v", text, spans)
		}
		if got := TraceID(ctx); got != "" {
			t.Errorf("%q: the trace is %q", text, got)
		}
	}
}
