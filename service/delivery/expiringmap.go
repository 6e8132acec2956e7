package delivery

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// expiringMap holds at most a fixed number of entries, each for at most age after it
// was last put. A full map evicts the entry that was put first. A timer removes
// expired entries, so an idle map becomes empty.
type expiringMap[K comparable, V any] struct {
	age time.Duration

	mu      sync.Mutex
	entries *simplelru.LRU[K, expiringEntry[V]]
	timer   *time.Timer // Set while there are entries.
}

type expiringEntry[V any] struct {
	value V
	until time.Time
}

func newExpiringMap[K comparable, V any](size int, age time.Duration) *expiringMap[K, V] {
	entries, err := simplelru.NewLRU[K, expiringEntry[V]](max(size, 1), nil)
	if err != nil {
		panic(err) // Only for a size that is not positive.
	}
	return &expiringMap[K, V]{age: age, entries: entries}
}

func (a *expiringMap[K, V]) get(key K) (V, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	entry, ok := a.entries.Peek(key) // Peek keeps the entries in the order of put.
	if !ok || !time.Now().Before(entry.until) {
		var none V
		return none, false
	}
	return entry.value, true
}

func (a *expiringMap[K, V]) put(key K, value V) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries.Add(key, expiringEntry[V]{value, time.Now().Add(a.age)})
	if a.timer == nil {
		a.timer = time.AfterFunc(a.age, a.expire)
	}
}

func (a *expiringMap[K, V]) remove(key K) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries.Remove(key)
}

func (a *expiringMap[K, V]) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.entries.Len()
}

// expire removes the expired entries and sets the timer for the oldest of the others.
func (a *expiringMap[K, V]) expire() {
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
