package telemetry

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"conferenced/service/delivery"
	"conferenced/service/settings"
)

// breakerStates are the states of [delivery.UpstreamState].
var breakerStates = []string{"closed", "open", "half-open", "off"}

// ObserveState registers the metrics of the state of deliveries and settings, which
// are read at each scrape. It must be called at most once.
func (m *Metrics) ObserveState(deliverer *delivery.Deliverer, live *settings.Live) {
	m.registry.MustRegister(newState(deliverer, live))
}

// state is the collector of ObserveState. Its metrics are sums over all accounts, except
// for upstream_concurrent_requests: Twilio limits these requests by account.
type state struct {
	deliverer *delivery.Deliverer
	settings  *settings.Live

	queue, inFlight, limit, lowest, breakers *prometheus.Desc
	concurrent                               *prometheus.Desc
	participants, records, labels            *prometheus.Desc
	reloads, loaded, failing, expires        *prometheus.Desc
}

func newState(deliverer *delivery.Deliverer, live *settings.Live) *state {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &state{
		deliverer: deliverer,
		settings:  live,

		queue:    desc("queue_length", "Updates that wait to be sent, by queue.", "queue"),
		inFlight: desc("upstream_in_flight", "Attempts in flight, if there is a limit."),
		limit:    desc("concurrency_limit", "Sum of the limits of attempts in flight over the accounts in use; 0: unlimited."),
		lowest:   desc("concurrency_limit_lowest", "Lowest limit of an account in use; 0: unlimited."),
		concurrent: desc("upstream_concurrent_requests",
			"Requests of an account that are running, by all its users, as Twilio's last answer says.", "account"),
		breakers: desc("breakers", "Accounts in use by the state of their circuit breaker.", "state"),

		participants: desc("participants_busy", "Participants with an update in flight or waiting."),
		records:      desc("request_ids_remembered", "Request IDs with a stored or pending answer."),
		labels:       desc("labels_remembered", "Labels whose Call SID is known."),

		reloads: desc("settings_reloads_total", "Reloads of the settings.", "result"),
		loaded:  desc("settings_loaded_timestamp_seconds", "When the settings in force were read."),
		expires: desc("expires_in_seconds", "Time until the next token or certificate expires; +Inf: none will.", "kind"),
		failing: desc("settings_reload_failing", "1 if the last reload failed, so that older settings are in force."),
	}
}

// Describe implements prometheus.Collector.
func (s *state) Describe(descs chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, descs) }

// Collect implements prometheus.Collector.
func (s *state) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	sizes := s.deliverer.Stats().Sizes
	gauge(s.participants, float64(sizes.Queues))
	gauge(s.records, float64(sizes.Records))
	gauge(s.labels, float64(sizes.Labels))
	// The first update of each queue is not waiting.
	gauge(s.queue, float64(max(0, sizes.Waiting-sizes.Queues)), string(delivery.QueueParticipant))
	s.collectUpstreams(gauge)

	reloads := s.settings.Status()
	gauge(s.loaded, float64(reloads.LoadedAt.UnixNano())/1e9)
	gauge(s.failing, number(reloads.LastError != ""))
	for result, count := range map[string]int64{"ok": reloads.Reloads, "failed": reloads.Failures} {
		metrics <- prometheus.MustNewConstMetric(s.reloads, prometheus.CounterValue, float64(count), result)
	}
	s.collectExpiry(gauge)
}

func (s *state) collectExpiry(gauge func(*prometheus.Desc, float64, ...string)) {
	now := time.Now()
	expiry := s.settings.Current().Expiry(now)
	for kind, at := range map[string]time.Time{
		"token": expiry.Token, "certificate": expiry.Certificate, "client_ca": expiry.ClientCA,
	} {
		left := math.Inf(1)
		if !at.IsZero() {
			left = at.Sub(now).Seconds()
		}
		gauge(s.expires, left, kind)
	}
}

func (s *state) collectUpstreams(gauge func(*prometheus.Desc, float64, ...string)) {
	var waiting, inFlight, limit, lowest int
	breakers, concurrent := map[string]int{}, map[string]int{}
	for i, state := range s.deliverer.Upstreams() {
		waiting += state.Waiting
		inFlight += state.InFlight
		limit += state.ConcurrencyLimit
		if i == 0 || state.ConcurrencyLimit < lowest {
			lowest = state.ConcurrencyLimit
		}
		breakers[state.Breaker]++
		if n := state.ConcurrentRequests; n > 0 {
			concurrent[state.AccountSID] = max(n, concurrent[state.AccountSID])
		}
	}
	gauge(s.queue, float64(waiting), string(delivery.QueueLimit))
	gauge(s.inFlight, float64(inFlight))
	gauge(s.limit, float64(limit))
	gauge(s.lowest, float64(lowest))
	for account, n := range concurrent {
		gauge(s.concurrent, float64(n), account)
	}
	for _, state := range breakerStates {
		gauge(s.breakers, float64(breakers[state]), state)
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
