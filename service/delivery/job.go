package delivery

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/sids"
	"conferenced/service/twilio"
)

// job delivers one update. Its goroutine owns the update from the queue to its end,
// also after the caller's context has ended: an attempt in flight then continues for
// the grace period, and no further attempt is made.
type job struct {
	d        *Deliverer
	update   *Update
	label    string // By which a removal named the participant; "" for a Call SID.
	claim    *claim
	upstream *upstream
	entry    Entry
	member   *member // nil if the update is not of a bulk operation.

	done   chan struct{}  // Closed when answer and err are set.
	answer *twilio.Answer // nil if and only if err is not.
	err    *outcome.Error

	watcher *watcher // Set once the update waits for its participant.

	// attempts is the context of the attempts, which cancel ends.
	attempts context.Context
	cancel   context.CancelFunc

	mu      sync.Mutex
	sending bool            // The attempt in flight may have been written.
	applied outcome.Applied // By the attempts that have ended.
	// answered is Twilio's answer while the participant is read to confirm it.
	answered *twilio.Answer
	missing  *outcome.Error // The outcome while the update waits for its participant.
}

// enter claims the update's request ID, if it has one, and adds the update to its queue.
// If an update with that ID has ended before, it returns the record instead.
func (j *job) enter(ctx context.Context) (record *Record, err error) {
	store := j.d.store
	switch {
	case j.update.removesByLabel(), j.update.namesConference():
		return j.enterAfterLookUp(ctx)
	case j.claim != nil && !j.d.cfg.Unordered:
		j.entry, record, err = store.Enter(ctx, j.claim.key, j.claim.content, j.update.queued())
	case j.claim != nil:
		j.entry = newUnqueued()
		record, err = store.Claim(ctx, j.claim.key, j.claim.content)
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		err = j.join(ctx)
	}
	return record, err
}

// enterAfterLookUp is enter for an update that names its conference, and for a removal
// that names a label: once it has the request ID, it looks up the SIDs, and joins the
// queue with them.
func (j *job) enterAfterLookUp(ctx context.Context) (record *Record, err error) {
	j.d.running.Add(1)
	defer j.d.running.Done()
	if j.claim != nil {
		record, err = j.d.store.Claim(ctx, j.claim.key, j.claim.content)
		if record != nil || err != nil {
			return record, err
		}
	}
	failed := outcome.Internal.Err(outcome.Facts{Cause: errPanicked})
	defer func() {
		if failed != nil {
			j.claim.settle(nil, failed)
		}
	}()
	if err := j.lookUpAndJoin(ctx); err != nil {
		failed = asOutcome(err)
		return nil, failed
	}
	failed = nil
	return nil, nil
}

// lookUpAndJoin looks up the SIDs and adds the update to its queue. Updates that name
// the same conference and participant join in order of arrival.
func (j *job) lookUpAndJoin(ctx context.Context) error {
	if j.update.namesConference() {
		arrival, err := j.d.arrivals.arrive(j.update.queued())
		if err != nil {
			return err
		}
		defer arrival.leave()
		err = j.d.resolve(ctx, j.update.Account, j.update.Caller, &j.update.Path, j.update.Wait)
		if err != nil {
			return err
		}
		if err := arrival.await(ctx); err != nil {
			return err
		}
	}
	if j.update.removesByLabel() {
		if err := j.lookUp(ctx); err != nil {
			return err
		}
	}
	return j.join(ctx)
}

// lookUp replaces the label in a removal by the Call SID of the participant that has it
// now.
func (j *job) lookUp(ctx context.Context) error {
	fetch := j.update.Request
	fetch.Operation = twilio.FetchParticipant
	answer, err := j.d.read(ctx, j.update.Account, j.update.Caller, &fetch)
	if err != nil {
		return err
	}
	sid := answer.Participant.CallSID
	if sid == nil || !sids.IsCall(*sid) {
		return outcome.TwilioUnexpectedAnswer.Err(outcome.Facts{Cause: errNoCallSID})
	}
	removal := *j.update
	removal.Path.Participant = *sid
	j.update, j.label = &removal, fetch.Path.Participant
	return nil
}

// errNoCallSID is the cause of the outcome of a removal that was not sent.
var errNoCallSID = errors.New("the participant has no Call SID")

// join adds the update to its queue.
func (j *job) join(ctx context.Context) (err error) {
	if j.d.cfg.Unordered {
		j.entry = newUnqueued()
		return nil
	}
	queued := j.update.queued()
	queued.Label = j.label
	j.entry, err = j.d.store.Join(ctx, queued)
	return err
}

// notEntered returns the outcome of an update that could not enter its queue. If its
// context ended while it waited for the first update with its request ID, the first may
// have been applied.
func (j *job) notEntered(ctx context.Context, err error) *outcome.Error {
	failed := j.d.refused(ctx, err)
	if _, decided := errors.AsType[*outcome.Error](err); j.claim != nil && isContext(err) && !decided {
		return failed.With(outcome.Maybe)
	}
	return failed
}

