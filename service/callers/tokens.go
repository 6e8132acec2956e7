package callers

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"
)

// Tokens are the bearer tokens of a file, each with its caller's name. Of a
// token itself only the digest is held. A nil *Tokens holds none.
type Tokens struct {
	entries []token
}

type token struct {
	name    string
	digest  [sha256.Size]byte
	expires time.Time // Zero: never.
}

func (t *token) expired(now time.Time) bool {
	return !t.expires.IsZero() && !now.Before(t.expires)
}

// find returns the entry of the token that was presented, or nil. It compares
// with every entry, so that its time says nothing about them.
func (t *Tokens) find(presented string) *token {
	if t == nil {
		return nil
	}
	digest := sha256.Sum256([]byte(presented))
	var found *token
	for i := range t.entries {
		if subtle.ConstantTimeCompare(t.entries[i].digest[:], digest[:]) == 1 {
			found = &t.entries[i]
		}
	}
	return found
}
