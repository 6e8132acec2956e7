package redisstore

import (
	"context"
	"errors"
	"time"
)

// pending is a request to be made once Redis answers again.
type pending struct {
	until time.Time // It is useless after that.
	send  func(context.Context) error
}

// sendLater repeats a request that has failed, for as long as it is useful.
func (s *Store) sendLater(useful time.Duration, send func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) >= s.bounds.Records {
		s.pending = s.pending[1:]
	}
	s.pending = append(s.pending, pending{time.Now().Add(useful), send})
}

// maxDelay bounds how long a request that nothing waits for is delayed, so that it is made
// together with others.
const maxDelay = time.Millisecond

// post makes a request soon, and repeats it if it fails, for as long as it is useful.
func (s *Store) post(r request, useful time.Duration) {
	failed := func(err error) {
		if !errors.Is(err, errUnreachable) { // The context of the request that it was made with has ended.
			s.post(r, useful)
			return
		}
		s.sendLater(useful, func(ctx context.Context) error { return s.redis.run(ctx, r).err })
	}
	if s.redis.post(r, failed) {
		s.background.Go(func() {
			time.Sleep(maxDelay)
			s.redis.flush()
		})
	}
}

// sendPending makes the pending requests, until one fails.
func (s *Store) sendPending(ctx context.Context) {
	s.mu.Lock()
	todo := s.pending
	s.pending = nil
	s.mu.Unlock()
	for i, p := range todo {
		if time.Now().After(p.until) || p.send(ctx) == nil {
			continue
		}
		s.mu.Lock()
		s.pending = append(todo[i:], s.pending...)
		s.mu.Unlock()
		return
	}
}
