package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"conferenced/service/delivery"
)

// storeBuckets are the bounds of the histogram of requests to Redis, in seconds.
var storeBuckets = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1}

// storeMetrics is the metrics of one operation. They are looked up once, because
// every update uses them.
type storeMetrics struct {
	requests map[delivery.StoreResult]prometheus.Counter
	duration prometheus.Observer
}

// SharedState registers the metrics of the shared state in Redis, and returns the
// observer that updates them. up reports whether Redis answers; it is called at each
// scrape. SharedState must be called at most once.
func (m *Metrics) SharedState(up func() bool) delivery.StoreObserver {
	requests := m.registry.counters("shared_state_requests_total", "Requests to Redis.", "operation", "result")
	duration := m.registry.histograms("shared_state_request_duration_seconds",
		"Time to the end of a request to Redis, with or without an answer.", storeBuckets, "operation")
	lost := m.registry.counters("shared_state_lost_total",
		"Expired leases of queue positions and request IDs that this replica detected, so that another replica may have taken over.", "what")
	separated := m.registry.counter("shared_state_alone_total",
		"Updates that moved to a queue of this replica alone, because Redis could not be reached or had lost them.")
	m.registry.gaugeFunc("shared_state_up", "1 if Redis, which keeps the replicas' shared state, answers.",
		func() float64 { return number(up()) })

	// All series exist from the start, so that a rate includes the first event of each.
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
		Separated: separated.Inc,
	}
}
