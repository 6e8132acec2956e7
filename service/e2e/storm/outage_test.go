package storm_test

import (
	"testing"
	"time"

	"conferenced/service/delivery"
)

// kinds is the kinds of updates that are tested in outages.
var kinds = []struct {
	name      string
	announces bool
}{{"mute", false}, {"announcement", true}}

// TestNetworkRecoversDuringRetries starts an update while the network is down, and
// restores the network during the retries. The update must be applied once.
func TestNetworkRecoversDuringRetries(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			n := newNetwork(t, "guest", func(s *setup) {
				s.delivery.Retrying = delivery.Retrying{
					Attempts: 1 << 30, Base: 5 * time.Millisecond, Cap: 5 * time.Millisecond,
				}
				s.delivery.Breaking.Failures = 0
			})
			n.proxy.Stop()
			got := make(chan answer, 1)
			go func() { got <- n.call(t, kind.announces) }()
			n.await(t, "the update is retried", func(h health) bool { return h.Delivery.Retries >= 2 })
			n.restore(t)
			if answer := <-got; answer != fine {
				t.Errorf("the caller got %v", answer)
			}
			if _, journal := n.end(t); len(journal) != 1 {
				t.Errorf("it was applied %d times", len(journal))
			}
		})
	}
}

// TestIdleConnectionBreaks breaks the service's idle connection between two updates.
// The second may be written before the break is noticed; then only a repeatable
// update is certainly applied.
func TestIdleConnectionBreaks(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			n := newNetwork(t, "guest", nil)
			if got := n.call(t, kind.announces); got != fine {
				t.Fatalf("the first caller got %v", got)
			}
			n.proxy.Stop()
			n.restore(t)
			got := n.call(t, kind.announces)
			_, journal := n.end(t)
			switch second := len(journal) - 1; {
			case got == fine && second == 1:
			case kind.announces && got == unknownAnnouncement && second == 0:
			default:
				t.Errorf("the second caller got %v, and it was applied %d times", got, second)
			}
		})
	}
}

// TestBreakerOpens takes the network down until the breaker opens. While it is open,
// nothing is sent, even if the network is up again.
func TestBreakerOpens(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			n := newNetwork(t, "guest", func(s *setup) {
				s.delivery.Breaking = delivery.Breaking{Failures: proxyAttempts, OpenFor: time.Hour, Probes: 1}
			})
			n.proxy.Stop()
			if got := n.call(t, kind.announces); got != unreachable {
				t.Errorf("with the network down, the caller got %v", got)
			}
			n.restore(t)
			if got := n.call(t, kind.announces); got != circuitOpen {
				t.Errorf("with the breaker open, the caller got %v", got)
			}
			n.await(t, "the breaker is open", func(h health) bool { return h.Upstream[0].Breaker == "open" })
			stats, journal := n.end(t)
			if stats.Attempts != proxyAttempts || len(journal) != 0 {
				t.Errorf("%d attempts were made, and it was applied %d times", stats.Attempts, len(journal))
			}
		})
	}
}

// TestBreakerCloses takes the network down and up again. The next update is the
// probe, and is applied.
func TestBreakerCloses(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			n := newNetwork(t, "guest", func(s *setup) {
				s.delivery.Breaking = delivery.Breaking{
					Failures: proxyAttempts, OpenFor: 20 * time.Millisecond, Probes: 1,
				}
			})
			n.proxy.Stop()
			if got := n.call(t, kind.announces); got != unreachable {
				t.Errorf("with the network down, the caller got %v", got)
			}
			n.restore(t)
			n.await(t, "the breaker allows probes", func(h health) bool {
				return h.Upstream[0].Breaker == "half-open"
			})
			if got := n.call(t, kind.announces); got != fine {
				t.Errorf("with the network up again, the caller got %v", got)
			}
			n.await(t, "the breaker closes", func(h health) bool { return h.Upstream[0].Breaker == "closed" })
			if _, journal := n.end(t); len(journal) != 1 {
				t.Errorf("it was applied %d times", len(journal))
			}
		})
	}
}
