package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// Observer is told what happens to updates on their way, in plain words. Any of
// its functions may be nil. They are called while the update waits, and by many
// updates at once: they must be quick and safe for concurrent use. The context is
// the update's, which may have ended.
type Observer struct {
	// Waited is called when an update has got its turn or its slot, or has given
	// up waiting for it.
	Waited func(context.Context, Queue, time.Duration)
	// Attempting is called before an attempt is made, n from 1. The attempt gets
	// the context that it returns.
	Attempting func(ctx context.Context, n int) context.Context
	// Attempted is called with that context when the attempt has ended.
	Attempted func(context.Context, Attempt)
	// Refused is called when an update is not sent, or not sent again.
	Refused func(context.Context, outcome.Kind)
	// Replayed is called when an update is answered with the first answer to its
	// request id.
	Replayed func(context.Context)
	// Abandoned is called when the one who asked for an update leaves while it
	// is on the way.
	Abandoned func(context.Context)
	// BreakerChanged is called with the new state of an account's breaker:
	// `closed`, `open` or `half-open`.
	BreakerChanged func(state string)
	// Panicked is called when a delivery has panicked.
	Panicked func()
}

// Queue is where an update waits before it is sent.
type Queue string

// The queues.
const (
	// QueueParticipant is the line of updates of one participant.
	QueueParticipant Queue = "participant"
	// QueueLimit is where updates wait for their account's limits.
	QueueLimit Queue = "limit"
)

// Attempt is how one attempt went.
type Attempt struct {
	Took   time.Duration
	Result Result
	// Connected says whether it had a connection, Reused whether that was used
	// before.
	Connected, Reused bool
	// HTTPStatus and TwilioCode are Twilio's; 0: there was none.
	HTTPStatus, TwilioCode int
	// TwilioRequestID is Twilio's id of the request, or "".
	TwilioRequestID string
}

// Result names how an attempt ended.
type Result string

// The results.
const (
	// Succeeded: Twilio made the change and answered with the participant.
	Succeeded Result = "ok"
	// Rejected: Twilio answered with a 4xx other than 429.
	Rejected Result = "rejected"
	// RateLimited: Twilio answered with a 429.
	RateLimited Result = "rate_limited"
	// Failed: Twilio answered with a 5xx.
	Failed Result = "failed"
	// Unexpected: Twilio's answer is a redirect, or cannot be read.
	Unexpected Result = "unexpected"
	// NotSent: no byte of the request was sent.
	NotSent Result = "not_sent"
	// Lost: the request was sent, and no answer came.
	Lost Result = "lost"
	// CutOff: it was ended with the one who asked for it.
	CutOff Result = "cut_off"
	// Defective: it was never a request, or making it panicked.
	Defective Result = "defective"
)

// Results are all of them.
func Results() []Result {
	return []Result{
		Succeeded, Rejected, RateLimited, Failed, Unexpected, NotSent, Lost, CutOff, Defective,
	}
}

// Refusals are the outcomes that this package decides on itself.
func Refusals() []outcome.Kind {
	return []outcome.Kind{
		outcome.Superseded, outcome.RequestIDReused, outcome.Overloaded, outcome.CircuitOpen, outcome.StateUnavailable,
	}
}

// Observe makes the observer be told of everything from now on. It must be
// called before the first update is delivered, if at all.
func (d *Deliverer) Observe(observer Observer) { d.observer = observer }

func (o *Observer) waited(ctx context.Context, queue Queue, wait time.Duration) {
	if o.Waited != nil {
		o.Waited(ctx, queue, wait)
	}
}

func (o *Observer) attempting(ctx context.Context, n int) context.Context {
	if o.Attempting == nil {
		return ctx
	}
	return o.Attempting(ctx, n)
}

func (o *Observer) attempted(ctx context.Context, took time.Duration, result Result, answer *twilio.Answer, err error) {
	if o.Attempted == nil {
		return
	}
	attempt := attemptOf(answer, err)
	attempt.Took, attempt.Result = took, result
	o.Attempted(ctx, attempt)
}

// refused reports an outcome if it is one of Refusals.
func (o *Observer) refused(ctx context.Context, kind outcome.Kind) {
	if o.Refused != nil && slices.Contains(Refusals(), kind) {
		o.Refused(ctx, kind)
	}
}

func (o *Observer) replayed(ctx context.Context) {
	if o.Replayed != nil {
		o.Replayed(ctx)
	}
}

func (o *Observer) abandoned(ctx context.Context) {
	if o.Abandoned != nil {
		o.Abandoned(ctx)
	}
}

func (o *Observer) breakerChanged(state string) {
	if o.BreakerChanged != nil {
		o.BreakerChanged(state)
	}
}

func (o *Observer) panicked() {
	if o.Panicked != nil {
		o.Panicked()
	}
}

// attemptOf returns the facts of an attempt that ended so.
func attemptOf(answer *twilio.Answer, err error) Attempt {
	var (
		refusal   *twilio.Error
		unusable  *twilio.AnswerError
		transport *twilio.TransportError
	)
	switch {
	case err == nil:
		return Attempt{Connected: true, Reused: answer.Reused, HTTPStatus: answer.HTTPStatus, TwilioRequestID: answer.RequestID}
	case errors.As(err, &refusal):
		return Attempt{
			Connected: true, Reused: refusal.Reused,
			HTTPStatus: refusal.HTTPStatus, TwilioCode: refusal.Code, TwilioRequestID: refusal.RequestID,
		}
	case errors.As(err, &unusable):
		return Attempt{
			Connected: true, Reused: unusable.Reused,
			HTTPStatus: unusable.HTTPStatus, TwilioRequestID: unusable.RequestID,
		}
	case errors.As(err, &transport):
		return Attempt{Connected: transport.Sent, Reused: transport.Reused}
	default:
		return Attempt{}
	}
}
