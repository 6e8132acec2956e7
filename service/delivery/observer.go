package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// Observer observes the delivery of updates. Each of its functions may be nil. They
// must be safe for concurrent use and not block, because the update waits for them.
// The context is the update's, and may have ended.
type Observer struct {
	// Identified is called with the Call SID of a participant that the request names by
	// its label, if it is known. It is called by the goroutine of the caller.
	Identified func(ctx context.Context, callSID string)
	// Waiting is called when a request begins to wait in a queue.
	Waiting func(context.Context)
	// Waited is called when an update's wait in a queue ends, also if the update is not
	// sent.
	Waited func(context.Context, Queue, time.Duration)
	// Attempting is called before the n-th attempt of a request, counted from 1. The
	// attempt uses the context that it returns.
	Attempting func(ctx context.Context, operation twilio.Operation, n int) context.Context
	// Attempted is called with that context after the attempt.
	Attempted func(context.Context, Attempt)
	// Refused is called when an update ends with one of [Refusals].
	Refused func(context.Context, outcome.Kind)
	// Replayed is called when an update gets the first answer for its request ID.
	Replayed func(context.Context)
	// Abandoned is called when a caller leaves while its update is in flight.
	Abandoned func(context.Context)
	// BreakerChanged is called with the new state of an account's breaker:
	// `closed`, `open` or `half-open`.
	BreakerChanged func(state string)
	// Panicked is called after a delivery panicked.
	Panicked func()
}

// Queue names a queue in which updates wait.
type Queue string

// The queues.
const (
	// QueueParticipant is the queue of one participant's updates.
	QueueParticipant Queue = "participant"
	// QueueLimit is the queue for an account's limits.
	QueueLimit Queue = "limit"
)

// Attempt describes an attempt that has ended.
type Attempt struct {
	Operation twilio.Operation

	Took   time.Duration
	Result Result
	// Connected is set if the attempt had a connection, Reused if that connection had
	// been used before.
	Connected, Reused bool
	// HTTPStatus and TwilioCode are those of Twilio's answer, or 0.
	HTTPStatus, TwilioCode int
	// TwilioRequestID is the value of Twilio-Request-Id in the answer, or empty.
	TwilioRequestID string
}

// Result is the result of an attempt.
type Result string

// The results.
const (
	// Succeeded means that Twilio did what was asked.
	Succeeded Result = "ok"
	// Rejected means that Twilio answered with a 4xx other than 429.
	Rejected Result = "rejected"
	// RateLimited means that Twilio answered with a 429.
	RateLimited Result = "rate_limited"
	// Failed means that Twilio answered with a 5xx, or a proxy with a 4xx after which
	// the update may have been applied.
	Failed Result = "failed"
	// Unexpected means that Twilio's answer is a redirect or cannot be read.
	Unexpected Result = "unexpected"
	// NotSent means that no byte of the request was sent.
	NotSent Result = "not_sent"
	// Lost means that the request was sent and no answer came.
	Lost Result = "lost"
	// CutOff means that the attempt was cancelled because its caller left.
	CutOff Result = "cut_off"
	// Defective means that no request could be built, or that the attempt panicked.
	Defective Result = "defective"
)

// Results returns all results.
func Results() []Result {
	return []Result{
		Succeeded, Rejected, RateLimited, Failed, Unexpected, NotSent, Lost, CutOff, Defective,
	}
}

// Refusals returns the outcomes that this package decides without an answer from
// Twilio.
func Refusals() []outcome.Kind {
	return []outcome.Kind{
		outcome.Superseded, outcome.RequestIDReused, outcome.Overloaded, outcome.CircuitOpen, outcome.StateUnavailable,
	}
}

// Observe sets the observer. It must be called before the first Deliver.
func (d *Deliverer) Observe(observer Observer) { d.observer = observer }

func (o *Observer) identified(ctx context.Context, callSID string) {
	if o.Identified != nil {
		o.Identified(ctx, callSID)
	}
}

func (o *Observer) waiting(ctx context.Context) {
	if o.Waiting != nil {
		o.Waiting(ctx)
	}
}

func (o *Observer) waited(ctx context.Context, queue Queue, wait time.Duration) {
	if o.Waited != nil {
		o.Waited(ctx, queue, wait)
	}
}

func (o *Observer) attempting(ctx context.Context, operation twilio.Operation, n int) context.Context {
	if o.Attempting == nil {
		return ctx
	}
	return o.Attempting(ctx, operation, n)
}

func (o *Observer) attempted(
	ctx context.Context, operation twilio.Operation, took time.Duration, result Result, answer *twilio.Answer, err error,
) {
	if o.Attempted == nil {
		return
	}
	attempt := attemptOf(answer, err)
	attempt.Operation, attempt.Took, attempt.Result = operation, took, result
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

// attemptOf returns the description of an attempt with that result.
func attemptOf(answer *twilio.Answer, err error) Attempt {
	if err == nil {
		return Attempt{Connected: true, Reused: answer.Reused, HTTPStatus: answer.HTTPStatus, TwilioRequestID: answer.RequestID}
	}
	if refusal, ok := errors.AsType[*twilio.Error](err); ok {
		return Attempt{
			Connected: true, Reused: refusal.Reused,
			HTTPStatus: refusal.HTTPStatus, TwilioCode: refusal.Code, TwilioRequestID: refusal.RequestID,
		}
	}
	if unusable, ok := errors.AsType[*twilio.AnswerError](err); ok {
		return Attempt{
			Connected: true, Reused: unusable.Reused,
			HTTPStatus: unusable.HTTPStatus, TwilioRequestID: unusable.RequestID,
		}
	}
	if transport, ok := errors.AsType[*twilio.TransportError](err); ok {
		return Attempt{Connected: transport.Sent, Reused: transport.Reused}
	}
	return Attempt{}
}
