package telemetry

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"conferenced/service/call"
	"conferenced/service/outcome"
)

// namespace is the prefix of the names of the service's own metrics.
const namespace = "conferenced"

// The bounds of the histograms, in seconds.
var (
	callBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	waitBuckets = []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10}
)

// Metrics is the service's metrics, in their own registry. Their labels have fixed
// sets of values: no SID, no participant's label, no caller's name and nothing else
// that a caller or Twilio sent.
type Metrics struct {
	registry *prometheus.Registry
	calls    *callMetrics
	upstream upstreamMetrics
	panics   prometheus.Counter

	listeners listenerMetrics
}

// NewMetrics returns metrics with the value 0. The version and the revision are labels
// of conferenced_build_info.
func NewMetrics(version, revision string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls:    newCallMetrics(),
		upstream: newUpstreamMetrics(),
		panics:   counter("panics_total", "Panics that were caught."),

		listeners: newListenerMetrics(),
	}
	m.registry.MustRegister(m.calls.all()...)
	m.registry.MustRegister(m.upstream.all()...)
	m.registry.MustRegister(m.listeners.all()...)
	m.registry.MustRegister(
		m.panics, buildInfo(version, revision),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler returns the handler of /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Panicked counts a panic.
func (m *Metrics) Panicked() { m.panics.Inc() }

// CountLog registers the metrics of a logger that [NewLogger] returned. It must be
// called at most once.
func (m *Metrics) CountLog(logger *slog.Logger) {
	control := ControlOf(logger)
	m.registry.MustRegister(counterFunc("log_lines_dropped_total",
		"Log lines that were lost because the reader of the output stalled or exited.", nil, control.dropped))
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		m.registry.MustRegister(counterFunc("log_lines_suppressed_total",
			"Log lines that were suppressed because there were many of the same kind.",
			prometheus.Labels{"level": levelName(level)},
			func() int64 { return control.suppressed(level) }))
	}
}

// CountAudit registers the metrics of a sink; for nil they are 0. It must be called
// at most once.
func (m *Metrics) CountAudit(sink *AuditSink) {
	if sink == nil {
		sink = new(AuditSink)
	}
	m.registry.MustRegister(
		counterFunc("audit_failures_total", "Failures to write audit records.", nil, sink.failures.Load),
		counterFunc("audit_records_skipped_total",
			"Unauthenticated calls without an audit record, because there were too many.", nil, sink.skipped.Load))
}

func counterFunc(name, help string, labels prometheus.Labels, count func() int64) prometheus.Collector {
	return prometheus.NewCounterFunc(
		prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels},
		func() float64 { return float64(count()) })
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

func buildInfo(version, revision string) prometheus.Collector {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, labelled with the version of the program.",
		ConstLabels: prometheus.Labels{
			"version": cmp.Or(version, "unknown"), "revision": cmp.Or(revision, "unknown"),
			"go_version": runtime.Version(),
		},
	})
	gauge.Set(1)
	return gauge
}

// callMetrics are the metrics of calls.
type callMetrics struct {
	total           *prometheus.CounterVec
	duration        *prometheus.HistogramVec
	unauthenticated *prometheus.CounterVec
	inFlight        *prometheus.GaugeVec
	errors          *prometheus.CounterVec
	policy          prometheus.Counter
	gateway         *prometheus.CounterVec
}

func newCallMetrics() *callMetrics {
	m := &callMetrics{
		total: counters("calls_total",
			"Calls that ended, without unauthenticated calls of the API.", "method", "protocol", "code"),
		duration: histograms("call_duration_seconds",
			"Time that these calls took.", callBuckets, "method", "protocol", "code"),
		unauthenticated: counters("unauthenticated_calls_total",
			"Calls of the API that ended before their caller was authenticated.", "protocol", "code"),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "calls_in_flight", Help: "Calls in progress.",
		}, []string{"protocol"}),
		errors:  counters("call_errors_total", "Calls that failed, by the reason in their status.", "reason"),
		policy:  counter("policy_refusals_total", "Calls that the policy does not allow."),
		gateway: counters("gateway_refusals_total", "HTTP requests that the gateway refused before they became calls.", "reason"),
	}
	for _, kind := range outcome.Table {
		m.errors.WithLabelValues(kind.Reason)
	}
	for _, protocol := range []call.Protocol{call.GRPC, call.REST, call.Twilio} {
		m.unauthenticated.WithLabelValues(string(protocol), codes.Unauthenticated.String())
	}
	return m
}

func (m *callMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.total, m.duration, m.unauthenticated, m.inFlight, m.errors, m.policy, m.gateway,
	}
}

// Interceptor returns the interceptor that counts and times calls. It needs an inner
// interceptor that turns panics into errors.
func (m *Metrics) Interceptor() grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		c := call.From(ctx)
		inFlight := m.calls.inFlight.WithLabelValues(string(c.Protocol))
		inFlight.Inc()
		defer inFlight.Dec()
		response, err := handler(ctx, request)
		m.calls.ended(c, outcome.From(err))
		return response, err
	}
}

func (m *callMetrics) ended(c *call.Call, failed *outcome.Error) {
	protocol, code := string(c.Protocol), codeOf(failed).String()
	if isUnauthenticated(c) {
		m.unauthenticated.WithLabelValues(protocol, code).Inc()
	} else {
		m.total.WithLabelValues(c.Method, protocol, code).Inc()
		m.duration.WithLabelValues(c.Method, protocol, code).Observe(time.Since(c.Start).Seconds())
	}
	if failed == nil {
		return
	}
	m.errors.WithLabelValues(failed.Reason).Inc()
	if failed.Kind == outcome.NotAllowed {
		m.policy.Inc()
	}
}

// RefusedByGateway counts a request that the gateway refused, by its reason.
func (m *Metrics) RefusedByGateway(reason string) { m.calls.gateway.WithLabelValues(reason).Inc() }
