package callers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/singleflight"
)

const (
	// fetchInterval is the minimum time between two fetches. A JWT that no key verifies
	// causes a fetch, and any client can send such JWTs.
	fetchInterval = time.Second
	// fetchTimeout is the maximum time of a fetch.
	fetchTimeout = 5 * time.Second
	// refreshAfter is the age at which keys are fetched again, so that a key that
	// the issuer has withdrawn does not stay valid.
	refreshAfter = 10 * time.Minute
	// retryAfter is the minimum time between two attempts to refresh.
	retryAfter = time.Minute

	// maxKeys is the maximum number of an issuer's keys that are used.
	maxKeys = 100
	// minRSABits is the minimum size of RSA keys, as RFC 7518 sets it.
	minRSABits = 2048
)

// keySet keeps an issuer's keys. They are fetched on first use, when they are old,
// and when a JWT arrives that none of them verifies; after an error the old keys stay
// in use. Concurrent calls share one fetch, which continues after they end.
//
// jwkset's own HTTP storage fetches at the start and in a goroutine of its own,
// needs the URL before discovery, reads answers of any size, and makes calls with
// unknown keys wait for its limiter.
type keySet struct {
	issuer  *issuer
	now     func() time.Time
	fetches singleflight.Group

	mu        sync.Mutex
	keys      *issuerKeys // nil until a fetch has succeeded.
	refreshed time.Time   // When the last successful fetch ended.
	fetched   time.Time   // When the last fetch ended.
	err       error       // The error of the last fetch.
}

// current returns the present keys, or nil if there are none yet. Old keys are
// fetched again in the background. If they have twice that age, current waits for the
// fetch, unless the last one failed: then the issuer may be down.
func (s *keySet) current(ctx context.Context) *issuerKeys {
	s.mu.Lock()
	keys, err, now := s.keys, s.err, s.now()
	age, sinceFetch := now.Sub(s.refreshed), now.Sub(s.fetched)
	s.mu.Unlock()
	if keys == nil || age < refreshAfter || sinceFetch < retryAfter {
		return keys
	}
	fetch := s.fetch()
	if err != nil || age < 2*refreshAfter {
		return keys
	}
	_ = wait(ctx, fetch) // On an error, the old keys are used.
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

// newer returns keys that were fetched after the seen ones. It returns the seen ones if
// the issuer has no others, or if the last fetch ended less than fetchInterval ago.
func (s *keySet) newer(ctx context.Context, seen *issuerKeys) (*issuerKeys, error) {
	s.mu.Lock()
	keys := s.keys
	s.mu.Unlock()
	if keys != seen {
		return keys, nil
	}
	if err := wait(ctx, s.fetch()); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys, nil
}

// fetch starts a fetch of the keys, or joins the current one.
func (s *keySet) fetch() <-chan singleflight.Result {
	return s.fetches.DoChan("", func() (any, error) { return nil, s.fetchOnce() })
}

// fetchOnce does nothing if the last fetch ended less than fetchInterval ago, and
// returns its error.
func (s *keySet) fetchOnce() error {
	s.mu.Lock()
	recent, err := s.now().Sub(s.fetched) < fetchInterval, s.err
	s.mu.Unlock()
	if recent {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	keys, err := s.issuer.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched, s.err = s.now(), err
	if err != nil {
		return err
	}
	s.refreshed = s.fetched
	// Unchanged keys are kept, and with them the cached JWTs that they verified.
	if s.keys == nil || !bytes.Equal(keys.published, s.keys.published) {
		s.keys = keys
	}
	return nil
}

func wait(ctx context.Context, fetch <-chan singleflight.Result) error {
	select {
	case result := <-fetch:
		return result.Err
	case <-ctx.Done():
		return fmt.Errorf("callers: waiting for the issuer's keys: %w", ctx.Err())
	}
}

// issuerKeys is an issuer's keys at one time. nil has none.
type issuerKeys struct {
	published []byte // The JWK set.
	usable    keyfunc.Keyfunc
}

// keyfunc returns the keys that may have signed the token. They have its key ID, if it
// has one, and are not for another algorithm.
func (k *issuerKeys) keyfunc(token *jwt.Token) (any, error) {
	if k == nil {
		return nil, jwkset.ErrKeyNotFound
	}
	return k.usable.Keyfunc(token)
}

// readKeys reads a JWK set. Keys that are not for signatures, or of a kind that
// cannot be used here, are ignored, as RFC 7517 says.
func readKeys(published []byte) (*issuerKeys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(published, &set); err != nil {
		return nil, errors.New("the answer is not a JWK set")
	}
	storage := jwkset.NewMemoryStorage()
	usable := 0
	for _, raw := range set.Keys {
		key, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
		if err != nil || !isUsable(key) || usable == maxKeys {
			continue
		}
		if err := storage.KeyWrite(context.Background(), key); err != nil {
			return nil, err
		}
		usable++
	}
	if usable == 0 {
		return nil, errors.New("the answer has no key that can be used")
	}
	keys, err := keyfunc.New(keyfunc.Options{Storage: storage})
	return &issuerKeys{published, keys}, err
}

// isUsable reports whether a key is a public key for signatures of an accepted type and
// size. A published private or shared key is no longer secret, so it is refused.
func isUsable(key jwkset.JWK) bool {
	if use := key.Marshal().USE; use != "" && use != jwkset.UseSig {
		return false
	}
	switch public := key.Key().(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	default:
		return false
	}
}
