package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
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
	until   time.Time // The lease does not end before that.
	state   entryState
	// attempt is the number of the one in flight, or of one that Redis has begun, which
	// may be made before freshUntil.
	attempt    string
	freshUntil time.Time
	reports    [][]string // Arguments of requests that were not answered yet.
	err        error      // Why over is closed.
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

// The states of an entry in Redis: queue.lua has them too.
const (
	saysWait       = "wait"
	saysTurn       = "turn"
	saysPaused     = "paused"
	saysBegun      = "begun"
	saysSuperseded = "superseded"
	saysEvicted    = "evicted"
	saysGone       = "gone"
	saysFull       = "full"
)

// announces reports whether the update plays an announcement.
func announces(update delivery.Queued) bool { return update.Properties.Has(property.AnnounceURL) }

// shared reports whether the update has a place in Redis, as far as is known. It is
// called under the lock, as are the other methods of entry without "the lock".
func (e *entry) shared() bool {
	return e.born != "" && e.local == nil && e.err == nil && e.state != departed
}

func queueKey(c delivery.Conference) string { return "conferenced:{" + c.Account + "/" + c.SID + "}" }

// callerDigest stands for a caller in the queues of a conference.
func callerDigest(update delivery.Queued) string {
	text, _ := json.Marshal([]string{update.Participant.Account, update.Participant.SID, update.Caller}) // Never fails.
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func (s *Store) runQueue(
	ctx context.Context, op string, c delivery.Conference, id string, args ...string,
) ([]string, error) {
	all := append([]string{op, milliseconds(s.cfg.Lease), id}, args...)
	return s.redis.run(ctx, delivery.StoreQueue, queueScript, queueKey(c), all...)
}

// Join implements delivery.Store.
func (s *Store) Join(ctx context.Context, update delivery.Queued) (delivery.Entry, error) {
	e := s.enter(update)
	asked := time.Now()
	answer, err := s.runQueue(ctx, "join", update.Participant.Conference, e.id, update.Participant.Name,
		strconv.Itoa(int(update.Properties)), digit(announces(update)), callerDigest(update), strconv.Itoa(s.bounds.Queue))
	switch {
	case err != nil:
		e.Leave() // Redis may have executed the request.
		if errors.Is(err, errUnreachable) {
			return s.joinLocally(ctx, update)
		}
		return nil, err
	case answer[0] == saysFull:
		s.mu.Lock()
		defer s.mu.Unlock()
		e.depart()
		return nil, outcome.Overloaded.Err(outcome.Facts{})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.born, e.arrival = answer[1], answer[2]
	e.see(answer[0], "", asked)
	if answer[0] == saysBegun {
		e.attempt, e.freshUntil = "1", asked.Add(s.fresh)
	}
	return e, nil
}

// joinLocally puts the update in a queue of this process. The updates of its conference
// that wait in Redis go there first, so that it does not overtake them.
func (s *Store) joinLocally(ctx context.Context, update delivery.Queued) (delivery.Entry, error) {
	if !s.goesOn(announces(update)) {
		return nil, unavailable()
	}
	s.mu.Lock()
	s.separate(update.Participant.Conference)
	s.mu.Unlock()
	e, err := s.local.Join(ctx, update)
	if err == nil {
		s.redis.observer.Separated()
	}
	return e, err
}

// enter makes the update known to this replica before Redis knows it, so that no
// notification about it is lost.
func (s *Store) enter(update delivery.Queued) *entry {
	e := &entry{
		store: s, id: s.newID(), update: update, turns: make(chan *delivery.Permit, 1),
		over: make(chan struct{}), left: make(chan struct{}), reporting: make(chan struct{}, 1),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[e.id] = e
	return e
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

// giveTurn lets the update acquire a permit and call Begin.
func (e *entry) giveTurn() {
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
	asked, answer, err := time.Now(), []string(nil), e.sendReports(ctx)
	if err == nil {
		asked = time.Now()
		answer, err = s.runQueue(ctx, "begin", e.update.Participant.Conference, e.id, e.update.Participant.Name)
	}
	s.mu.Lock()
	e.state = waiting
	if errors.Is(err, errUnreachable) {
		s.separate(e.update.Participant.Conference)
		err = unavailable()
	}
	begun, passed := false, false
	if err == nil && e.local == nil {
		begun, passed = e.answered(answer, permit, asked)
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
func (e *entry) answered(answer []string, permit *delivery.Permit, asked time.Time) (begun, passed bool) {
	if answer[0] != saysBegun {
		e.see(answer[0], last(answer), asked)
		return false, false
	}
	chosen := e.store.entries[answer[1]]
	switch {
	case chosen == e && time.Since(asked) >= e.store.cfg.Lease:
		e.lose()
		return false, false
	case chosen == e:
		if stale := e.takePermit(); stale != nil {
			stale.Free()
		}
		e.begun(answer[2], asked)
		return true, false
	case chosen == nil || !chosen.shared() || chosen.state != waiting:
		return false, false // It has left, or is asking itself.
	}
	chosen.takePermit()
	chosen.begun(answer[2], asked)
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
	e.report("finish", e.attempt, digit(end.Applied != outcome.No), digit(end.Again),
		end.CallSID, end.Label, digit(end.NotFound), milliseconds(s.bounds.LabelAge))
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
			e.report("finish", "", "0", "0", "", "", "0", "")
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

// report makes a request about the entry after the earlier ones, without waiting for
// it. If Redis cannot be reached, the lease ends.
func (e *entry) report(op string, args ...string) {
	e.reports = append(e.reports, append([]string{op}, args...))
	e.store.background.Go(func() {
		if e.sendReports(context.Background()) != nil {
			e.store.sendLater(e.store.cfg.Lease, e.sendReports)
		}
	})
}

// sendReports makes the requests in their order. It takes the lock.
func (e *entry) sendReports(ctx context.Context) error {
	select {
	case e.reporting <- struct{}{}:
		defer func() { <-e.reporting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		report := e.nextReport()
		if report == nil {
			return nil
		}
		asked := time.Now()
		answer, err := e.store.runQueue(ctx, report[0], e.update.Participant.Conference, e.id,
			append([]string{e.update.Participant.Name}, report[1:]...)...)
		if err != nil {
			return err
		}
		e.reported(answer, asked)
	}
}

// nextReport takes the lock.
func (e *entry) nextReport() []string {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	if len(e.reports) == 0 {
		return nil
	}
	return e.reports[0]
}

// reported handles the answer to a report. It takes the lock.
func (e *entry) reported(answer []string, asked time.Time) {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	e.reports = e.reports[1:]
	if answer[0] == saysBegun && e.state == waiting {
		e.attempt, e.freshUntil = answer[1], asked.Add(e.store.fresh)
	}
	e.see(answer[0], last(answer), asked)
}

// renew renews the leases of updates in one conference, and handles what Redis says of
// each.
func (s *Store) renew(ctx context.Context, c delivery.Conference, entries []*entry) error {
	args := make([]string, 0, 2*len(entries))
	for _, e := range entries {
		args = append(args, e.update.Participant.Name, e.id)
	}
	asked := time.Now()
	states, err := s.runQueue(ctx, "renew", c, "", args...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range entries {
		e.see(states[i+1], states[0], asked)
	}
	return nil
}

// see handles what Redis says of the update, in answer to a request made then, which
// has renewed the lease.
func (e *entry) see(state, born string, asked time.Time) {
	if e.shared() && slices.Contains([]string{saysWait, saysTurn, saysPaused, saysBegun}, state) {
		e.until = e.store.leaseEnd(asked)
	}
	e.hear(state, born)
}

// hear handles what Redis says of the update. It may be a notification, also while Join
// waits for its answer.
func (e *entry) hear(state, born string) {
	if e.local != nil || e.err != nil || e.state == departed {
		return
	}
	switch state {
	case saysSuperseded:
		e.end(outcome.Superseded.Err(outcome.Facts{}))
	case saysEvicted:
		e.end(outcome.Overloaded.Err(outcome.Facts{}))
	case saysGone:
		e.gone(born)
	case saysTurn, saysBegun:
		if e.state == waiting || e.state == asking {
			e.giveTurn()
		}
	}
}

// gone handles an update that Redis does not know: its lease has ended, or Redis has
// lost all data or the latest.
func (e *entry) gone(born string) {
	if born != e.born && time.Now().Before(e.until) {
		e.lapse()
		return
	}
	e.lose()
}

// separate lets the updates of a conference that go on without Redis do so. The others
// may still be sent if Redis answers before their leases end. It is called under the
// lock.
func (s *Store) separate(c delivery.Conference) {
	for _, e := range s.sharedEntries() {
		if e.update.Participant.Conference == c && s.goesOn(announces(e.update)) {
			e.lapse()
		}
	}
}

// lapse ends the update's place in Redis. The update goes on in a queue of this process
// if the configuration says so, unless the lease has ended while the process was
// stopped.
func (e *entry) lapse() {
	s := e.store
	switch {
	case s.endedInStop(e.until):
		e.lose()
		return
	case !s.goesOn(announces(e.update)):
		e.end(unavailable())
		return
	case e.state == waiting || e.state == asking:
		local, err := s.local.Join(context.Background(), e.update)
		if err != nil {
			e.end(err)
			return
		}
		e.local = local
	default:
		e.local = s.local.Adopt(e.update, e.state == inFlight)
	}
	s.redis.observer.Separated()
	s.loops.Go(e.follow)
}

// follow passes on what happens in the queue of this process. It takes the lock.
func (e *entry) follow() {
	for {
		select {
		case permit := <-e.local.Turns():
			e.pass(permit)
		case <-e.local.Over():
			e.store.mu.Lock()
			e.end(e.local.Err())
			e.store.mu.Unlock()
			return
		case <-e.left:
			return
		}
	}
}

// pass passes on a turn in the queue of this process. It takes the lock.
func (e *entry) pass(permit *delivery.Permit) {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	switch {
	case permit == nil:
		e.giveTurn()
	case e.state == departed:
		permit.Free()
	default:
		e.takePermit()
		e.turns <- permit
	}
}

func last(answer []string) string { return answer[len(answer)-1] }

func digit(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}
