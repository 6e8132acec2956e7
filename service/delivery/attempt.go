package delivery

import (
	"context"
	"slices"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// attempt is one attempt of a request.
type attempt struct {
	account *twilio.Account
	request *twilio.Request
	n       int // Counted from 1.
	permit  *Permit
	// before is whether an earlier attempt of the request was applied.
	before  outcome.Applied
	maySend func() error // Called right before the request is written; see [Sender].
	// ended is called with whether the attempt was applied.
	ended func(outcome.Applied)
}

// make sends the request once. own is the attempt's context, and ctx that of the
// caller, which can end earlier.
func (a *attempt) make(ctx, own context.Context, d *Deliverer) (answer *twilio.Answer, v verdict) {
	own = d.observer.attempting(own, a.request.Operation, a.n)
	began, err := time.Now(), errPanicked
	defer func() {
		v = judge(err, a.request)
		if a.removedBefore(&v) {
			answer, v.err = answerOf(v.err, a.request), nil
		}
		if v.result == CutOff && ctx.Err() != nil { // The attempt's own context is always cancelled.
			v.err = contextKind(ctx.Err()).Err(v.err.Facts)
		}
		a.permit.finish(began, &v)
		a.permit.upstream.noteConcurrent(answer, err)
		a.ended(v.applied())
		d.observer.attempted(own, a.request.Operation, time.Since(began), v.result, answer, err)
	}()
	d.counts.attempts.Add(1)
	if a.n > 1 {
		d.counts.retries.Add(1)
	}
	answer, err = d.sender.Do(own, a.account, a.request, a.maySend)
	return answer, v
}

// removedBefore reports whether a removal is not found because an earlier attempt of it
// was applied, as far as is known.
func (a *attempt) removedBefore(v *verdict) bool {
	return a.request.Operation == twilio.RemoveParticipant && a.before != outcome.No &&
		v.err != nil && v.err.Kind == outcome.ParticipantNotFound
}

// answerOf returns the answer to a removal whose earlier attempt was applied.
func answerOf(notFound *outcome.Error, removal *twilio.Request) *twilio.Answer {
	return &twilio.Answer{
		Participant: twilio.Participant{CallSID: &removal.Path.Participant},
		HTTPStatus:  notFound.Twilio.HTTPStatus, RequestID: notFound.Twilio.RequestID,
	}
}

// mayRetry reports whether the request may be sent again after its n-th attempt and
// the wait.
func (d *Deliverer) mayRetry(ctx context.Context, n int, wait time.Duration, v *verdict, request *twilio.Request) bool {
	return n < d.cfg.Retrying.Attempts && v.retry.allows(request) && ctx.Err() == nil && !exceedsDeadline(ctx, wait)
}

// preferLast returns the outcome of a request that is not retried because of err.
// That is last, the outcome of its last attempt, unless there is none, the context
// has ended, a newer update superseded this one, or the participant was removed.
func preferLast(last, err error) error {
	if last == nil || isContext(err) ||
		outcome.Is(err, outcome.Superseded) || outcome.Is(err, outcome.ParticipantNotFound) {
		return err
	}
	return last
}

// acquire waits for a permit of the upstream.
func (d *Deliverer) acquire(
	ctx context.Context, u *upstream, over <-chan struct{}, by demand,
) (*Permit, error) {
	d.observer.waiting(ctx)
	began := time.Now()
	permit, err := u.acquire(ctx, over, by)
	d.observer.waited(ctx, QueueLimit, time.Since(began))
	return permit, err
}

// refused counts the error if it is a refusal, and returns it as an outcome.
func (d *Deliverer) refused(ctx context.Context, err error) *outcome.Error {
	failed := asOutcome(err)
	d.observer.refused(ctx, failed.Kind)
	switch {
	case failed.Kind == outcome.Superseded:
		d.counts.superseded.Add(1)
	case slices.Contains(Refusals(), failed.Kind):
		d.counts.refused.Add(1)
	}
	return failed
}
