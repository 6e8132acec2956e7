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
	name    string // The key in Redis.
	bucket  int
	content delivery.Content
	local   bool // It is owned in this process only.

	// Store.mu guards the rest.
	until time.Time // The lease does not end before that.
	held  bool      // The update may have been sent.
	// freshUntil is until when an attempt may be made without asking again.
	freshUntil time.Time
}

// Bounds of the waits between two requests about another update's claim.
const (
	minClaimWait = 5 * time.Millisecond
	maxClaimWait = 100 * time.Millisecond
)

// takenError is the result of a claim that may succeed later: another update owns the
// key, or may own it until other replicas have had the time to restore the claims that
// Redis has lost.
type takenError struct{ recovery time.Duration }

func (takenError) Error() string { return "another update owns the request id, or may own it" }

// claimKey returns the key in Redis, and its bucket. It hashes the names of callers and
// request ids, which may be long or secret.
func claimKey(key delivery.Key) (name string, bucket int) {
	text, _ := json.Marshal(key) // Of strings, it never fails.
	sum := sha256.Sum256(text)
	bucket = int(sum[0]) % buckets
	return markerKey(bucket) + ":" + hex.EncodeToString(sum[:]), bucket
}

func (s *Store) newClaim(key delivery.Key, content delivery.Content) *claim {
	name, bucket := claimKey(key)
	return &claim{id: s.newID(), name: name, bucket: bucket, content: content}
}

// claimRequest is a request about the claim. If held is set, the update may have been
// sent, or is sent soon.
func (s *Store) claimRequest(op string, c *claim, record string, held bool) request {
	return s.bucketRequest(op, c.name, c.bucket, c.id, milliseconds(s.bounds.Retention),
		hex.EncodeToString(c.content[:]), record, digit(held))
}

func (s *Store) runClaim(ctx context.Context, op string, c *claim) reply {
	s.mu.Lock()
	held := c.held
	s.mu.Unlock()
	r := s.redis.run(ctx, s.claimRequest(op, c, "", held))
	s.noteMarker(c.bucket, r, false)
	return r
}

// Claim implements delivery.Store. While another update owns the key, it polls.
func (s *Store) Claim(
	ctx context.Context, key delivery.Key, content delivery.Content,
) (*delivery.Record, error) {
	for wait := minClaimWait; ; wait = min(2*wait, maxClaimWait) {
		record, err := s.tryClaim(ctx, key, content)
		taken, isTaken := errors.AsType[takenError](err)
		if !isTaken {
			return record, err
		}
		if deadline, ok := ctx.Deadline(); ok && taken.recovery > 0 && time.Until(deadline) < taken.recovery {
			return nil, outcome.StateUnavailable.Err(outcome.Facts{RetryAfter: taken.recovery})
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// tryClaim claims the key, or returns what is kept under it.
func (s *Store) tryClaim(
	ctx context.Context, key delivery.Key, content delivery.Content,
) (*delivery.Record, error) {
	if err := s.ownedHere(key, content); err != nil {
		return nil, err
	}
	c := s.newClaim(key, content)
	return s.claimed(ctx, key, c, s.runClaim(ctx, "claim", c))
}

// ownedHere returns an error if an update of this process has the key. It keeps the key
// until its end, even if its lease in Redis ends before.
func (s *Store) ownedHere(key delivery.Key, content delivery.Content) error {
	switch other := s.owned(key); {
	case other == nil:
		return nil
	case other.content != content:
		return outcome.RequestIDReused.Err(outcome.Facts{})
	default:
		return takenError{}
	}
}

// claimed handles the answer to a claim.
func (s *Store) claimed(ctx context.Context, key delivery.Key, c *claim, r reply) (*delivery.Record, error) {
	s.disown(key, c)
	c.until = s.leaseEnd(r.asked)
	if r.err != nil {
		return s.claimFailed(ctx, key, c, r.err)
	}
	switch r.answer[0] {
	case "mine":
		return nil, s.own(key, c)
	case "other":
		return nil, outcome.RequestIDReused.Err(outcome.Facts{})
	case "lost":
		return &delivery.Record{Content: c.content}, nil
	case "recovering":
		left, _ := strconv.ParseInt(r.answer[1], 10, 64)
		return nil, takenError{time.Duration(left) * time.Millisecond}
	case "kept":
		return s.decode(c.content, r.answer[1]), nil
	default:
		return nil, takenError{}
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

// disown removes the claim, if it was added.
func (s *Store) disown(key delivery.Key, c *claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims[key] == c {
		delete(s.claims, key)
	}
}

// claimFailed claims the key in this process, if the configuration says so. Redis may
// have executed the request that failed, so the key is given back there.
func (s *Store) claimFailed(
	ctx context.Context, key delivery.Key, c *claim, err error,
) (*delivery.Record, error) {
	s.sendLater(s.cfg.Lease, func(ctx context.Context) error {
		return s.runClaim(ctx, "settle", c).err
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
	s.mu.Lock()
	c := s.claims[key]
	fresh := time.Now().Before(c.freshUntil)
	c.freshUntil = time.Time{} // It is good for one attempt.
	s.mu.Unlock()
	if c.local || fresh {
		return nil
	}
	r := s.runClaim(ctx, "hold", c)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(r.err, errUnreachable) && s.cfg.Failure == Open && !s.endedInStop(c.until):
		return nil
	case errors.Is(r.err, errUnreachable):
		return unavailable()
	case r.err != nil:
		return r.err
	case r.answer[0] != "mine":
		s.redis.observer.LeaseLost(delivery.RequestIDLease)
		return unavailable()
	case time.Since(r.asked) >= s.cfg.Lease:
		return unavailable()
	}
	c.held, c.until = true, s.leaseEnd(r.asked)
	return nil
}

func (s *Store) owned(key delivery.Key) *claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims[key]
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
	s.post(s.claimRequest("settle", c, encode(record), false), s.bounds.Retention)
}

// kept is a record as Redis keeps it. Causes are left out: they are for the log of
// the replica that made the attempt.
type kept struct {
	Answer  *twilio.Answer    `json:",omitempty"`
	Handled *delivery.Handled `json:",omitempty"`
	Reason  string            `json:",omitempty"`
	Code    codes.Code        `json:",omitempty"`
	Facts   *outcome.Facts    `json:",omitempty"`
}

// encode returns the record as it is kept; "" for none.
func encode(record *delivery.Record) string {
	if record == nil {
		return ""
	}
	k := kept{Answer: record.Answer, Handled: record.Handled}
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
	if err == nil && k.Facts == nil {
		return &delivery.Record{Content: content, Answer: k.Answer, Handled: k.Handled}
	}
	kind, ok := outcome.Lookup(k.Reason, k.Code)
	if err != nil || !ok {
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
