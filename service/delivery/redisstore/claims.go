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
	alone   bool      // It is owned in this process only.
	renewed time.Time // When the lease was last renewed.
}

// Bounds of the waits between two looks at another's claim.
const (
	firstLook = 5 * time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// claimKey hides what callers and request ids are called, and is short.
func claimKey(key delivery.Key) string {
	text, _ := json.Marshal(key) // Of strings, it never fails.
	sum := sha256.Sum256(text)
	return "conferenced:claim:" + hex.EncodeToString(sum[:])
}

func (s *Store) runClaim(ctx context.Context, op string, key delivery.Key, c *claim, record string) ([]string, error) {
	return s.run(ctx, ClaimOperation, claimsScript, claimKey(key), op, c.id,
		milliseconds(s.cfg.Lease), milliseconds(s.bounds.Retention), hex.EncodeToString(c.content[:]), record)
}

// Claim is delivery.Store's. While another owns the key, it looks again and again.
func (s *Store) Claim(
	ctx context.Context, key delivery.Key, content delivery.Content,
) (*delivery.Record, error) {
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		record, err := s.look(ctx, key, content)
		if !errors.Is(err, errBusy) {
			return record, err
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// errBusy is the answer while another owns the key.
var errBusy = errors.New("the request id is under way")

// look claims the key if it can be. An update of this process that still owns it
// is let come to its end, even if its lease has not lasted for that.
func (s *Store) look(
	ctx context.Context, key delivery.Key, content delivery.Content,
) (*delivery.Record, error) {
	if other := s.owned(key); other != nil {
		if other.content != content {
			return nil, &delivery.RefusedError{Reason: delivery.RequestIDReused}
		}
		return nil, errBusy
	}
	c := &claim{id: s.newID(), content: content, renewed: time.Now()}
	answer, err := s.runClaim(ctx, "claim", key, c, "")
	if err != nil {
		return s.unclaimed(ctx, key, c, err)
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
		return nil, errBusy
	}
}

// own notes a claim that was made, unless it took so long that another may have
// made it since.
func (s *Store) own(key delivery.Key, c *claim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims[key] != nil || time.Since(c.renewed) >= s.cfg.Lease {
		return refused()
	}
	s.claims[key] = c
	return nil
}

// unclaimed gives back what may have been claimed all the same.
func (s *Store) unclaimed(
	ctx context.Context, key delivery.Key, c *claim, err error,
) (*delivery.Record, error) {
	s.later(s.cfg.Lease, func(ctx context.Context) error {
		_, err := s.runClaim(ctx, "settle", key, c, "")
		return err
	})
	if !errors.Is(err, errUnreachable) {
		return nil, err
	}
	if s.cfg.Failure != Open {
		return nil, refused()
	}
	record, err := s.alone.Claim(ctx, key, c.content)
	if record == nil && err == nil {
		err = s.own(key, &claim{id: c.id, content: c.content, alone: true, renewed: time.Now()})
		if err != nil {
			s.alone.Settle(ctx, key, nil)
		}
	}
	return record, err
}

// Hold is delivery.Store's.
func (s *Store) Hold(ctx context.Context, key delivery.Key) error {
	c := s.owned(key)
	if c.alone {
		return nil
	}
	asked := time.Now()
	answer, err := s.runClaim(ctx, "hold", key, c, "")
	switch {
	case errors.Is(err, errUnreachable) && s.cfg.Failure == Open && !s.wasStopped():
		return nil
	case errors.Is(err, errUnreachable):
		return refused()
	case err != nil:
		return err
	case answer[0] != "mine":
		s.observer.lost(RequestIDHolding)
		return refused()
	case time.Since(asked) >= s.cfg.Lease:
		return refused()
	}
	s.renewed(c, asked)
	return nil
}

func (s *Store) owned(key delivery.Key) *claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims[key]
}

func (s *Store) renewed(c *claim, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.renewed = at
}

// wasStopped says whether this process stood still for so long that its leases
// have ended without its knowing.
func (s *Store) wasStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.awake) >= s.cfg.Lease
}

// Settle is delivery.Store's. What Redis does not take is offered again for as
// long as it would be kept.
func (s *Store) Settle(ctx context.Context, key delivery.Key, record *delivery.Record) {
	s.mu.Lock()
	c := s.claims[key]
	delete(s.claims, key)
	s.mu.Unlock()
	if c.alone {
		s.alone.Settle(ctx, key, record)
		return
	}
	text := encode(record)
	settle := func(ctx context.Context) error {
		_, err := s.runClaim(ctx, "settle", key, c, text)
		return err
	}
	if settle(ctx) != nil {
		s.later(s.bounds.Retention, settle)
	}
}

// encode is the record as it is kept; "" for none. The cause of an answer that
// could not be read is left out: it is no data, and callers are not told it.
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
		panic(err) // Plain data can always be written.
	}
	return string(text)
}

// decode reads a record. One that cannot be read, of another version, tells that
// there was an end, but not which.
func (s *Store) decode(content delivery.Content, text string) *delivery.Record {
	record := new(delivery.Record)
	if err := json.Unmarshal([]byte(text), record); err != nil {
		s.logger.Error("a record cannot be read", "cause", err)
		record = &delivery.Record{Applied: delivery.Maybe, Lost: true}
	}
	record.Content = content
	return record
}

// pause waits, unless the context ends before that.
func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
