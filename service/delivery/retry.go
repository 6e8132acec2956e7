package delivery

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"conferenced/service/twilio"
)

// Retrying says how often and when an attempt is made again.
type Retrying struct {
	// Attempts is how many are made in all; 1: no retry.
	Attempts int
	// Base and Cap bound the wait before the n-th retry: it is picked evenly
	// between 0 and Base doubled n-1 times, but never more than Cap.
	Base, Cap time.Duration
}

// mayRetry says whether an attempt that ended with the error may be made again.
// A 429 was never processed, and an attempt of which no byte was sent cannot
// have been. What failed otherwise may have been applied, and is sent again only
// if that does no harm.
func mayRetry(err error, update *Update) bool {
	if transport, ok := errors.AsType[*twilio.TransportError](err); ok {
		return !transport.Sent || update.Repeatable()
	}
	answered, ok := errors.AsType[*twilio.Error](err)
	if !ok {
		return false
	}
	if answered.HTTPStatus >= http.StatusInternalServerError {
		return update.Repeatable()
	}
	return isRateLimited(err)
}

func isRateLimited(err error) bool {
	answered, ok := errors.AsType[*twilio.Error](err)
	return ok && answered.HTTPStatus == http.StatusTooManyRequests
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// wait is how long to wait before the n-th retry, n from 1: with full jitter,
// and at least as long as Twilio asked for.
func (r Retrying) wait(n int, err error) time.Duration {
	ceiling := r.Cap
	if doublings := n - 1; r.Base < r.Cap>>doublings { // Base<<doublings may overflow.
		ceiling = r.Base << doublings
	}
	jittered := time.Duration(rand.Int64N(int64(ceiling) + 1))
	if answered, ok := errors.AsType[*twilio.Error](err); ok {
		return max(jittered, answered.RetryAfter)
	}
	return jittered
}
