package delivery

import (
	"context"
	"time"
)

// upstream limits and guards the attempts of one account at one host.
type upstream struct {
	*limiter
	*breaker
}

// Permit allows one attempt: it holds a slot of the account's limit and the
// breaker's consent. It is used once: Free or finish ends it.
type Permit struct {
	upstream *upstream
	report   func(health)
}

// acquire waits for a permit. Its errors are an *outcome.Error, Overloaded or
// CircuitOpen; errOver when that channel is closed; and the context's.
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

// Free gives the permit back. No attempt was made.
func (p *Permit) Free() {
	if p.upstream == nil {
		return
	}
	p.upstream.free()
	p.report(unknownHealth)
}

// finish ends the permit of an attempt that began at the time.
func (p *Permit) finish(began time.Time, v *verdict) {
	p.report(v.health)
	p.upstream.release(began, v.answered, v.rateLimited)
}
