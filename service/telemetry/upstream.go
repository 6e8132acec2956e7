package telemetry

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"conferenced/service/call"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// upstreamMetrics is the metrics of deliveries.
type upstreamMetrics struct {
	attempts    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	connections *prometheus.CounterVec
	retries     prometheus.Counter
	superseded  prometheus.Counter
	replays     prometheus.Counter
	refusals    *prometheus.CounterVec
	abandoned   prometheus.Counter
	wait        *prometheus.HistogramVec
	changes     *prometheus.CounterVec
}

func newUpstreamMetrics(r registry) *upstreamMetrics {
	m := &upstreamMetrics{
		attempts: r.counters("upstream_attempts_total", "Attempts to make a request to Twilio.", "outcome"),
		duration: r.histograms("upstream_attempt_duration_seconds", "Time that attempts took.", callBuckets, "outcome"),
		connections: r.counters("upstream_connections_total",
			"Attempts that had a connection, by whether it had been used before.", "reused"),
		retries:    r.counter("retries_total", "Attempts after the first one of an update, a removal or a read."),
		superseded: r.counter("superseded_total", "Updates that a newer one superseded."),
		replays:    r.counter("replays_total", "Updates answered with the stored answer for their request ID."),
		refusals:   r.counters("delivery_refusals_total", "Updates that the service refused to send, or to send again.", "reason"),
		abandoned:  r.counter("abandoned_total", "Updates in flight when their caller disconnected."),
		wait:       r.histograms("queue_wait_seconds", "Time that updates waited before they were sent.", waitBuckets, "queue"),
		changes:    r.counters("breaker_changes_total", "Changes of the state of circuit breakers, by the new state.", "state"),
	}
	m.fill()
	return m
}

// fill creates all series, so that a rate includes the first event of each.
func (m *upstreamMetrics) fill() {
	for _, result := range delivery.Results() {
		m.attempts.WithLabelValues(string(result))
		m.duration.WithLabelValues(string(result))
	}
	for _, reused := range []bool{false, true} {
		m.connections.WithLabelValues(strconv.FormatBool(reused))
	}
	for _, queue := range []delivery.Queue{delivery.QueueParticipant, delivery.QueueLimit} {
		m.wait.WithLabelValues(string(queue))
	}
	for _, refusal := range delivery.Refusals() {
		if refusal != outcome.Superseded {
			m.refusals.WithLabelValues(refusalName(refusal))
		}
	}
	for _, state := range breakerStates {
		if state != "off" {
			m.changes.WithLabelValues(state)
		}
	}
}

func refusalName(refusal outcome.Kind) string { return strings.ToLower(refusal.Reason) }

// Observer returns the delivery observer that counts events and traces attempts. A
// nil tracing traces nothing.
func (m *Metrics) Observer(tracing *Tracing) delivery.Observer {
	up := m.upstream
	return delivery.Observer{
		Identified: func(ctx context.Context, callSID string) {
			if c := call.From(ctx); c != nil && c.CallSID == "" {
				c.CallSID = callSID
			}
		},
		Waiting: func(ctx context.Context) { progressOf(ctx).Waiting() },
		Waited: func(ctx context.Context, queue delivery.Queue, wait time.Duration) {
			progressOf(ctx).Waited(wait)
			up.wait.WithLabelValues(string(queue)).Observe(wait.Seconds())
		},
		Attempting: func(ctx context.Context, operation twilio.Operation, n int) context.Context {
			progressOf(ctx).Attempting()
			if n > 1 {
				up.retries.Inc()
			}
			return tracing.attempting(ctx, operation, n)
		},
		Attempted: func(ctx context.Context, attempt delivery.Attempt) {
			up.attempted(attempt)
			tracing.attempted(ctx, attempt)
		},
		Refused: func(_ context.Context, refusal outcome.Kind) { up.refused(refusal) },
		Replayed: func(ctx context.Context) {
			progressOf(ctx).Replay()
			up.replays.Inc()
			tracing.replayed(ctx)
		},
		Abandoned:      func(context.Context) { up.abandoned.Inc() },
		BreakerChanged: func(state string) { up.changes.WithLabelValues(state).Inc() },
		Panicked:       m.Panicked,
	}
}

// progressOf returns the progress of the context's call. Without a call, it is not read.
func progressOf(ctx context.Context) *call.Progress {
	if c := call.From(ctx); c != nil {
		return c.Progress
	}
	return new(call.Progress)
}

func (m *upstreamMetrics) attempted(attempt delivery.Attempt) {
	m.attempts.WithLabelValues(string(attempt.Result)).Inc()
	m.duration.WithLabelValues(string(attempt.Result)).Observe(attempt.Took.Seconds())
	if attempt.Connected {
		m.connections.WithLabelValues(strconv.FormatBool(attempt.Reused)).Inc()
	}
}

func (m *upstreamMetrics) refused(refusal outcome.Kind) {
	if refusal == outcome.Superseded {
		m.superseded.Inc()
		return
	}
	m.refusals.WithLabelValues(refusalName(refusal)).Inc()
}
