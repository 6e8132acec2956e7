package delivery

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"

	"conferenced/service/twilio"
)

// errSuperseded ends the waits of an update that a newer one supersedes.
var errSuperseded error = &RefusedError{Reason: Superseded}

// job is one update on its way. A goroutine of its own runs it from start to end;
// the caller's goroutine only receives the result, which it has as soon as its
// context ends, whether the job has ended by then or not.
type job struct {
	d      *Deliverer
	update *Update
	claim  *claim
	lane   *lane
	ticket *Ticket
	result chan result // The caller receives the first, and that only.

	answer  *twilio.Answer
	err     error
	applied Applied     // By the attempts that have ended.
	report  func(error) // Reports the attempt that may be made to the breaker.
}

// result is what the caller receives.
type result struct {
	answer *twilio.Answer
	err    error
}

// start puts the update into its participant's queue, starts its job and returns
// the result.
func (d *Deliverer) start(ctx context.Context, update *Update, id *claim) (*twilio.Answer, error) {
	j := &job{d: d, update: update, claim: id, lane: d.lane(update.Account), result: make(chan result, 1)}
	if err := j.join(ctx); err != nil {
		j.count(ctx, err)
		err = &Error{Applied: No, Err: err}
		id.settle(context.WithoutCancel(ctx), nil, err)
		return nil, err
	}
	d.counts.updates.Add(1)
	d.running.Add(1)
	go j.run(ctx)
	r := <-j.result
	return r.answer, r.err
}

// reply gives the caller its result, unless it has one.
func (j *job) reply(r result) {
	select {
	case j.result <- r:
	default:
	}
}

// run delivers the update. Everything but a request that was sent ends when the
// caller's context ends, so the caller has its result at once: here, or from
// attempt.callerLeft.
func (j *job) run(ctx context.Context) {
	j.deliver(ctx)
	if ctx.Err() != nil { // What is left may take time, and the caller has none.
		j.reply(result{j.answer, j.err})
		ctx = context.WithoutCancel(ctx)
	}
	j.end(ctx)
	j.reply(result{j.answer, j.err})
}

// end learns from the answer, settles the request id and leaves the queue.
// Deferred, because a panic must not leave an update in flight for ever.
func (j *job) end(ctx context.Context) {
	defer j.d.running.Done()
	defer j.ticket.Leave()
	defer func() { j.claim.settle(ctx, j.answer, j.err) }()
	defer j.recover()
	if j.err == nil {
		j.learn(ctx)
	}
}

// recover keeps a panic from ending the process.
func (j *job) recover() {
	if recover() != nil {
		j.answer, j.err = nil, &Error{Applied: Maybe, Err: errPanicked}
		j.d.observer.panicked()
		j.d.logger.Error("panic", "stack", string(debug.Stack()))
	}
}

// errPanicked is the end of an update whose delivery panicked.
var errPanicked = errors.New("the delivery panicked")

// noLine is the ticket of a service that keeps no order.
var noLine = func() *Ticket {
	turn := make(chan struct{})
	close(turn)
	return &Ticket{Turn: turn, Leave: func() {}}
}()

// join puts the update into the queue, unless its caller has left: it would
// supersede others and then not be sent.
func (j *job) join(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.d.cfg.Unordered {
		j.ticket = noLine
		return nil
	}
	j.ticket, err = j.d.store.Join(ctx, j.update.participant(), j.update.properties(), !j.update.Repeatable())
	return err
}

// deliver waits for the update's turn and sends it.
func (j *job) deliver(ctx context.Context) {
	defer j.recover()
	err := j.turn(ctx)
	if err == nil {
		j.answer, err = j.attempts(ctx)
	}
	if err != nil {
		j.count(ctx, err)
		j.answer, j.err = nil, &Error{Applied: j.applied, Err: err}
	}
}

func (j *job) count(ctx context.Context, err error) {
	j.d.reportRefusal(ctx, err)
	var refused *RefusedError
	switch {
	case !errors.As(err, &refused):
	case refused.Reason == Superseded:
		j.d.counts.superseded.Add(1)
	default:
		j.d.counts.refused.Add(1)
	}
}

