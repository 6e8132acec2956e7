package delivery

import (
	"context"
	"sync"
	"time"

	"conferenced/service/outcome"
)

// answers keeps how updates ended under their request ids.
type answers struct {
	kept *aging[Key, *Record]

	mu    sync.Mutex
	owned map[Key]*owned
}

// owned is a request id whose update is under way.
type owned struct {
	content Content
	settled chan struct{}
}

func newAnswers(size int, retention time.Duration) *answers {
	return &answers{kept: newAging[Key, *Record](size, retention), owned: map[Key]*owned{}}
}

// Claim is Store's.
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

// claim returns what is kept, or else who owns the key. Neither: the key is the
// caller's now.
func (a *answers) claim(key Key, content Content) (*Record, *owned) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if other := a.owned[key]; other != nil {
		return nil, other
	}
	if record, ok := a.kept.get(key); ok {
		return record, nil
	}
	a.owned[key] = &owned{content: content, settled: make(chan struct{})}
	return nil, nil
}

// Hold is Store's. In one process nobody takes a key from its owner.
func (a *answers) Hold(context.Context, Key) error { return nil }

// Settle is Store's.
func (a *answers) Settle(key Key, record *Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if record != nil {
		a.kept.put(key, record)
	}
	close(a.owned[key].settled)
	delete(a.owned, key)
}

func (a *answers) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.owned) + a.kept.len()
}
