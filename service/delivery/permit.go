package delivery

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"conferenced/service/twilio"
)

// upstream limits the attempts of one account at one host.
type upstream struct {
	*limiter
	*breaker
	concurrent atomic.Int64 // See UpstreamState.ConcurrentRequests.
}

// noteConcurrent keeps how many requests of the account are running, if the result of an
// attempt says so.
func (u *upstream) noteConcurrent(answer *twilio.Answer, err error) {
	var n int
	if failed, ok := errors.AsType[*twilio.Error](err); ok {
		n = failed.Concurrent
	} else if answer != nil {
		n = answer.Concurrent
	}
	if n > 0 {
		u.concurrent.Store(int64(n))
	}
}

// Permit allows one attempt. It holds a slot of the account's limiter and must be
// reported to the breaker. Exactly one of Free and finish must be called.
type Permit struct {
	upstream *upstream
	report   func(error)
}

// acquire waits for a permit. It returns an *outcome.Error, Overloaded or
// CircuitOpen, errOver if the channel over is closed, or the context's error.
func (u *upstream) acquire(ctx context.Context, over <-chan struct{}, d demand) (*Permit, error) {
	if err := u.limiter.acquire(ctx, over, d); err != nil {
		return nil, err
	}
	report, err := u.allow()
	if err != nil {
		u.free()
		return nil, err
	}
	return &Permit{upstream: u, report: report}, nil
}

// Free returns a permit that was not used for an attempt.
func (p *Permit) Free() {
	if p.upstream == nil {
		return
	}
	p.upstream.free()
	p.report(unknownHealth.err())
}

// finish returns the permit after an attempt that began at the given time.
func (p *Permit) finish(began time.Time, v *verdict) {
	p.report(v.health.err())
	p.upstream.release(began, v.answered, v.rateLimited)
}