// turn waits until the update is the one in its queue that may be sent.
func (j *job) turn(ctx context.Context) error {
	select {
	case <-j.ticket.Turn:
		j.d.observer.waited(ctx, QueueParticipant, 0)
		return nil
	default:
	}
	began := time.Now()
	defer func() { j.d.observer.waited(ctx, QueueParticipant, time.Since(began)) }()
	select {
	case <-j.ticket.Turn:
		return nil
	case <-j.ticket.Superseded:
		return errSuperseded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attempts sends the update until it is answered, or until sending it again cannot
// help or could do harm.
func (j *job) attempts(ctx context.Context) (*twilio.Answer, error) {
	var last error
	for n := 1; ; n++ {
		if err := j.clear(ctx); err != nil {
			return nil, foremost(last, err)
		}
		if n > 1 {
			j.d.counts.retries.Add(1)
		}
		answer, err := j.attempt(ctx, n)
		if err == nil {
			return answer, nil
		}
		if _, refused := errors.AsType[*RefusedError](err); refused {
			return nil, foremost(last, err)
		}
		last = err
		if n >= j.d.cfg.Retrying.Attempts || !mayRetry(err, j.update) || ctx.Err() != nil {
			return nil, last
		}
		wait := j.d.cfg.Retrying.wait(n, err)
		if passes(ctx, wait) {
			return nil, last
		}
		if err := sleep(ctx, j.ticket.Superseded, wait); err != nil {
			return nil, foremost(last, err)
		}
	}
}

// foremost is the error of an update that was not sent again because of err: that
// of the last attempt, which says more, unless the caller has left or a newer
// update supersedes this one.
func foremost(last, err error) error {
	if last == nil || isContext(err) || errors.Is(err, errSuperseded) {
		return err
	}
	return last
}

// clear waits until the account's limit and breaker allow an attempt. After nil,
// attempt must be called.
func (j *job) clear(ctx context.Context) error {
	began := time.Now()
	err := j.lane.acquire(ctx, j.ticket.Superseded, j.update.Caller)
	j.d.observer.waited(ctx, QueueLimit, time.Since(began))
	if err != nil {
		return err
	}
	report, err := j.lane.allow()
	if err != nil {
		j.lane.free()
		return err
	}
	if err := j.checkBeforeSend(ctx); err != nil {
		j.lane.free()
		report(err)
		return err
	}
	j.report = report
	return nil
}

// checkBeforeSend returns an error if the update lost its turn or its request id
// to another replica, if a newer update supersedes it, or if its caller has left.
func (j *job) checkBeforeSend(ctx context.Context) error {
	if j.ticket.Valid != nil {
		if err := j.ticket.Valid(ctx); err != nil {
			return err
		}
	}
	if err := j.claim.hold(ctx); err != nil {
		return err
	}
	select {
	case <-j.ticket.Superseded:
		return errSuperseded
	default:
		return ctx.Err()
	}
}

// attempt is one request to Twilio. Its own context ends when the caller leaves
// before the request is sent, and otherwise the grace after the caller has left.
type attempt struct {
	*job
	caller context.Context
	cancel context.CancelCauseFunc
	sent   atomic.Bool // The request has a connection and the permit to be sent.
}

// attempt sends the update once, for the n-th time.
func (j *job) attempt(caller context.Context, n int) (answer *twilio.Answer, err error) {
	began := time.Now()
	observed := j.d.observer.attempting(caller, n)
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(observed))
	defer cancel(nil)
	a := &attempt{job: j, caller: caller, cancel: cancel}
	defer context.AfterFunc(caller, a.callerLeft)()
	err = errPanicked
	defer func() { j.finish(observed, began, answer, err) }()
	j.d.counts.attempts.Add(1)
	answer, err = j.d.sender.UpdateParticipant(ctx, j.update.Account, &j.update.Path, j.update.Change, a.permit)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return nil, refused // See Ticket.Stands.
	}
	return answer, err
}

// permit is asked right before the request is sent.
func (a *attempt) permit() error {
	if err := a.caller.Err(); err != nil {
		return err
	}
	if a.ticket.Stands != nil {
		if err := a.ticket.Stands(); err != nil {
			return err
		}
	}
	a.sent.Store(true)
	return nil
}

// callerLeft is called when the caller's context ends during the attempt.
func (a *attempt) callerLeft() {
	grace, left := a.d.cfg.Grace, a.caller.Err()
	if !a.sent.Load() {
		a.cancel(left)
		return
	}
	a.d.counts.abandoned.Add(1)
	a.d.observer.abandoned(a.caller)
	if grace <= 0 {
		a.cancel(left)
		return
	}
	a.reply(result{err: &Error{Applied: Maybe, Err: left}})
	time.AfterFunc(grace, func() { a.cancel(errLost) })
}

// finish reports the end of an attempt.
func (j *job) finish(ctx context.Context, began time.Time, answer *twilio.Answer, err error) {
	j.applied = max(j.applied, appliedBy(err))
	if grace := j.d.cfg.Grace; grace > 0 && err != nil && time.Since(began) >= grace {
		err = unanswered(err)
	}
	j.report(err)
	j.lane.release(began, answered(err), isRateLimited(err))
	j.d.observer.attempted(ctx, time.Since(began), answer, err)
}

// unanswered is the error to report of an attempt that was cut off with its caller
// after it had lasted at least as long as the grace: that says something about
// Twilio.
func unanswered(err error) error {
	var transport *twilio.TransportError
	if !errors.As(err, &transport) || !isContext(err) {
		return err
	}
	return &twilio.TransportError{Sent: transport.Sent, Reused: transport.Reused, Err: errLost}
}

// answered reports whether an attempt that ended with the error was answered.
func answered(err error) bool {
	if err == nil {
		return true
	}
	var (
		refusal    *twilio.Error
		unreadable *twilio.AnswerError
	)
	return errors.As(err, &refusal) || errors.As(err, &unreadable)
}

// learn remembers which Call SID the answer's label stands for.
func (j *job) learn(ctx context.Context) {
	label, callSID := j.answer.Participant.Label, j.answer.Participant.CallSID
	if j.d.cfg.Unordered || label == nil || *label == "" || callSID == nil {
		return
	}
	participant := j.update.participant()
	participant.Name = *label
	j.d.store.Know(ctx, participant, *callSID)
}
