package delivery

import (
	"context"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// Read makes a request that changes nothing, and returns Twilio's answer. Every error
// is an *outcome.Error, with Applied no. It replaces a name of the conference in the
// request's path by the SID.
//
// A read is not queued with the updates of a participant. It needs a permit for each
// attempt, as an update does, and a failed attempt is retried unless a retry would have
// the same result. It ends at the latest when the context ends.
func (d *Deliverer) Read(
	ctx context.Context, account *twilio.Account, caller string, request *twilio.Request,
) (*twilio.Answer, error) {
	d.identify(ctx, request)
	d.running.Add(1)
	defer d.running.Done()
	err := d.resolve(ctx, account, caller, &request.Path, false)
	if err != nil {
		return nil, d.refused(ctx, err)
	}
	answer, err := d.read(ctx, account, caller, request)
	if err != nil {
		return nil, d.refused(ctx, err)
	}
	return answer, nil
}

func (d *Deliverer) read(
	ctx context.Context, account *twilio.Account, caller string, request *twilio.Request,
) (*twilio.Answer, error) {
	a := attempt{
		account: account, request: request, maySend: func() error { return nil }, ended: func(outcome.Applied) {},
	}
	var last error
	for a.n = 1; ; a.n++ {
		var err error
		if a.permit, err = d.acquire(ctx, d.upstream(account), nil, demand{caller: caller}); err != nil {
			return nil, preferLast(last, err)
		}
		answer, v := a.make(ctx, ctx, d)
		wait := d.cfg.Retrying.wait(a.n, v.retryAfter)
		switch {
		case v.err == nil:
			return answer, nil
		case !d.mayRetry(ctx, a.n, wait, &v, request):
			return nil, v.err
		}
		last = v.err
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
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
