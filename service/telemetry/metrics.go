package telemetry

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"conferenced/service/outcome"
)

// namespace begins the name of every metric of the service's own.
const namespace = "conferenced"

// The bounds of the histograms, in seconds.
var (
	callBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	waitBuckets = []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10}
)

// Metrics count what the service does, in a registry of their own. Their labels
// have closed sets of values: no SID, no label of a participant, no name of a
// caller and nothing else that a caller or Twilio says is one.
type Metrics struct {
	registry *prometheus.Registry
	calls    *callMetrics
	upstream upstreamMetrics
	panics   prometheus.Counter
}

// NewMetrics returns metrics that nothing has moved yet. The version is what
// the build's information says of the program.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls:    newCallMetrics(),
		upstream: newUpstreamMetrics(),
		panics:   counter("panics_total", "Panics that were caught."),
	}
	m.registry.MustRegister(m.calls.all()...)
	m.registry.MustRegister(m.upstream.all()...)
	m.registry.MustRegister(
		m.panics, buildInfo(version),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers a scrape with all metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Panicked counts a panic.
func (m *Metrics) Panicked() { m.panics.Inc() }

// CountSuppressed makes the metrics tell how many lines the logger has
// suppressed, if it is one that NewLogger made.
func (m *Metrics) CountSuppressed(logger *slog.Logger) {
	control := ControlOf(logger)
	for _, level := range []slog.Level{slog.LevelWarn, slog.LevelError} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: namespace, Name: "log_lines_suppressed_total",
			Help:        "Log lines that were not written because many of the same kind were.",
			ConstLabels: prometheus.Labels{"level": levelName(level)},
		}, func() float64 { return float64(control.Suppressed(level)) }))
	}
}

// CountAuditFailures makes the metrics tell how often the sink's records could
// not be written. Nil is a sink that never fails.
func (m *Metrics) CountAuditFailures(sink *AuditSink) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: namespace, Name: "audit_failures_total",
		Help: "Times that audit records could not be written.",
	}, func() float64 { return float64(sink.Failures()) }))
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
	}, labels)
}

func buildInfo(version string) prometheus.Collector {
	revision := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value
			}
		}
	}
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1; its labels say what was built.",
		ConstLabels: prometheus.Labels{
			"version": cmp.Or(version, "unknown"), "revision": cmp.Or(revision, "unknown"),
			"go_version": runtime.Version(),
		},
	})
	gauge.Set(1)
	return gauge
}

// callMetrics are about calls as their callers see them.
type callMetrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	errors   *prometheus.CounterVec
	policy   prometheus.Counter
	gateway  *prometheus.CounterVec

	// Series looked up so far: series by callKind.
	known sync.Map
}

// callKind is what calls are told apart by.
type callKind struct {
	method, protocol string
	code             codes.Code
}

func (m *callMetrics) series(kind callKind) series {
	if known, ok := m.known.Load(kind); ok {
		return known.(series)
	}
	labels := []string{kind.method, kind.protocol, kind.code.String()}
	found := series{m.total.WithLabelValues(labels...), m.duration.WithLabelValues(labels...)}
	m.known.Store(kind, found)
	return found
}

func newCallMetrics() *callMetrics {
	m := &callMetrics{
		total: counters("calls_total", "Calls that ended.", "method", "protocol", "code"),
		duration: histograms("call_duration_seconds", "How long calls took.", callBuckets,
			"method", "protocol", "code"),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "calls_in_flight", Help: "Calls under way.",
		}, []string{"protocol"}),
		errors:  counters("call_errors_total", "Calls that failed, by what their callers were told.", "reason"),
		policy:  counter("policy_refusals_total", "Calls whose caller may not do what they ask."),
		gateway: counters("gateway_refusals_total", "HTTP requests that the gateway refused before they became calls.", "reason"),
	}
	for _, kind := range outcome.Table {
		m.errors.WithLabelValues(kind.Reason)
	}
	return m
}

func (m *callMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.total, m.duration, m.inFlight, m.errors, m.policy, m.gateway}
}

// Interceptor counts and times the calls by method, protocol and code. A call
// that panics is counted when what is within makes a status of that, as it
// should.
func (m *Metrics) Interceptor(protocol func(context.Context) string) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		start, by := time.Now(), protocol(ctx)
		inFlight := m.calls.inFlight.WithLabelValues(by)
		inFlight.Inc()
		defer inFlight.Dec()
		response, err := handler(ctx, request)
		m.calls.ended(info.FullMethod, by, start, err)
		return response, err
	}
}

func (m *callMetrics) ended(method, protocol string, start time.Time, err error) {
	ended := m.series(callKind{method, protocol, status.Code(err)})
	ended.count.Inc()
	ended.duration.Observe(time.Since(start).Seconds())
	if err != nil {
		m.failed(err)
	}
}

func (m *callMetrics) failed(err error) {
	st := status.Convert(err)
	reason := outcome.Info(st).GetReason()
	if reason == "" {
		reason = outcome.Info(outcome.Complete(st, 0)).GetReason()
	}
	m.errors.WithLabelValues(reason).Inc()
	if reason == outcome.NotAllowed.Reason && st.Code() == codes.PermissionDenied {
		m.policy.Inc()
	}
}

// RefusedByGateway counts a request that the gateway refused by itself, with a
// reason of the table.
func (m *Metrics) RefusedByGateway(reason string) { m.calls.gateway.WithLabelValues(reason).Inc() }
