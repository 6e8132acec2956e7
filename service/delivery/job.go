package delivery

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"conferenced/service/twilio"
)

// errSuperseded ends the waits of an update whose place a newer one takes.
var errSuperseded error = &RefusedError{Reason: Superseded}

// job is one update on its way. It is the goroutine's of the one who asks, until
// that one leaves while an attempt is on the way.
type job struct {
	d      *Deliverer
	update *Update
	claim  *claim
	lane   *lane
	ticket *Ticket
	report func(error) // What the breaker is told of the attempt on the way.

	answer  *twilio.Answer
	err     error
	applied Applied // By the attempts that have ended.
	// gone is what the one who asked is told who left before the end: the rest is
	// another goroutine's.
	gone *Error
}

// start puts the update in line and takes it to its end, or as far as it comes
// before the context ends.
func (d *Deliverer) start(ctx context.Context, update *Update, id *claim) (*twilio.Answer, error) {
	j := &job{d: d, update: update, claim: id, lane: d.lane(update.Account)}
	if err := j.join(ctx); err != nil {
		j.count(ctx, err)
		err = &Error{Applied: No, Err: err}
		id.settle(context.WithoutCancel(ctx), nil, err)
		return nil, err
	}
	d.counts.updates.Add(1)
	d.running.Add(1)
	j.run(ctx)
	switch {
	case j.gone != nil:
		return nil, j.gone
	case ctx.Err() != nil: // The end may take time, and nobody has any.
		answer, err := j.answer, j.err
		go j.end(context.WithoutCancel(ctx))
		return answer, err
	default:
		j.end(ctx)
		return j.answer, j.err
	}
}

// end learns from the answer, settles the request id and then gives up the place
// in line. Deferred, as a panic must leave no update under way for ever.
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

// join puts the update in line, unless nobody waits for it any more: it would
// take the place of others and then not be sent.
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

// run takes the update through its line and its attempts.
func (j *job) run(ctx context.Context) {
	defer j.recover()
	err := j.turn(ctx)
	var answer *twilio.Answer
	if err == nil {
		answer, err = j.attempts(ctx)
	}
	if j.gone == nil {
		j.conclude(ctx, answer, err)
	}
}

// conclude notes how the update ended.
func (j *job) conclude(ctx context.Context, answer *twilio.Answer, err error) {
	if err == nil {
		j.answer = answer
		return
	}
	j.count(ctx, err)
	j.err = &Error{Applied: j.applied, Err: err}
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

// turn waits until the update is the one in its line that may be sent.
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

// attempts sends the update until it is answered, or sending it again cannot
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
		if err == nil || j.gone != nil {
			return answer, err
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

// foremost is what to say of an update that was not sent again because of err:
// how the last attempt ended, which says more, unless the caller is gone or a
// newer update took its place.
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
	if err := j.takeOff(ctx); err != nil {
		j.lane.free()
		report(err)
		return err
	}
	j.report = report
	return nil
}

// takeOff says whether an attempt may be made: somebody still waits for it, no
// newer update took its place, and it has not lost its turn or its request id to
// another replica.
func (j *job) takeOff(ctx context.Context) error {
	if err := j.valid(ctx); err != nil {
		return err
	}
	select {
	case <-j.ticket.Superseded:
		return errSuperseded
	default:
		return ctx.Err()
	}
}

// valid asks whether the update may still be sent.
func (j *job) valid(ctx context.Context) error {
	if j.ticket.Valid != nil {
		if err := j.ticket.Valid(ctx); err != nil {
			return err
		}
	}
	return j.claim.hold(ctx)
}

// flight is an attempt on the way.
type flight struct {
	began time.Time
	ctx   context.Context // The observer's.
}

// attempt sends the update once, for the n-th time.
func (j *job) attempt(ctx context.Context, n int) (answer *twilio.Answer, err error) {
	f := flight{began: time.Now(), ctx: j.d.observer.attempting(ctx, n)}
	err = errPanicked
	defer func() {
		if j.gone == nil {
			j.land(f, answer, err)
		}
	}()
	j.d.counts.attempts.Add(1)
	return j.fly(f)
}

// fly sends the update and waits for the answer, for as long as somebody waits
// for it.
func (j *job) fly(f flight) (*twilio.Answer, error) {
	pending, err := j.send(f.ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if j.gone == nil {
			pending.Close()
		}
	}()
	answer, err := pending.Answer()
	if isContext(err) {
		j.abandon(f, pending)
	}
	return answer, err
}

func (j *job) send(ctx context.Context) (twilio.Pending, error) {
	if j.ticket.Stands != nil {
		ctx = twilio.WithPermit(ctx, j.ticket.Stands)
	}
	pending, err := j.d.sender.Send(ctx, j.update.Account, &j.update.Path, j.update.Change)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return nil, refused // See Ticket.Stands.
	}
	return pending, err
}

// abandon lets the attempt go on for the grace, now that the one who asked is
// gone, on a goroutine that takes the update to its end.
func (j *job) abandon(f flight, pending twilio.Pending) {
	j.d.counts.abandoned.Add(1)
	j.d.observer.abandoned(f.ctx)
	if j.d.cfg.Grace <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), j.d.cfg.Grace)
	if !pending.Resume(ctx) {
		cancel()
		return
	}
	j.gone = &Error{Applied: max(j.applied, Maybe), Err: f.ctx.Err()}
	go func() {
		defer cancel()
		j.outlive(ctx, f, pending)
	}()
}

// outlive takes the update to its end. Nothing more is sent.
func (j *job) outlive(ctx context.Context, f flight, pending twilio.Pending) {
	lasting := context.WithoutCancel(ctx)
	defer j.end(lasting)
	defer j.recover()
	answer, err := j.await(ctx, f, pending)
	j.conclude(lasting, answer, err)
}

// await waits for the end of an attempt that was abandoned.
func (j *job) await(ctx context.Context, f flight, pending twilio.Pending) (answer *twilio.Answer, err error) {
	err = errPanicked
	defer func() {
		pending.Close()
		j.land(f, answer, err)
	}()
	answer, err = pending.Answer()
	if ctx.Err() != nil {
		err = unanswered(err)
	}
	return answer, err
}

// land says that the attempt has ended, and what it did.
func (j *job) land(f flight, answer *twilio.Answer, err error) {
	j.applied = max(j.applied, appliedBy(err))
	if grace := j.d.cfg.Grace; grace > 0 && err != nil && time.Since(f.began) >= grace {
		err = unanswered(err) // So it was, even if the caller left in the middle.
	}
	j.report(err)
	j.lane.release(f.began, answered(err), isRateLimited(err))
	j.d.observer.attempted(f.ctx, time.Since(f.began), answer, err)
}

// unanswered is the error of an attempt that was cut off after the grace: that
// Twilio did not answer for so long says more than that nobody waits any more.
func unanswered(err error) error {
	var transport *twilio.TransportError
	if !errors.As(err, &transport) || !isContext(err) {
		return err
	}
	return &twilio.TransportError{Sent: transport.Sent, Reused: transport.Reused, Err: errLost}
}

// answered says whether an attempt that ended with the error was answered.
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
