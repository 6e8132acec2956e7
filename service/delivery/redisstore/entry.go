package redisstore

import (
	"context"
	"errors"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/property"
)

// fresh is the time for which an attempt that Redis has begun may be made without
// asking again, after the request that began it.
const fresh = 20 * time.Millisecond

// entry is an update of this replica in its participant's queue. It implements
// [delivery.Entry].
type entry struct {
	store  *Store
	id     string
	update delivery.Queued
	turns  chan *delivery.Permit
	over   chan struct{}
	left   chan struct{} // Closed by Leave.
	// reporting is held while the reports are sent.
	reporting chan struct{}

	// Store.mu guards the rest.
	born    string    // The conference's in Redis when the update joined; "" before that.
	arrival string    // A time, of constant length.
	stored  string    // The queue as Redis has stored it, if the update was alone in it; or "".
	until   time.Time // The lease does not end before that.
	state   entryState
	// attempt is the number of the one in flight, or of one that Redis has begun, which
	// may be made before freshUntil.
	attempt    string
	freshUntil time.Time
	reports    []request // Without an answer so far.
	err        error     // Why over is closed.
	// local is the update in a queue of this process, once it has no place in Redis
	// because that cannot be reached or has lost it.
	local delivery.Entry
}

type entryState int

const (
	// waiting: the update waits for its turn or for a permit.
	waiting entryState = iota
	// asking: the update waits for Redis to choose.
	asking
	// inFlight: the update is being sent, or has a permit for that.
	inFlight
	// paused: the update waits for its next attempt.
	paused
	// departed: the update has ended.
	departed
)

// The states of an entry in queue.lua, and its other answers.
const (
	scriptWaiting  = "wait"
	scriptLeading  = "turn"
	scriptPaused   = "paused"
	scriptInFlight = "begun"
	scriptGone     = "gone"
	scriptFull     = "full"
	scriptBusy     = "busy"
)

// announces reports whether the update plays an announcement.
func announces(update delivery.Queued) bool { return update.Properties.Has(property.AnnounceURL) }

// shared reports whether the update has a place in Redis, as far as is known. It is
// called under the lock, as are the other methods of entry without "the lock".
func (e *entry) shared() bool {
	return e.born != "" && e.local == nil && e.err == nil && e.state != departed
}

func queueKey(c delivery.Conference) string { return "conferenced:{" + c.Account + "/" + c.SID + "}" }

// queueRequest is a request about the queues of a conference.
func (s *Store) queueRequest(op string, c delivery.Conference, id string, args ...string) request {
	all := append([]string{op, milliseconds(s.cfg.Lease), id}, args...)
	return request{delivery.StoreQueue, s.queueScript, queueKey(c), all}
}

// request is a request about the update.
func (e *entry) request(op string, args ...string) request {
	p := e.update.Participant
	return e.store.queueRequest(op, p.Conference, e.id, append([]string{p.Name}, args...)...)
}

// depart removes the update from this replica.
func (e *entry) depart() {
	e.state = departed
	delete(e.store.entries, e.id)
}

// Turns implements delivery.Entry.
func (e *entry) Turns() <-chan *delivery.Permit { return e.turns }

// Over implements delivery.Entry.
func (e *entry) Over() <-chan struct{} { return e.over }

// Err implements delivery.Entry.
func (e *entry) Err() error {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	return e.err
}

// signalTurn lets the update acquire a permit and call Begin.
func (e *entry) signalTurn() {
	select {
	case e.turns <- nil:
	default: // It has a turn already.
	}
}

// takePermit returns the permit that was passed to the update and not used, or nil.
func (e *entry) takePermit() *delivery.Permit {
	select {
	case permit := <-e.turns:
		return permit
	default:
		return nil
	}
}

// end takes the update out of its queue for the reason.
func (e *entry) end(reason error) {
	if e.err == nil {
		e.err = reason
		close(e.over)
	}
}

// lose ends an update that must not be sent, since other replicas may have gone on.
func (e *entry) lose() {
	e.end(unavailable())
	e.store.redis.observer.LeaseLost(delivery.QueueLease)
}

