package delivery

import (
	"testing"
	"testing/synctest"
	"time"
)

func withMap(t *testing.T, size int, test func(*testing.T, *expiringMap[string, int])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newExpiringMap[string, int](size, time.Minute)) })
}

func wantEntry(t *testing.T, a *expiringMap[string, int], key string, want int, has bool) {
	t.Helper()
	if got, ok := a.get(key); got != want || ok != has {
		t.Errorf("%s is %d, %t, want %d, %t", key, got, ok, want, has)
	}
}

func TestTimerRemovesExpiredEntries(t *testing.T) {
	withMap(t, 10, func(t *testing.T, a *expiringMap[string, int]) {
		a.put("a", 1)
		timer := a.timer
		<-time.After(30 * time.Second)
		a.put("b", 2)
		if a.timer != timer {
			t.Error("put created a second timer, want one for all entries")
		}
		<-time.After(30*time.Second - 1)
		wantEntry(t, a, "a", 1, true)
		if got := a.len(); got != 2 {
			t.Errorf("%d entries, want 2", got)
		}
		<-time.After(1)
		synctest.Wait()
		wantEntry(t, a, "a", 0, false)
		wantEntry(t, a, "b", 2, true)
		if got := a.len(); got != 1 {
			t.Errorf("%d entries, want 1", got)
		}
		<-time.After(30 * time.Second)
		synctest.Wait()
		if got := a.len(); got != 0 || a.timer != nil {
			t.Errorf("%d entries and timer %v, want neither", got, a.timer)
		}
		a.put("c", 3) // A new timer is set after the map was empty.
		<-time.After(time.Minute)
		synctest.Wait()
		if got := a.len(); got != 0 {
			t.Errorf("%d entries, want none", got)
		}
	})
}

// TestExpiredEntryIsNotFound covers an expired entry that the timer has not removed
// yet.
func TestExpiredEntryIsNotFound(t *testing.T) {
	withMap(t, 10, func(t *testing.T, a *expiringMap[string, int]) {
		a.put("a", 1)
		a.timer.Stop()
		<-time.After(time.Minute)
		wantEntry(t, a, "a", 0, false)
	})
}

func TestPutAgainRenewsAnEntry(t *testing.T) {
	withMap(t, 2, func(t *testing.T, a *expiringMap[string, int]) {
		a.put("a", 1)
		a.put("b", 2)
		<-time.After(40 * time.Second)
		a.put("a", 3)
		<-time.After(40 * time.Second)
		synctest.Wait()
		wantEntry(t, a, "a", 3, true)
		wantEntry(t, a, "b", 0, false)
		if got := a.len(); got != 1 {
			t.Errorf("%d entries, want 1", got)
		}
	})
}

func TestFullMapEvictsTheOldestEntry(t *testing.T) {
	withMap(t, 2, func(t *testing.T, a *expiringMap[string, int]) {
		a.put("a", 1)
		a.put("b", 2)
		wantEntry(t, a, "a", 1, true) // get does not renew it.
		a.put("c", 3)
		wantEntry(t, a, "a", 0, false)
		wantEntry(t, a, "b", 2, true)
		wantEntry(t, a, "c", 3, true)
	})
}
