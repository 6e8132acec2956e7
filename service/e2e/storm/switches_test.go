package storm_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestStormSwitchedOff lets the storm at a service whose order and request ids are
// switched off. What the checks find there is what those mechanisms are for.
func TestStormSwitchedOff(t *testing.T) {
	first := firstSeed()
	for _, c := range []struct {
		name  string
		tune  func(*setup)
		found rule
	}{
		{"unordered", func(s *setup) { s.delivery.Unordered = true }, notUndone},
		{"forgetful", func(s *setup) { s.delivery.Forgetful = true }, playedOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			const calls = 600
			s := stormSetup(profiles[0], patience)
			c.tune(&s)
			up := newUpstream(t, newDeck(rand.New(rand.NewPCG(first, 0))))
			w := newWorld(t, s, up)
			storm := newStorm(t, up, first, w.send)
			storm.patient = true
			storm.rage(t, calls)
			w.await(t, "nothing is on the way", idle)
			w.close(t)
			h := storm.history(s.bounds())
			v := examine(h)
			seen := newReport()
			seen.add(fmt.Sprint(first), h, v)
			seen.addUpstream(up)
			seen.print(t, c.name)
			if len(v.broken[c.found]) == 0 {
				t.Errorf("not found: %s", c.found)
			}
		})
	}
}
