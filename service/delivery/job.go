package delivery

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"conferenced/service/twilio"
)

// errSuperseded ends the waits of an update whose place a newer one takes.
var errSuperseded error = &RefusedError{Reason: Superseded}

// job is one update on its way. It runs by itself, so that it can end in order
// even when whoever asked for it is gone.
type job struct {
	d      *Deliverer
	update *Update
	claim  *claim
	lane   *lane
	ticket *Ticket
	report func(error)     // What the breaker is told of the attempt on the way.
	ctx    context.Context // Of the one who asks.
	// sending is the context of the attempts, which cutOff ends.
	sending context.Context
	cutOff  context.CancelFunc

	// done is closed after answer and err are set.
	done   chan struct{}
	answer *twilio.Answer
	err    error

	mu      sync.Mutex
	applied Applied     // By the attempts that have ended.
	flying  bool        // An attempt is on the way.
	grace   *time.Timer // Set once that attempt has nobody who waits for it.
}

// start puts the update in line, runs it, and waits for its end or the
// context's. The request id is settled before the place in line is given up.
func (d *Deliverer) start(ctx context.Context, update *Update, id *claim) (*twilio.Answer, error) {
	j := &job{d: d, update: update, claim: id, ctx: ctx, lane: d.lane(&update.Account), done: make(chan struct{})}
	if err := j.join(ctx); err != nil {
		j.count(ctx, err)
		err = &Error{Applied: No, Err: err}
		id.settle(nil, err)
		return nil, err
	}
	j.sending, j.cutOff = ctx, func() {}
	if d.cfg.Grace > 0 {
		j.sending, j.cutOff = context.WithCancel(context.WithoutCancel(ctx))
	}
	d.counts.updates.Add(1)
	d.running.Add(1)
	d.crew.run(j)
	select {
	case <-j.done:
		return j.answer, j.err
	case <-ctx.Done():
		return j.abandon(ctx)
	}
}

// goAlong takes the update to its end.
func (j *job) goAlong() {
	defer j.d.running.Done()
	defer j.cutOff()
	defer close(j.done)
	defer j.ticket.Leave()
	// Deferred, so that a panic leaves no request id under way for ever.
	defer func() { j.claim.settle(j.answer, j.err) }()
	defer j.recover()
	j.run(j.ctx)
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

// abandon is the answer to somebody whose context has ended: the update's own,
// if it has just come.
func (j *job) abandon(ctx context.Context) (*twilio.Answer, error) {
	select {
	case <-j.done:
		return j.answer, j.err
	default:
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.flying {
		return nil, &Error{Applied: j.applied, Err: ctx.Err()}
	}
	if j.d.cfg.Grace > 0 {
		j.grace = time.AfterFunc(j.d.cfg.Grace, j.cutOff)
	}
	j.d.counts.abandoned.Add(1)
	j.d.observer.abandoned(ctx)
	return nil, &Error{Applied: max(j.applied, Maybe), Err: ctx.Err()}
}

// run takes the update through its line and its attempts.
func (j *job) run(ctx context.Context) {
	err := j.turn(ctx)
	if err == nil {
		j.answer, err = j.attempts(ctx)
	}
	if err == nil {
		j.learn()
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
		answer, err := j.attempt(n)
		if err == nil {
			return answer, nil
		}
		if _, refused := errors.AsType[*RefusedError](err); refused {
			return nil, foremost(last, err)
		}
		last = err
		// Of an attempt that outlived its caller, the end is for the record.
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

// takeOff says that an attempt is on the way from now on, unless nobody waits
// for it any more, a newer update took its place, or it lost its turn or its
// request id to another replica.
func (j *job) takeOff(ctx context.Context) error {
	if err := j.valid(ctx); err != nil {
		return err
	}
	select {
	case <-j.ticket.Superseded:
		return errSuperseded
	default:
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	j.flying = true
	return nil
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

// attempt sends the update once, for the n-th time.
func (j *job) attempt(n int) (answer *twilio.Answer, err error) {
	began := time.Now()
	observed := j.d.observer.attempting(j.sending, n)
	if j.ticket.Stands != nil {
		observed = twilio.WithPermit(observed, j.ticket.Stands)
	}
	err = errPanicked
	defer func() {
		j.land(err)
		j.report(err)
		j.lane.release(began, answered(err), isRateLimited(err))
		j.d.observer.attempted(observed, time.Since(began), answer, err)
	}()
	j.d.counts.attempts.Add(1)
	return j.send(observed)
}

// land says that the attempt has ended, and what it did.
func (j *job) land(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.flying = false
	if j.grace != nil {
		j.grace.Stop()
	}
	j.applied = max(j.applied, appliedBy(err))
}

// send makes the attempt. It goes on for the grace when the update is abandoned.
func (j *job) send(ctx context.Context) (*twilio.Answer, error) {
	answer, err := j.d.sender.UpdateParticipant(ctx, j.update.Account, j.update.Path, j.update.Change)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return nil, refused // It was not sent: see Ticket.Stands.
	}
	if j.d.cfg.Grace > 0 && ctx.Err() != nil {
		err = unanswered(err)
	}
	return answer, err
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
func (j *job) learn() {
	label, callSID := j.answer.Participant.Label, j.answer.Participant.CallSID
	if j.d.cfg.Unordered || label == nil || *label == "" || callSID == nil {
		return
	}
	participant := j.update.participant()
	participant.Name = *label
	j.d.store.Know(participant, *callSID)
}
