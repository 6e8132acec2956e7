package storm_test

import "testing"

// TestStormWithoutMechanisms runs the storm on a service without queues or without
// request IDs, and expects the violations that those prevent.
func TestStormWithoutMechanisms(t *testing.T) {
	for _, c := range []struct {
		name  string
		tune  func(*setup)
		found rule
	}{
		{"unordered", func(s *setup) { s.delivery.Unordered = true }, notUndone},
		{"request IDs ignored", func(s *setup) { s.delivery.IgnoreRequestIDs = true }, playedOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := stormSetup(profiles[0], waitTimeout)
			c.tune(&s)
			findViolations(t, c.name, []rule{c.found},
				func(seed uint64) (*history, *upstream) { return stormWithoutDeadlines(t, s, seed) })
		})
	}
}
