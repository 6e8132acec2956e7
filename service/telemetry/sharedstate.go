package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"conferenced/service/delivery/redisstore"
)

// stateBuckets are the bounds of the histogram of questions to Redis, in seconds.
var stateBuckets = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1}

// sharedState is about what replicas share through Redis.
type sharedState struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	lost     *prometheus.CounterVec
	alone    prometheus.Counter

	// Series that every update moves, looked up once.
	ended map[redisstore.Operation]stateSeries
}

// stateSeries are those of one operation.
type stateSeries struct {
	counts   map[redisstore.Result]prometheus.Counter
	duration prometheus.Observer
}

// SharedState makes the metrics tell how the store gets on with Redis, by the
// state that it is asked for at each scrape and by the observer, which is for the
// store. It must be called at most once, and is not called where no state is
// shared: there are no such metrics then.
func (m *Metrics) SharedState(state func() redisstore.State) redisstore.Observer {
	s := newSharedState()
	m.registry.MustRegister(s.requests, s.duration, s.lost, s.alone,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: "shared_state_up",
			Help: "1 if Redis, which the replicas share their state in, answers.",
		}, func() float64 { return number(state().Up) }))
	return redisstore.Observer{
		Asked: s.asked,
		Lost:  func(what redisstore.Holding) { s.lost.WithLabelValues(string(what)).Inc() },
		Alone: s.alone.Inc,
	}
}

// newSharedState makes all series exist from the start.
func newSharedState() *sharedState {
	s := &sharedState{
		requests: counters("shared_state_requests_total", "Questions to Redis.", "operation", "result"),
		duration: histograms("shared_state_request_duration_seconds",
			"How long questions to Redis took, those that had no answer too.", stateBuckets, "operation"),
		lost: counters("shared_state_lost_total",
			"Turns and request ids that others may have taken over, as was seen before an attempt.", "what"),
		alone: counter("shared_state_alone_total",
			"Updates that went on in a line of this replica alone, since Redis could not be asked or had lost their place."),
		ended: map[redisstore.Operation]stateSeries{},
	}
	for _, operation := range redisstore.Operations() {
		series := stateSeries{
			counts:   map[redisstore.Result]prometheus.Counter{},
			duration: s.duration.WithLabelValues(string(operation)),
		}
		for _, result := range redisstore.Results() {
			series.counts[result] = s.requests.WithLabelValues(string(operation), string(result))
		}
		s.ended[operation] = series
	}
	for _, what := range redisstore.Holdings() {
		s.lost.WithLabelValues(string(what))
	}
	return s
}

func (s *sharedState) asked(operation redisstore.Operation, result redisstore.Result, took time.Duration) {
	series := s.ended[operation]
	series.counts[result].Inc()
	if result != redisstore.NotAsked {
		series.duration.Observe(took.Seconds())
	}
}
