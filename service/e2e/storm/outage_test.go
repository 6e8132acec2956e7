package storm_test

import (
	"testing"
	"time"

	"conferenced/service/delivery"
)

// kinds are the kinds of update that outages are tried with.
var kinds = []struct {
	name      string
	announces bool
}{{"mute", false}, {"announcement", true}}

// TestUpAgain begins an update while the network is down and brings it up while
// the update waits: it must get there, once.
func TestUpAgain(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			n := newNetwork(t, "guest", func(s *setup) {
				s.delivery.Retrying = delivery.Retrying{
					Attempts: 1 << 30, Base: 5 * time.Millisecond, Cap: 5 * time.Millisecond,
				}
				s.delivery.Breaking.Failures = 0
			})
			n.proxy.Stop()
			told := make(chan answer, 1)
			go func() { told <- n.call(t, kind.announces) }()
			n.await(t, "it is tried again", func(h health) bool { return h.Delivery.Retries >= 2 })
			if err := n.proxy.Start(); err != nil {
				t.Fatal(err)
			}
			if answer := <-told; answer != fine {
				t.Errorf("the caller was told %v", answer)
			}
			if _, journal := n.end(t); len(journal) != 1 {
				t.Errorf("it was applied %d times", len(journal))
			}
		})
	}
}

// TestKeptConnectionDies breaks the connection that the service keeps between
// two updates. The second may meet it before its end is noticed; then it was
// sent, and only what can be repeated gets there for sure.
func TestKeptConnectionDies(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			n := newNetwork(t, "guest", nil)
			if told := n.call(t, kind.announces); told != fine {
				t.Fatalf("the first caller was told %v", told)
			}
			n.proxy.Stop()
			if err := n.proxy.Start(); err != nil {
				t.Fatal(err)
			}
			told := n.call(t, kind.announces)
			_, journal := n.end(t)
			switch second := len(journal) - 1; {
			case told == fine && second == 1:
			case kind.announces && told == unknownSound && second == 0:
			default:
				t.Errorf("the second caller was told %v, and it was applied %d times", told, second)
			}
		})
	}
}

// TestBreakerOpens lets the network go down. Once the breaker is open, nothing is
// sent, even if the network is up again.
func TestBreakerOpens(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			n := newNetwork(t, "guest", func(s *setup) {
				s.delivery.Breaking = delivery.Breaking{Failures: proxyAttempts, OpenFor: time.Hour, Probes: 1}
			})
			n.proxy.Stop()
			if told := n.call(t, kind.announces); told != unreachable {
				t.Errorf("with the network down, the caller was told %v", told)
			}
			if err := n.proxy.Start(); err != nil {
				t.Fatal(err)
			}
			if told := n.call(t, kind.announces); told != circuitOpen {
				t.Errorf("with the breaker open, the caller was told %v", told)
			}
			n.await(t, "the breaker is open", func(h health) bool { return h.Upstream[0].Breaker == "open" })
			stats, journal := n.end(t)
			if stats.Attempts != proxyAttempts || len(journal) != 0 {
				t.Errorf("%d attempts were made, and it was applied %d times", stats.Attempts, len(journal))
			}
		})
	}
}

// TestBreakerCloses lets the network go down and come up again: the first update
// after that is the probe, and gets there.
func TestBreakerCloses(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			n := newNetwork(t, "guest", func(s *setup) {
				s.delivery.Breaking = delivery.Breaking{
					Failures: proxyAttempts, OpenFor: 20 * time.Millisecond, Probes: 1,
				}
			})
			n.proxy.Stop()
			if told := n.call(t, kind.announces); told != unreachable {
				t.Errorf("with the network down, the caller was told %v", told)
			}
			if err := n.proxy.Start(); err != nil {
				t.Fatal(err)
			}
			n.await(t, "the breaker lets probes through", func(h health) bool {
				return h.Upstream[0].Breaker == "half-open"
			})
			if told := n.call(t, kind.announces); told != fine {
				t.Errorf("with the network up again, the caller was told %v", told)
			}
			n.await(t, "the breaker closes", func(h health) bool { return h.Upstream[0].Breaker == "closed" })
			if _, journal := n.end(t); len(journal) != 1 {
				t.Errorf("it was applied %d times", len(journal))
			}
		})
	}
}
