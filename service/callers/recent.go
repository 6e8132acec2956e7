package callers

import (
	"crypto/sha256"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxRecent is the number of credentials that a [recent] keeps.
const maxRecent = 1024

// recent is an LRU cache of verification results, by the digest of the credential.
// Only credentials whose signature was verified may be added, so that forged ones
// cannot evict them. The zero value is ready for use.
type recent[V any] struct {
	once    sync.Once
	entries *lru.Cache[[sha256.Size]byte, V]
}

func (r *recent[V]) get(digest [sha256.Size]byte) (V, bool) {
	return r.cache().Get(digest)
}

func (r *recent[V]) put(digest [sha256.Size]byte, value V) {
	r.cache().Add(digest, value)
}

func (r *recent[V]) cache() *lru.Cache[[sha256.Size]byte, V] {
	r.once.Do(func() {
		r.entries, _ = lru.New[[sha256.Size]byte, V](maxRecent) // It fails only for a non-positive size.
	})
	return r.entries
}
