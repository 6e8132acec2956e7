package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"conferenced/service/delivery"
)

// claim is a request id that an update of this replica owns.
type claim struct {
	id      string
	content delivery.Content
	local   bool      // It is owned in this process only.
	until   time.Time // The lease does not end before that. Store.mu guards it.
}

// Bounds of the waits between two requests about another update's claim.
const (
	minClaimWait = 5 * time.Millisecond
	maxClaimWait = 100 * time.Millisecond
)

// errClaimed is the result of a claim while another update owns the key.
var errClaimed = errors.New("another update owns the request id")

// claimKey hashes the names of callers and request ids, which may be long or secret.
func claimKey(key delivery.Key) string {
	text, _ := json.Marshal(key) // Of strings, it never fails.
	sum := sha256.Sum256(text)
	return "conferenced:claim:" + hex.EncodeToString(sum[:])
}

func (s *Store) runClaim(ctx context.Context, op string, key delivery.Key, c *claim, record string) ([]string, error) {
	return s.redis.run(ctx, delivery.StoreRequestID, claimsScript, claimKey(key), op, c.id,
		milliseconds(s.cfg.Lease), milliseconds(s.bounds.Retention), hex.EncodeToString(c.content[:]), record)
}

// Claim is delivery.Store's. While another update owns the key, it polls.
func (s *Store) Claim(
	ctx context.Context, key delivery.Key, content delivery.Content,
) (*delivery.Record, error) {
	for wait := minClaimWait; ; wait = min(2*wait, maxClaimWait) {
		record, err := s.tryClaim(ctx, key, content)
		if !errors.Is(err, errClaimed) {
			return record, err
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// tryClaim claims the key, or returns what is kept under it. An update of this
// process keeps the key until its end, even if its lease in Redis ends before.
func (s *Store) tryClaim(
	ctx context.Context, key delivery.Key, content delivery.Content,
) (*delivery.Record, error) {
	if other := s.owned(key); other != nil {
		if other.content != content {
			return nil, &delivery.RefusedError{Reason: delivery.RequestIDReused}
		}
		return nil, errClaimed
	}
	c := &claim{id: s.newID(), content: content, until: s.leaseEnd(time.Now())}
	answer, err := s.runClaim(ctx, "claim", key, c, "")
	if err != nil {
		return s.claimFailed(ctx, key, c, err)
	}
	switch answer[0] {
	case "mine":
		return nil, s.own(key, c)
	case "other":
		return nil, &delivery.RefusedError{Reason: delivery.RequestIDReused}
	case "lost":
		return &delivery.Record{Content: content, Applied: delivery.Maybe, Lost: true}, nil
	case "kept":
		return s.decode(content, answer[1]), nil
	default:
		return nil, errClaimed
	}
}

// own adds a claim, unless its lease has ended meanwhile.
func (s *Store) own(key delivery.Key, c *claim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims[key] != nil || !time.Now().Before(c.until) {
		return unavailable()
	}
	s.claims[key] = c
	return nil
}

// claimFailed claims the key in this process, if the configuration says so. Redis may
// have executed the request that failed, so the key is given back there.
func (s *Store) claimFailed(
	ctx context.Context, key delivery.Key, c *claim, err error,
) (*delivery.Record, error) {
	s.sendLater(s.cfg.Lease, func(ctx context.Context) error {
		_, err := s.runClaim(ctx, "settle", key, c, "")
		return err
	})
	if !errors.Is(err, errUnreachable) {
		return nil, err
	}
	if s.cfg.Failure != Open {
		return nil, unavailable()
	}
	record, err := s.local.Claim(ctx, key, c.content)
	if record != nil || err != nil {
		return record, err
	}
	err = s.own(key, &claim{content: c.content, local: true, until: s.leaseEnd(time.Now())})
	if err != nil {
		s.local.Settle(ctx, key, nil)
	}
	return nil, err
}

// Hold is delivery.Store's.
func (s *Store) Hold(ctx context.Context, key delivery.Key) error {
	c := s.owned(key)
	if c.local {
		return nil
	}
	asked := time.Now()
	answer, err := s.runClaim(ctx, "hold", key, c, "")
	switch {
	case errors.Is(err, errUnreachable):
		if s.cfg.Failure == Open && !s.claimEndedInStop(c) {
			return nil
		}
		return unavailable()
	case err != nil:
		return err
	case answer[0] != "mine":
		s.redis.observer.LeaseLost(delivery.RequestIDLease)
		return unavailable()
	case time.Since(asked) >= s.cfg.Lease:
		return unavailable()
	}
	s.extend(c, asked)
	return nil
}

func (s *Store) owned(key delivery.Key) *claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims[key]
}

// extend notes that the lease was renewed by a request made at that time.
func (s *Store) extend(c *claim, asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.until = s.leaseEnd(asked)
}

func (s *Store) claimEndedInStop(c *claim) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endedInStop(c.until)
}

// Settle is delivery.Store's. If Redis cannot be reached, it is told for as long as
// the record would be kept.
func (s *Store) Settle(ctx context.Context, key delivery.Key, record *delivery.Record) {
	s.mu.Lock()
	c := s.claims[key]
	delete(s.claims, key)
	s.mu.Unlock()
	if c.local {
		s.local.Settle(ctx, key, record)
		return
	}
	text := encode(record)
	settle := func(ctx context.Context) error {
		_, err := s.runClaim(ctx, "settle", key, c, text)
		return err
	}
	if settle(ctx) != nil {
		s.sendLater(s.bounds.Retention, settle)
	}
}

// encode returns the record as it is kept in Redis, or "" for none. The cause of an
// unreadable answer is left out: it is not plain data, and is not sent to callers.
func encode(record *delivery.Record) string {
	if record == nil {
		return ""
	}
	kept := *record
	if kept.Unexpected != nil {
		unexpected := *kept.Unexpected
		unexpected.Err = nil
		kept.Unexpected = &unexpected
	}
	text, err := json.Marshal(kept)
	if err != nil {
		panic(err) // Plain data can always be encoded.
	}
	return string(text)
}

// decode returns the record. One that cannot be decoded, of another version, says
// only that there was an outcome.
func (s *Store) decode(content delivery.Content, text string) *delivery.Record {
	record := new(delivery.Record)
	if err := json.Unmarshal([]byte(text), record); err != nil {
		s.logger.Error("a record cannot be read", "cause", err)
		record = &delivery.Record{Applied: delivery.Maybe, Lost: true}
	}
	record.Content = content
	return record
}

// sleep waits, unless the context ends before that.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
