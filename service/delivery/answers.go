package delivery

import (
	"context"
	"sync"
	"time"

	"conferenced/service/outcome"
)

// answers keeps the results of updates by request ID.
type answers struct {
	kept *expiringMap[Key, *Record]

	mu      sync.Mutex
	claimed map[Key]*claimedKey
}

// claimedKey is a request ID whose update has not ended.
type claimedKey struct {
	content Content
	settled chan struct{}
}

func newAnswers(size int, retention time.Duration) *answers {
	return &answers{kept: newExpiringMap[Key, *Record](size, retention), claimed: map[Key]*claimedKey{}}
}

// Claim implements [Store].
func (a *answers) Claim(ctx context.Context, key Key, content Content) (*Record, error) {
	for {
		record, other := a.claim(key, content)
		switch {
		case record != nil && record.Content != content, other != nil && other.content != content:
			return nil, outcome.RequestIDReused.Err(outcome.Facts{})
		case other == nil:
			return record, nil
		}
		select {
		case <-other.settled:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// claim returns the key's record, or else the claim of another update. If there is
// neither, the key now belongs to the caller.
func (a *answers) claim(key Key, content Content) (*Record, *claimedKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if other := a.claimed[key]; other != nil {
		return nil, other
	}
	if record, ok := a.kept.get(key); ok {
		return record, nil
	}
	a.claimed[key] = &claimedKey{content: content, settled: make(chan struct{})}
	return nil, nil
}

// Hold implements [Store]. In one process the owner of a key never loses it.
func (a *answers) Hold(context.Context, Key) error { return nil }

// Settle implements [Store].
func (a *answers) Settle(key Key, record *Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if record != nil {
		a.kept.put(key, record)
	}
	close(a.claimed[key].settled)
	delete(a.claimed, key)
}

func (a *answers) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.claimed) + a.kept.len()
}
