package callers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeys is the most keys of an issuer that are used.
	maxKeys = 100
	// minRSABits is the least that RFC 7518 allows.
	minRSABits = 2048
)

// readKeys reads a JWK set. Keys that are not for signatures, or not of a kind
// that can be used here, are left out, as RFC 7517 asks.
func readKeys(body []byte) (*keyRing, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the answer is not a JWK set")
	}
	ring := new(keyRing)
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err == nil && isUsable(&key) && len(ring.keys) < maxKeys {
			ring.keys = append(ring.keys, key)
		}
	}
	if len(ring.keys) == 0 {
		return nil, errors.New("the answer holds no key that can be used")
	}
	return ring, nil
}

func isUsable(key *jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" || !key.Valid() {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	default: // Private and shared keys have no business there.
		return false
	}
}

// verify returns the payload if a key verifies it: one of the id and the
// algorithm that the header has, where both the key and the header have them.
func (r *keyRing) verify(signed *jose.JSONWebSignature) ([]byte, bool) {
	if r == nil || len(signed.Signatures) != 1 {
		return nil, false
	}
	header := signed.Signatures[0].Protected
	for i := range r.keys {
		key := &r.keys[i]
		if header.KeyID != "" && header.KeyID != key.KeyID ||
			key.Algorithm != "" && header.Algorithm != key.Algorithm {
			continue
		}
		if payload, err := signed.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

func (r *keyRing) equal(other *keyRing) bool {
	return other != nil && slices.EqualFunc(r.keys, other.keys, func(a, b jose.JSONWebKey) bool {
		public, ok := a.Key.(interface{ Equal(crypto.PublicKey) bool })
		return ok && public.Equal(b.Key) && a.KeyID == b.KeyID && a.Algorithm == b.Algorithm
	})
}
