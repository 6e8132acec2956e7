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

// The bounds of the histograms, in seconds.
var (
	callBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	waitBuckets = []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10}
)

// Metrics is the service's metrics, in their own registry. Their labels have fixed
// sets of values: no SID, no participant's label, no caller's name and nothing else
// that a caller or Twilio sent.
type Metrics struct {
	registry  registry
	calls     *callMetrics
	upstream  *upstreamMetrics
	panics    prometheus.Counter
	listeners *listenerMetrics
}

// NewMetrics returns metrics with the value 0. The version and the revision are labels
// of conferenced_build_info.
func NewMetrics(version, revision string) *Metrics {
	r := registry{prometheus.NewRegistry()}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.gauges("build_info", "1, labelled with the version of the program.", "version", "revision", "go_version").
		WithLabelValues(cmp.Or(version, "unknown"), cmp.Or(revision, "unknown"), runtime.Version()).Set(1)
	return &Metrics{
		registry:  r,
		calls:     newCallMetrics(r),
		upstream:  newUpstreamMetrics(r),
		panics:    r.counter("panics_total", "Panics that were caught."),
		listeners: newListenerMetrics(r),
	}
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
	m.registry.counterFunc("log_lines_dropped_total",
		"Log lines that were lost because the reader of the output stalled or exited.", nil, control.dropped)
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		m.registry.counterFunc("log_lines_suppressed_total",
			"Log lines that were suppressed because there were many of the same kind.",
			prometheus.Labels{"level": levelName(level)},
			func() int64 { return control.suppressed(level) })
	}
}

// CountAudit registers the metrics of a sink; for nil they are 0. It must be called
// at most once.
func (m *Metrics) CountAudit(sink *AuditSink) {
	if sink == nil {
		sink = new(AuditSink)
	}
	m.registry.counterFunc("audit_failures_total", "Failures to write audit records.", nil, sink.failures.Load)
	m.registry.counterFunc("audit_records_skipped_total",
		"Unauthenticated calls without an audit record, because there were too many.", nil, sink.skipped.Load)
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

func newCallMetrics(r registry) *callMetrics {
	m := &callMetrics{
		total: r.counters("calls_total",
			"Calls that ended, without unauthenticated calls of the API.", "method", "protocol", "code"),
		duration: r.histograms("call_duration_seconds",
			"Time that these calls took.", callBuckets, "method", "protocol", "code"),
		unauthenticated: r.counters("unauthenticated_calls_total",
			"Calls of the API that ended before their caller was authenticated.", "protocol", "code"),
		inFlight: r.gauges("calls_in_flight", "Calls in progress.", "protocol"),
		errors:   r.counters("call_errors_total", "Calls that failed, by the reason in their status.", "reason"),
		policy:   r.counter("policy_refusals_total", "Calls that the policy does not allow."),
		gateway:  r.counters("gateway_refusals_total", "HTTP requests that the gateway refused before they became calls.", "reason"),
	}
	for _, kind := range outcome.Table {
		m.errors.WithLabelValues(kind.Reason)
	}
	for _, protocol := range []call.Protocol{call.GRPC, call.REST, call.Twilio} {
		m.unauthenticated.WithLabelValues(string(protocol), codes.Unauthenticated.String())
	}
	return m
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
