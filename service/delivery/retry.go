package delivery

import (
	"math/rand/v2"
	"time"

	"conferenced/service/twilio"
)

// Retrying configures retries.
type Retrying struct {
	// Attempts is the maximum number of attempts of an update; 1 means no retry.
	Attempts int
	// Base and Cap bound the wait before the n-th retry. It is uniformly distributed
	// between 0 and the smaller of Base doubled n-1 times and Cap.
	Base, Cap time.Duration
}

// allows reports whether the request may be sent again.
func (r retry) allows(request *twilio.Request) bool {
	return r == always || r == ifRepeatable && request.Repeatable()
}

// wait returns the wait before the n-th retry, counted from 1: with full jitter, and
// at least retryAfter.
func (r Retrying) wait(n int, retryAfter time.Duration) time.Duration {
	ceiling := r.Cap
	if doublings := n - 1; r.Base < r.Cap>>doublings { // Base<<doublings may overflow.
		ceiling = r.Base << doublings
	}
	return max(time.Duration(rand.Int64N(int64(ceiling)+1)), retryAfter)
}
