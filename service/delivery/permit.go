package delivery

import (
	"context"
	"time"
)

// upstream limits the attempts of one account at one host.
type upstream struct {
	*limiter
	*breaker
}

// Permit allows one attempt. It holds a slot of the account's limiter and must be
// reported to the breaker. Exactly one of Free and finish must be called.
type Permit struct {
	upstream *upstream
	report   func(health)
}

// acquire waits for a permit. It returns an *outcome.Error, Overloaded or
// CircuitOpen, errOver if the channel over is closed, or the context's error.
func (u *upstream) acquire(ctx context.Context, over <-chan struct{}, caller string) (*Permit, error) {
	if err := u.limiter.acquire(ctx, over, caller); err != nil {
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
	p.report(unknownHealth)
}

// finish returns the permit after an attempt that began at the given time.
func (p *Permit) finish(began time.Time, v *verdict) {
	p.report(v.health)
	p.upstream.release(began, v.answered, v.rateLimited)
}
