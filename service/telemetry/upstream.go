package telemetry

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"conferenced/service/delivery"
)

// upstreamMetrics are about updates on their way to Twilio.
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

	// Series that every update moves, looked up once.
	ended  map[delivery.Result]series
	reused map[bool]prometheus.Counter
	waits  map[delivery.Queue]prometheus.Observer
}

// series are the count and the durations of one thing.
type series struct {
	count    prometheus.Counter
	duration prometheus.Observer
}

func newUpstreamMetrics() upstreamMetrics {
	m := upstreamMetrics{
		attempts: counters("upstream_attempts_total", "Attempts to get an update to Twilio.", "outcome"),
		duration: histograms("upstream_attempt_duration_seconds", "How long attempts took.", callBuckets, "outcome"),
		connections: counters("upstream_connections_total",
			"Attempts that had a connection, by whether it was used before.", "reused"),
		retries:    counter("retries_total", "Attempts that were not an update's first."),
		superseded: counter("superseded_total", "Updates whose place a newer one took."),
		replays:    counter("replays_total", "Updates answered with the first answer to their request id."),
		refusals:   counters("delivery_refusals_total", "Updates that were not sent, or not sent again, by a decision of the service.", "reason"),
		abandoned:  counter("abandoned_total", "Updates on the way when the one who asked for them left."),
		wait:       histograms("queue_wait_seconds", "How long updates waited before they were sent.", waitBuckets, "queue"),
		changes:    counters("breaker_changes_total", "Changes of an account's circuit breaker, by its new state.", "state"),
	}
	m.fill()
	return m
}

// fill makes all series exist from the start, so that their first increase is
// seen as one.
func (m *upstreamMetrics) fill() {
	m.ended = map[delivery.Result]series{}
	for _, result := range delivery.Results() {
		m.ended[result] = series{
			m.attempts.WithLabelValues(string(result)), m.duration.WithLabelValues(string(result)),
		}
	}
	m.reused = map[bool]prometheus.Counter{}
	for _, reused := range []bool{false, true} {
		m.reused[reused] = m.connections.WithLabelValues(strconv.FormatBool(reused))
	}
	m.waits = map[delivery.Queue]prometheus.Observer{}
	for _, queue := range []delivery.Queue{delivery.QueueParticipant, delivery.QueueLimit} {
		m.waits[queue] = m.wait.WithLabelValues(string(queue))
	}
	for _, refusal := range delivery.Refusals() {
		if refusal != delivery.Superseded {
			m.refusals.WithLabelValues(refusalName(refusal))
		}
	}
	for _, state := range breakerStates {
		if state != "off" {
			m.changes.WithLabelValues(state)
		}
	}
}

func (m *upstreamMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.attempts, m.duration, m.connections, m.retries, m.superseded, m.replays,
		m.refusals, m.abandoned, m.wait, m.changes,
	}
}

func refusalName(refusal delivery.Refusal) string {
	return strings.ReplaceAll(string(refusal), " ", "_")
}

// Observer counts what happens to updates, and traces the attempts. A nil
// tracing traces nothing.
func (m *Metrics) Observer(tracing *Tracing) delivery.Observer {
	up := &m.upstream
	return delivery.Observer{
		Waited: func(_ context.Context, queue delivery.Queue, wait time.Duration) {
			up.waits[queue].Observe(wait.Seconds())
		},
		Attempting: func(ctx context.Context, n int) context.Context {
			if n > 1 {
				up.retries.Inc()
			}
			return tracing.attempting(ctx, n)
		},
		Attempted: func(ctx context.Context, attempt delivery.Attempt) {
			up.attempted(attempt)
			tracing.attempted(ctx, attempt)
		},
		Refused: func(_ context.Context, reason delivery.Refusal) { up.refused(reason) },
		Replayed: func(ctx context.Context) {
			up.replays.Inc()
			tracing.replayed(ctx)
		},
		Abandoned:      func(context.Context) { up.abandoned.Inc() },
		BreakerChanged: func(state string) { up.changes.WithLabelValues(state).Inc() },
		Panicked:       m.Panicked,
	}
}

func (m *upstreamMetrics) attempted(attempt delivery.Attempt) {
	ended := m.ended[attempt.Result]
	ended.count.Inc()
	ended.duration.Observe(attempt.Took.Seconds())
	if attempt.Connected {
		m.reused[attempt.Reused].Inc()
	}
}

func (m *upstreamMetrics) refused(reason delivery.Refusal) {
	if reason == delivery.Superseded {
		m.superseded.Inc()
		return
	}
	m.refusals.WithLabelValues(refusalName(reason)).Inc()
}
