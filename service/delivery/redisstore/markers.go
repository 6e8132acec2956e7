package redisstore

import (
	"context"
	"fmt"
	"time"

	"conferenced/service/delivery"
)

// Request ids are divided into buckets, each in a slot of its own of a cluster. A bucket
// has a marker in Redis, which is another one after the data was lost.
//
// A replica that finds that the marker it knows is gone starts a recovery, for one lease.
// Meanwhile no replica claims a request id of the bucket that nobody owns, and the owners
// restore the claims of updates that they may have sent, see renewClaims. So a replica
// that reached Redis before the loss does not send the update of such a claim again.
const (
	buckets = 16
	// markerAge is for how long a marker is kept after it was last seen. It is confirmed
	// several times in that time, so that it does not end without a loss.
	markerAge     = time.Hour
	confirmations = 4
)

// marker is a bucket's marker as this replica knows it.
type marker struct {
	id   string // "": none is known.
	seen time.Time
}

func markerKey(bucket int) string { return fmt.Sprintf("conferenced:claim:{%x}", bucket) }

// runBucket makes a request about the claim with that key, or about the marker alone.
func (s *Store) runBucket(ctx context.Context, op, key string, bucket int, id string, args ...string) ([]string, error) {
	s.mu.Lock()
	known := s.markers[bucket]
	s.mu.Unlock()
	asked := time.Now()
	all := []string{op, id, milliseconds(s.cfg.Lease), known.id, milliseconds(markerAge)}
	answer, err := s.redis.run(ctx, delivery.StoreRequestID, claimsScript, key, append(all, args...)...)
	if err != nil {
		return nil, err
	}
	if current := last(answer); current != "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.markers[bucket] = marker{current, asked}
	}
	return answer, nil
}

// confirmMarkers learns the markers that are not known, and keeps the others.
func (s *Store) confirmMarkers(ctx context.Context) error {
	for bucket := range buckets {
		s.mu.Lock()
		known := s.markers[bucket]
		s.mu.Unlock()
		if known.id != "" && time.Since(known.seen) < markerAge/confirmations {
			continue
		}
		if _, err := s.runBucket(ctx, "confirm", markerKey(bucket), bucket, s.newID()); err != nil {
			return err
		}
	}
	return nil
}
