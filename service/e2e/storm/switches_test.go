package storm_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestStormWithoutMechanisms runs the storm on a service without queues or without
// request IDs, and expects the violations that those prevent.
func TestStormWithoutMechanisms(t *testing.T) {
	first := firstSeed()
	for _, c := range []struct {
		name  string
		tune  func(*setup)
		found rule
	}{
		{"unordered", func(s *setup) { s.delivery.Unordered = true }, notUndone},
		{"request IDs ignored", func(s *setup) { s.delivery.IgnoreRequestIDs = true }, playedOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			const calls = 600
			s := stormSetup(profiles[0], waitTimeout)
			c.tune(&s)
			up := newUpstream(t, newFaultCycle(rand.New(rand.NewPCG(first, 0))))
			w := newWorld(t, s, up)
			storm := newStorm(t, up, first, w.send)
			storm.noDeadlines = true
			storm.run(t, calls)
			w.await(t, "the service is idle", idle)
			w.close(t)
			h := storm.history(s.bounds())
			v := examine(h)
			seen := newReport()
			seen.add(fmt.Sprint(first), h, v)
			seen.addUpstream(up)
			seen.print(t, c.name)
			if len(v.violations[c.found]) == 0 {
				t.Errorf("not found: %s", c.found)
			}
		})
	}
}