// Begin implements delivery.Entry.
func (e *entry) Begin(ctx context.Context, permit *delivery.Permit) (bool, error) {
	e.store.mu.Lock()
	passed, begun := e.beginUnasked()
	local, err := e.local, e.err
	if !begun && err == nil && local == nil {
		e.state = asking
	}
	e.store.mu.Unlock()
	switch {
	case begun:
		if passed != nil {
			passed.Free() // This one is used.
		}
		return true, nil
	case err != nil:
		permit.Free()
		return false, err
	case local != nil:
		return local.Begin(ctx, permit)
	}
	return e.ask(ctx, permit)
}

// beginUnasked begins the attempt if that needs no request: the update has a permit
// already, which is returned, or Redis has just begun the attempt.
func (e *entry) beginUnasked() (passed *delivery.Permit, begun bool) {
	if passed = e.takePermit(); passed != nil {
		return passed, true
	}
	if e.shared() && time.Now().Before(e.freshUntil) {
		e.state, e.freshUntil = inFlight, time.Time{}
		return nil, true
	}
	return nil, false
}

// ask lets Redis choose which update is sent with the permit.
func (e *entry) ask(ctx context.Context, permit *delivery.Permit) (bool, error) {
	s := e.store
	r := reply{err: e.sendReports(ctx)}
	if r.err == nil {
		r = s.redis.run(ctx, e.request("begin"))
	}
	err := r.err
	s.mu.Lock()
	e.state = waiting
	if errors.Is(err, errUnreachable) {
		s.separate(e.update.Participant.Conference)
		err = unavailable()
	}
	begun, passed := false, false
	if err == nil && e.local == nil {
		begun, passed = e.answered(r, permit)
	}
	if e.err != nil {
		begun, err = false, e.err
	}
	local := e.local
	s.mu.Unlock()
	switch {
	case local != nil:
		return local.Begin(ctx, permit)
	case !begun && !passed:
		permit.Free()
	}
	return begun, err
}

// answered handles the answer to Begin. It reports whether this update begins, or else
// whether the permit was passed on.
func (e *entry) answered(r reply, permit *delivery.Permit) (begun, passed bool) {
	if r.answer[0] != scriptInFlight {
		e.handleAnswer(r.answer[0], last(r.answer), r.asked)
		return false, false
	}
	chosen := e.store.entries[r.answer[1]]
	switch {
	case chosen == e && time.Since(r.asked) >= e.store.cfg.Lease:
		e.lose()
		return false, false
	case chosen == e:
		if stale := e.takePermit(); stale != nil {
			stale.Free()
		}
		e.begun(r.answer[2], r.asked)
		return true, false
	case chosen == nil || !chosen.shared() || chosen.state != waiting:
		return false, false // It has left, or is asking itself.
	}
	chosen.takePermit()
	chosen.begun(r.answer[2], r.asked)
	chosen.turns <- permit
	return false, true
}

func (e *entry) begun(attempt string, asked time.Time) {
	e.state, e.attempt, e.until = inFlight, attempt, e.store.leaseEnd(asked)
}

// Stands implements delivery.Entry.
func (e *entry) Stands() error {
	s := e.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if ended := !time.Now().Before(e.until); ended && e.shared() {
		if !s.redis.failing() {
			return unavailable()
		}
		s.lapseConference(e.update.Participant.Conference)
	}
	return e.err
}

// End implements delivery.Entry.
func (e *entry) End(end delivery.End) {
	s := e.store
	s.mu.Lock()
	defer s.mu.Unlock()
	e.state = paused
	if !end.Again {
		e.depart()
	}
	if e.local != nil {
		e.local.End(end)
		return
	}
	s.local.Learn(e.update.Participant, end)
	if end.Again || end.CallSID == "" {
		e.stored = ""
	}
	missing := digit(end.NotFound)
	if end.Removed {
		missing = removed
	}
	e.reportFinish(e.attempt, digit(end.Applied != outcome.No), digit(end.Again),
		end.CallSID, end.Label, missing, milliseconds(s.bounds.LabelAge), e.stored)
}

// Resume implements delivery.Entry.
func (e *entry) Resume() {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	e.state = waiting
	if e.local != nil {
		e.local.Resume()
		return
	}
	e.report("resume")
}

// Leave implements delivery.Entry.
func (e *entry) Leave() {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	if e.state != departed {
		e.depart()
		if e.local == nil {
			e.reportFinish("", "0", "0", "", "", "0", "", "")
		}
	}
	close(e.left)
	if passed := e.takePermit(); passed != nil {
		passed.Free()
	}
	if e.local != nil {
		e.local.Leave()
	}
}

func last(answer []string) string { return answer[len(answer)-1] }

func digit(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}
