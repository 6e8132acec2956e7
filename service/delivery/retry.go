package delivery

import (
	"math/rand/v2"
	"time"
)

// Retrying says how often and when an attempt is made again.
type Retrying struct {
	// Attempts is how many are made in all; 1: no retry.
	Attempts int
	// Base and Cap bound the wait before the n-th retry: it is picked evenly
	// between 0 and Base doubled n-1 times, but never more than Cap.
	Base, Cap time.Duration
}

// allows reports whether the update may be sent again.
func (r retry) allows(update *Update) bool {
	return r == always || r == ifRepeatable && update.Repeatable()
}

// wait returns how long to wait before the n-th retry, n from 1: with full jitter,
// and at least as long as Twilio asked for.
func (r Retrying) wait(n int, asked time.Duration) time.Duration {
	ceiling := r.Cap
	if doublings := n - 1; r.Base < r.Cap>>doublings { // Base<<doublings may overflow.
		ceiling = r.Base << doublings
	}
	return max(time.Duration(rand.Int64N(int64(ceiling)+1)), asked)
}
