package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"conferenced/service/delivery"
)

// storeBuckets are the bounds of the histogram of requests to Redis, in seconds.
var storeBuckets = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1}

// storeMetrics are those of one operation, looked up once since every update uses them.
type storeMetrics struct {
	requests map[delivery.StoreResult]prometheus.Counter
	duration prometheus.Observer
}

// SharedState registers the metrics of the state that replicas share in Redis, and
// returns the observer that updates them. up reports whether Redis answers, and is
// called at each scrape. SharedState must be called at most once. Without it there
// are no such metrics.
func (m *Metrics) SharedState(up func() bool) delivery.StoreObserver {
	requests := counters("shared_state_requests_total", "Requests to Redis.", "operation", "result")
	duration := histograms("shared_state_request_duration_seconds",
		"Time to the end of a request to Redis, with or without an answer.", storeBuckets, "operation")
	lost := counters("shared_state_lost_total",
		"Leases of turns and of request ids that this replica found ended, so that others may have taken them over.", "what")
	alone := counter("shared_state_alone_total",
		"Updates that went on in a queue of this replica alone, because Redis could not be reached or had lost them.")
	m.registry.MustRegister(requests, duration, lost, alone,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: "shared_state_up",
			Help: "1 if Redis, in which the replicas share their state, answers.",
		}, func() float64 { return number(up()) }))

	// All series exist from the start, so that a rate has a first sample.
	operations := map[delivery.StoreOperation]storeMetrics{}
	for _, operation := range delivery.StoreOperations() {
		series := storeMetrics{
			requests: map[delivery.StoreResult]prometheus.Counter{},
			duration: duration.WithLabelValues(string(operation)),
		}
		for _, result := range delivery.StoreResults() {
			series.requests[result] = requests.WithLabelValues(string(operation), string(result))
		}
		operations[operation] = series
	}
	for _, lease := range delivery.StoreLeases() {
		lost.WithLabelValues(string(lease))
	}
	return delivery.StoreObserver{
		Requested: func(operation delivery.StoreOperation, result delivery.StoreResult, took time.Duration) {
			series := operations[operation]
			series.requests[result].Inc()
			if result != delivery.StoreNotAsked {
				series.duration.Observe(took.Seconds())
			}
		},
		LeaseLost: func(lease delivery.StoreLease) { lost.WithLabelValues(string(lease)).Inc() },
		Separated: alone.Inc,
	}
}