// start starts a goroutine that delivers the update.
func (j *job) start(ctx context.Context) {
	j.d.counts.updates.Add(1)
	j.d.running.Add(1)
	if group := j.update.Group; group != nil {
		group.bulk.running.Add(1)
		j.member = newMember(j.update)
		group.bulk.add(j.upstream, j.member)
	}
	j.upstream.follow(participantOf(&j.update.Path), j.member)
	j.attempts, j.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go j.run(ctx)
}

// wait returns the result. If the context ends first, it abandons the job.
func (j *job) wait(ctx context.Context) (*twilio.Answer, error) {
	select {
	case <-j.done:
	case <-ctx.Done():
		select {
		case <-j.done:
		default:
			return j.abandon(ctx)
		}
	}
	if j.err != nil {
		return nil, j.err
	}
	return j.answer, nil
}

// abandon returns the result for a caller whose context has ended before the job. An
// attempt that may have been written continues for the grace period.
func (j *job) abandon(ctx context.Context) (*twilio.Answer, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.sending || j.d.cfg.Grace == 0 {
		j.cancel()
	} else {
		time.AfterFunc(j.d.cfg.Grace, j.cancel)
	}
	applied := j.applied
	switch {
	case j.answered != nil:
		return j.answered, nil
	case j.missing != nil:
		return nil, asOutcome(atDeadline(ctx, j.missing)).With(applied)
	case j.sending:
		applied = max(applied, outcome.Maybe)
		j.d.counts.abandoned.Add(1)
		j.d.observer.abandoned(ctx)
	}
	return nil, contextError(ctx.Err(), applied)
}

// run delivers the update. done is closed first, so the caller does not wait for the
// store to settle the request ID and the queue.
func (j *job) run(ctx context.Context) {
	defer j.d.running.Done()
	defer j.cancel()
	if j.member != nil {
		defer j.update.Group.bulk.running.Done()
	}
	defer j.entry.Leave()
	defer func() {
		if j.watcher != nil {
			j.watcher.leave()
		}
	}()
	defer func() { j.claim.settle(j.answer, j.err) }()
	defer close(j.done)
	defer j.recover()
	answer, err := j.deliver(ctx)
	if err != nil {
		j.err = j.outcome(j.d.refused(ctx, err))
		return
	}
	j.answer = answer
}

// outcome returns the outcome of the update after an error.
func (j *job) outcome(failed *outcome.Error) *outcome.Error {
	failed = failed.With(j.applied)
	switch {
	case failed.Kind == outcome.OutcomeUnknown && j.label != "":
		failed.Kind = outcome.UnrepeatableOutcomeUnknown // See Update.unknownOutcome.
	case failed.Kind == outcome.ParticipantNotFound && failed.Resource == "":
		failed.Resource = j.update.Path.String()
	}
	return failed
}

// recover turns a panic into the outcome Internal.
func (j *job) recover() {
	if recover() != nil {
		j.answer, j.err = nil, outcome.Internal.Err(outcome.Facts{Applied: outcome.Maybe, Cause: errPanicked})
		j.d.panicked()
	}
}

func (d *Deliverer) panicked() {
	d.observer.panicked()
	d.logger.Error("panic", "stack", string(debug.Stack()))
}

// deliver makes attempts until one decides the outcome.
func (j *job) deliver(ctx context.Context) (*twilio.Answer, error) {
	var last error
	for n := 1; ; n++ {
		permit, err := j.permit(ctx)
		if err != nil {
			return nil, preferLast(last, err)
		}
		answer, v := j.attempt(ctx, n, permit)
		wait := j.d.cfg.Retrying.wait(n, v.retryAfter)
		absent := j.awaits(ctx, &v)
		again := absent || j.d.mayRetry(ctx, n, wait, &v, &j.update.Request)
		if v.err == nil && j.update.Confirm {
			answer = j.confirm(ctx, answer)
		}
		j.entry.End(v.end(j.update, answer, again))
		switch {
		case v.err == nil:
			return answer, nil
		case v.refused:
			return nil, preferLast(last, v.err)
		case absent:
			if err := j.awaitParticipant(ctx, v.err); err != nil {
				return nil, err
			}
			n-- // It is not a failure of which there may be a limited number.
			continue
		case !again:
			return nil, v.err
		}
		last = v.err
		if err := j.pause(ctx, wait); err != nil {
			return nil, preferLast(last, err)
		}
	}
}

// confirm reads the participant, and returns the answer with what was read, or the
// answer as it is if the read fails.
func (j *job) confirm(ctx context.Context, answer *twilio.Answer) *twilio.Answer {
	sid := answer.Participant.CallSID
	if sid == nil {
		return answer
	}
	j.mu.Lock()
	j.answered = answer
	j.mu.Unlock()
	fetch := twilio.Request{Operation: twilio.FetchParticipant, Path: j.update.Path}
	fetch.Path.Participant = *sid // A label may have another owner by now.
	read, err := j.d.read(ctx, j.update.Account, j.update.Caller, &fetch)
	if err != nil {
		return answer
	}
	confirmed := *answer
	confirmed.After = &read.Participant
	return &confirmed
}

