package callers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// fetchInterval is the least time between two fetches for the sake of JWTs
	// that no key verifies. Anybody can make such up.
	fetchInterval = time.Second
	// fetchTimeout is the most that a fetch may take.
	fetchTimeout = 5 * time.Second
	// refreshAfter is the age at which keys are fetched again, so that a key
	// which the issuer has withdrawn does not stay good.
	refreshAfter = 10 * time.Minute
	// retryAfter is the least time between two attempts to refresh.
	retryAfter = time.Minute
)

// keyRing is an issuer's keys at one time.
type keyRing struct {
	keys []jose.JSONWebKey
}

// keySet holds an issuer's keys: fetched when they are first needed, when they
// are old, and when a JWT comes that none of them verifies. One fetch at a time
// serves all who wait for it, and goes on when they are gone.
//
// go-oidc's own key set fetches at every bad signature and never again
// otherwise.
type keySet struct {
	fetch func(context.Context) (*keyRing, error)
	now   func() time.Time

	mu      sync.Mutex
	ring    *keyRing // nil until a fetch succeeds.
	fetched time.Time
	last    *fetching // nil until the first.
}

// fetching is a fetch, under way until done is closed.
type fetching struct {
	began time.Time
	done  chan struct{}
	err   error // To be read when done is closed.
}

func newKeySet(from *issuer, now func() time.Time) *keySet {
	return &keySet{fetch: from.fetch, now: now}
}

// verify returns the payload, and the keys that it was verified with.
func (s *keySet) verify(ctx context.Context, signed *jose.JSONWebSignature) ([]byte, *keyRing, error) {
	ring := s.current(ctx)
	if payload, ok := ring.verify(signed); ok {
		return payload, ring, nil
	}
	newer, err := s.newer(ctx, ring)
	if err != nil {
		return nil, nil, err
	}
	if newer == ring {
		return nil, nil, errJWTSignature
	}
	if payload, ok := newer.verify(signed); ok {
		return payload, newer, nil
	}
	return nil, nil, errJWTSignature
}

// current returns the keys at hand; nil if there are none yet. Keys that are old
// are fetched again meanwhile. Only after a long time without calls is that
// waited for: it must not slow calls down when the issuer does not answer.
func (s *keySet) current(ctx context.Context) *keyRing {
	s.mu.Lock()
	ring, age, failing := s.ring, s.now().Sub(s.fetched), s.failing()
	var refresh *fetching
	if ring != nil && age >= refreshAfter {
		refresh = s.start(retryAfter)
	}
	s.mu.Unlock()
	if refresh == nil || failing || age < 2*refreshAfter {
		return ring
	}
	_ = refresh.wait(ctx) // Without new keys the old ones serve on.
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring
}

// newer returns keys that were fetched after those that have been seen, or the
// same if the issuer has no others or was asked a moment ago.
func (s *keySet) newer(ctx context.Context, seen *keyRing) (*keyRing, error) {
	s.mu.Lock()
	if s.ring != seen {
		defer s.mu.Unlock()
		return s.ring, nil
	}
	last := s.last
	fetch := s.start(fetchInterval)
	s.mu.Unlock()
	if fetch == nil { // The issuer was asked a moment ago.
		return seen, last.err
	}
	if err := fetch.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring, nil
}

// failing reports whether the last fetch that ended failed. s.mu is held.
func (s *keySet) failing() bool {
	return s.last != nil && s.last.ended() && s.last.err != nil
}

// start returns the fetch under way, or starts one; nil if the last one began
// less than the interval ago. s.mu is held.
func (s *keySet) start(interval time.Duration) *fetching {
	if s.last != nil && !s.last.ended() {
		return s.last
	}
	now := s.now()
	if s.last != nil && now.Sub(s.last.began) < interval {
		return nil
	}
	s.last = &fetching{began: now, done: make(chan struct{})}
	go s.run(s.last)
	return s.last
}

func (s *keySet) run(fetch *fetching) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	ring, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(fetch.done)
	if err != nil {
		fetch.err = fmt.Errorf("callers: the issuer's keys cannot be fetched: %w", err)
		return
	}
	s.fetched = s.now()
	if !ring.equal(s.ring) { // Else what was verified with the old ones stays verified.
		s.ring = ring
	}
}

func (f *fetching) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

func (f *fetching) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("callers: waiting for the issuer's keys: %w", ctx.Err())
	}
}
