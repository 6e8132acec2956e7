package callers

import (
	"crypto/sha256"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxRecent is how many credentials each [recent] remembers.
const maxRecent = 1024

// recent remembers what was found out about the credentials that were used
// last, by their digest. Only those whose signatures are good belong in it: what
// anybody can make up must not push them out. The zero value is ready for use.
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
		r.entries, _ = lru.New[[sha256.Size]byte, V](maxRecent) // It fails only for a size that is not positive.
	})
	return r.entries
}