// permit waits until the update is chosen to be sent, and returns the permit for that
// attempt.
func (j *job) permit(ctx context.Context) (*Permit, error) {
	for {
		permit, err := j.awaitQueue(ctx)
		if err != nil {
			return nil, err
		}
		permit, err = j.begin(ctx, permit)
		if permit != nil || err != nil {
			return permit, err
		}
	}
}

// awaitQueue waits until the participant's queue serves the update. The permit is nil
// if the update has to acquire one.
func (j *job) awaitQueue(ctx context.Context) (*Permit, error) {
	j.d.observer.waiting(ctx)
	began := time.Now()
	defer func() { j.d.observer.waited(ctx, QueueParticipant, time.Since(began)) }()
	select {
	case permit := <-j.entry.Turns():
		return permit, nil
	default:
	}
	participant := j.update.queued().Participant
	others := j.d.watches.observe(participant)
	defer others.leave()
	if !j.update.Wait {
		j.d.watches.hurry(participant.Conference)
	}
	for {
		poll := others.upcoming()
		select {
		case permit := <-j.entry.Turns():
			return permit, nil
		case <-j.entry.Over():
			return nil, j.entry.Err()
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-poll.done:
			if !j.update.Wait && j.applied == outcome.No && others.lacks(poll) {
				return nil, outcome.ParticipantNotFound.Err(outcome.Facts{Resource: j.update.Path.String()})
			}
		}
	}
}

// awaits reports whether the update waits for its participant after that attempt.
func (j *job) awaits(ctx context.Context, v *verdict) bool {
	return j.update.Wait && v.err != nil && v.err.Kind == outcome.ParticipantNotFound && ctx.Err() == nil
}

// awaitParticipant waits until the participant is there, and then returns the update to
// its queue. notFound is the outcome if it does not come before the deadline.
func (j *job) awaitParticipant(ctx context.Context, notFound *outcome.Error) error {
	j.setMissing(notFound)
	if j.watcher == nil {
		conference := j.update.queued().Participant.Conference
		j.watcher = j.d.watches.wait(conference, j.update.Path.Participant, func(ctx context.Context) ([]string, error) {
			return j.d.participantsOf(ctx, j.update.Account, j.update.Caller, conference.SID)
		})
	}
	switch _, err := j.watcher.await(ctx, j.entry.Over(), notFound); {
	case errors.Is(err, errOver):
		return j.entry.Err()
	case err != nil:
		return err
	}
	j.setMissing(nil)
	j.entry.Resume()
	return nil
}

func (j *job) setMissing(notFound *outcome.Error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.missing = notFound
}

// begin acquires a permit if it is nil. It returns neither a permit nor an error if
// another update is sent instead.
func (j *job) begin(ctx context.Context, permit *Permit) (*Permit, error) {
	if permit == nil {
		var err error
		if permit, err = j.acquire(ctx); permit == nil || err != nil {
			return nil, err
		}
	}
	if err := j.claim.hold(ctx); err != nil {
		permit.Free()
		return nil, err
	}
	return permit, nil
}

// acquire acquires a permit for the queue, and returns it if the queue chooses this
// update.
func (j *job) acquire(ctx context.Context) (*Permit, error) {
	permit, err := j.d.acquire(ctx, j.upstream, j.entry.Over(), demand{j.update.Caller, j.member})
	if errors.Is(err, errOver) {
		return nil, j.entry.Err()
	}
	if err != nil {
		return nil, err
	}
	begun, err := j.entry.Begin(ctx, permit)
	if !begun || err != nil {
		return nil, err
	}
	return permit, nil
}

// attempt sends the update once, for the n-th time.
func (j *job) attempt(ctx context.Context, n int, permit *Permit) (*twilio.Answer, verdict) {
	a := attempt{
		account: j.update.Account, request: &j.update.Request, n: n, permit: permit, before: j.applied,
		maySend: func() error { return j.maySend(ctx) }, ended: j.ended,
	}
	return a.make(ctx, j.attempts, j.d)
}

// maySend is called when the attempt has a connection, right before the request is
// written.
func (j *job) maySend(ctx context.Context) error {
	if err := j.entry.Stands(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	j.sending = true
	return nil
}

func (j *job) ended(applied outcome.Applied) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sending, j.applied = false, max(j.applied, applied)
}

// pause waits before the next attempt and then returns the update to its queue.
func (j *job) pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		j.entry.Resume()
		return nil
	case <-j.entry.Over():
		return j.entry.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unqueued is the [Entry] of an update when ordering is disabled.
type unqueued struct{ turns chan *Permit }

func newUnqueued() unqueued {
	u := unqueued{make(chan *Permit, 1)}
	u.turns <- nil
	return u
}

func (u unqueued) Turns() <-chan *Permit                      { return u.turns }
func (unqueued) Over() <-chan struct{}                        { return nil }
func (unqueued) Err() error                                   { return nil }
func (unqueued) Begin(context.Context, *Permit) (bool, error) { return true, nil }
func (unqueued) Stands() error                                { return nil }
func (unqueued) End(End)                                      {}
func (u unqueued) Resume()                                    { u.turns <- nil }
func (unqueued) Leave()                                       {}
