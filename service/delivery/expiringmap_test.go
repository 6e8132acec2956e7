package delivery

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestExpiredEntryIsNotFound, although the timer has not removed it yet.
func TestExpiredEntryIsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newExpiringMap[string, int](1, time.Minute)
		m.put("a", 1)
		m.timer.Stop()
		<-time.After(time.Minute)
		if _, ok := m.get("a"); ok {
			t.Error("it is found")
		}
	})
}
