package delivery

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// aging is a map that holds at most a number of entries, each for at most a
// time after it was last put. Of too many, the one put longest ago goes first.
// An entry that is too old goes without being asked for: nothing is left of an
// idle map.
type aging[K comparable, V any] struct {
	age time.Duration

	mu      sync.Mutex
	entries *simplelru.LRU[K, aged[V]]
	timer   *time.Timer // Set while there are entries.
}

type aged[V any] struct {
	value V
	until time.Time
}

func newAging[K comparable, V any](size int, age time.Duration) *aging[K, V] {
	entries, err := simplelru.NewLRU[K, aged[V]](max(size, 1), nil)
	if err != nil {
		panic(err) // Only for a size that is not positive.
	}
	return &aging[K, V]{age: age, entries: entries}
}

func (a *aging[K, V]) get(key K) (V, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	entry, ok := a.entries.Peek(key) // Peek, so that the order stays that of age.
	if !ok || !time.Now().Before(entry.until) {
		var none V
		return none, false
	}
	return entry.value, true
}

func (a *aging[K, V]) put(key K, value V) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries.Add(key, aged[V]{value, time.Now().Add(a.age)})
	if a.timer == nil {
		a.timer = time.AfterFunc(a.age, a.expire)
	}
}

func (a *aging[K, V]) remove(key K) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries.Remove(key)
}

func (a *aging[K, V]) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.entries.Len()
}

// expire removes what is too old and comes back for what is not.
func (a *aging[K, V]) expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		_, oldest, ok := a.entries.GetOldest()
		if !ok {
			a.timer = nil
			return
		}
		if left := time.Until(oldest.until); left > 0 {
			a.timer.Reset(left)
			return
		}
		a.entries.RemoveOldest()
	}
}
