package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// claim is a request id that an update of this replica owns.
type claim struct {
	id      string
	content delivery.Content
	local   bool // It is owned in this process only.

	// Store.mu guards the rest.
	until time.Time // The lease does not end before that.
	held  bool      // The update may have been sent.
}

// Bounds of the waits between two requests about another update's claim.
const (
	minClaimWait = 5 * time.Millisecond
	maxClaimWait = 100 * time.Millisecond
)

// errClaimed is the result of a claim while another update owns the key.
var errClaimed = errors.New("another update owns the request id")

// recoveringError is the result of a claim while other replicas may still have to restore
// claims that Redis has lost.
type recoveringError struct{ left time.Duration }

func (recoveringError) Error() string { return "claims that Redis has lost are being restored" }

// claimKey returns the key in Redis, and its bucket. It hashes the names of callers and
// request ids, which may be long or secret.
func claimKey(key delivery.Key) (name string, bucket int) {
	text, _ := json.Marshal(key) // Of strings, it never fails.
	sum := sha256.Sum256(text)
	bucket = int(sum[0]) % buckets
	return markerKey(bucket) + ":" + hex.EncodeToString(sum[:]), bucket
}

func (s *Store) runClaim(ctx context.Context, op string, key delivery.Key, c *claim, record string) ([]string, error) {
	name, bucket := claimKey(key)
	s.mu.Lock()
	held := c.held
	s.mu.Unlock()
	return s.runBucket(ctx, op, name, bucket, c.id, milliseconds(s.bounds.Retention),
		hex.EncodeToString(c.content[:]), record, digit(held))
}

// Claim implements delivery.Store. While another update owns the key, it polls.
func (s *Store) Claim(
	ctx context.Context, key delivery.Key, content delivery.Content,
) (*delivery.Record, error) {
	for wait := minClaimWait; ; wait = min(2*wait, maxClaimWait) {
		record, err := s.tryClaim(ctx, key, content)
		recovering, isRecovering := errors.AsType[recoveringError](err)
		switch deadline, ok := ctx.Deadline(); {
		case !isRecovering && !errors.Is(err, errClaimed):
			return record, err
		case isRecovering && ok && time.Until(deadline) < recovering.left:
			return nil, outcome.StateUnavailable.Err(outcome.Facts{RetryAfter: recovering.left})
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
			return nil, outcome.RequestIDReused.Err(outcome.Facts{})
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
		return nil, outcome.RequestIDReused.Err(outcome.Facts{})
	case "lost":
		return &delivery.Record{Content: content}, nil
	case "recovering":
		left, _ := strconv.ParseInt(answer[1], 10, 64)
		return nil, recoveringError{time.Duration(left) * time.Millisecond}
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
		s.local.Settle(key, nil)
	}
	return nil, err
}

// Hold implements delivery.Store.
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
	s.mu.Lock()
	defer s.mu.Unlock()
	c.held = true
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

// Settle implements delivery.Store. If Redis cannot be reached, the request is repeated
// for as long as the record would be kept.
func (s *Store) Settle(key delivery.Key, record *delivery.Record) {
	s.mu.Lock()
	c := s.claims[key]
	delete(s.claims, key)
	s.mu.Unlock()
	if c.local {
		s.local.Settle(key, record)
		return
	}
	text := encode(record)
	settle := func(ctx context.Context) error {
		_, err := s.runClaim(ctx, "settle", key, c, text)
		return err
	}
	s.background.Go(func() {
		if settle(context.Background()) != nil {
			s.sendLater(s.bounds.Retention, settle)
		}
	})
}

// kept is a record as Redis keeps it. Causes are left out: they are for the log of
// the replica that made the attempt.
type kept struct {
	Answer *twilio.Answer `json:",omitempty"`
	Reason string         `json:",omitempty"`
	Code   codes.Code     `json:",omitempty"`
	Facts  *outcome.Facts `json:",omitempty"`
}

// encode returns the record as it is kept; "" for none.
func encode(record *delivery.Record) string {
	if record == nil {
		return ""
	}
	k := kept{Answer: record.Answer}
	if record.Err != nil {
		facts := record.Err.Facts
		facts.Cause = nil
		k.Reason, k.Code, k.Facts = record.Err.Reason, record.Err.Code, &facts
	}
	text, err := json.Marshal(k)
	if err != nil {
		panic(err) // Plain data can always be encoded.
	}
	return string(text)
}

// decode reads a record. One that another version wrote and this one cannot read
// says that the update ended, but not how.
func (s *Store) decode(content delivery.Content, text string) *delivery.Record {
	var k kept
	err := json.Unmarshal([]byte(text), &k)
	if err == nil && k.Answer != nil {
		return &delivery.Record{Content: content, Answer: k.Answer}
	}
	kind, ok := outcome.Lookup(k.Reason, k.Code)
	if err != nil || !ok || k.Facts == nil {
		s.logger.Error("a record cannot be read", "reason", k.Reason)
		return &delivery.Record{Content: content}
	}
	return &delivery.Record{Content: content, Err: kind.Err(*k.Facts)}
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
