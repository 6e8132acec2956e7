package telemetry

import "github.com/prometheus/client_golang/prometheus"

// listenerMetrics are the metrics of all listeners.
type listenerMetrics struct {
	acceptFailures    *prometheus.CounterVec
	closed            *prometheus.CounterVec
	delayedReads      *prometheus.CounterVec
	handshakeFailures *prometheus.CounterVec
	refusedStreams    *prometheus.CounterVec
}

func newListenerMetrics(r registry) *listenerMetrics {
	m := &listenerMetrics{
		acceptFailures: r.counters("accept_failures_total",
			"Connections that could not be accepted, mostly for lack of file descriptors.", "listener"),
		closed: r.counters("connections_closed_total",
			"Connections that a limit closed: oldest and load are limits of those without an authenticated call.",
			"listener", "reason"),
		delayedReads: r.counters("connection_reads_delayed_total",
			"Reads that were delayed because the connection causes too much work without an authenticated call.", "listener"),
		handshakeFailures: r.counters("tls_handshake_failures_total",
			"TLS handshakes that failed.", "listener", "reason"),
		refusedStreams: r.counters("grpc_streams_refused_total",
			"gRPC calls that a limit ended before their message arrived, or streaming calls beyond the limit.", "reason"),
	}
	for _, reason := range []string{"displaced", "streams", "timeout"} {
		m.refusedStreams.WithLabelValues(reason)
	}
	return m
}

// ListenerMetrics are the metrics of one listener.
type ListenerMetrics struct {
	all  *listenerMetrics
	name string
}

// Listener returns the metrics of a listener: grpc, http or admin.
func (m *Metrics) Listener(name string) *ListenerMetrics {
	m.listeners.acceptFailures.WithLabelValues(name)
	m.listeners.delayedReads.WithLabelValues(name)
	for _, reason := range []string{"limit", "load", "oldest"} {
		m.listeners.closed.WithLabelValues(name, reason)
	}
	for _, reason := range []string{"client_certificate", "other"} {
		m.listeners.handshakeFailures.WithLabelValues(name, reason)
	}
	return &ListenerMetrics{m.listeners, name}
}

// AcceptFailed counts a connection that could not be accepted.
func (m *ListenerMetrics) AcceptFailed() { m.all.acceptFailures.WithLabelValues(m.name).Inc() }

// Closed counts a connection that a limit closed.
func (m *ListenerMetrics) Closed(reason string) { m.all.closed.WithLabelValues(m.name, reason).Inc() }

// ReadDelayed counts a read of a connection that was delayed.
func (m *ListenerMetrics) ReadDelayed() { m.all.delayedReads.WithLabelValues(m.name).Inc() }

// HandshakeFailed counts a TLS handshake that failed.
func (m *ListenerMetrics) HandshakeFailed(reason string) {
	m.all.handshakeFailures.WithLabelValues(m.name, reason).Inc()
}

// StreamRefused counts a gRPC call that a limit ended before its message arrived, or a
// streaming call beyond the limit.
func (m *Metrics) StreamRefused(reason string) {
	m.listeners.refusedStreams.WithLabelValues(reason).Inc()
}
