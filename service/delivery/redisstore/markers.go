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
	// markerAge is for how long a marker is kept after it was last confirmed, which is
	// done several times in that time, so that it does not end without a loss.
	markerAge     = time.Hour
	confirmations = 4
)

// marker is a bucket's marker as this replica knows it.
type marker struct {
	id        string // "": none is known.
	confirmed time.Time
}

func markerKey(bucket int) string { return fmt.Sprintf("conferenced:claim:{%x}", bucket) }

// bucketRequest is a request about the claim with that key, or about the marker alone.
func (s *Store) bucketRequest(op, key string, bucket int, id string, args ...string) request {
	s.mu.Lock()
	known := s.markers[bucket].id
	s.mu.Unlock()
	all := append([]string{op, id, milliseconds(s.cfg.Lease), known, milliseconds(markerAge)}, args...)
	return request{delivery.StoreRequestID, s.claimsScript, key, all}
}

// noteMarker takes over the marker of a bucket that an answer has.
func (s *Store) noteMarker(bucket int, r reply, confirmed bool) {
	if r.err != nil || last(r.answer) == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markers[bucket].id = last(r.answer)
	if confirmed {
		s.markers[bucket].confirmed = r.asked
	}
}

// confirmMarkers learns the markers that are not known, and keeps the others.
func (s *Store) confirmMarkers(ctx context.Context) error {
	for bucket := range buckets {
		s.mu.Lock()
		known := s.markers[bucket]
		s.mu.Unlock()
		if known.id != "" && time.Since(known.confirmed) < markerAge/confirmations {
			continue
		}
		r := s.redis.run(ctx, s.bucketRequest("confirm", markerKey(bucket), bucket, s.newID()))
		s.noteMarker(bucket, r, true)
		if r.err != nil {
			return r.err
		}
	}
	return nil
}
