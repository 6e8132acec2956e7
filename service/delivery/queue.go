package delivery

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"conferenced/service/outcome"
	"conferenced/service/property"
)

// queues holds the updates of each participant in order of arrival. At most one
// update of a participant is in flight.
//
// The update to send is chosen when an attempt can be made, see [queue.choose]. One
// update of the queue, its leader, acquires a permit, and the chosen update gets it.
// So no update waits for a newer one, and an update that is never sent supersedes
// nothing.
//
// A participant can have two names, a Call SID and a label. While both are known to
// name the same participant, they share a queue.
type queues struct {
	capacity int // Of one queue, not counting the update in flight.
	labels   *labels

	mu       sync.Mutex
	arrivals uint64
	byName   map[Participant]*queue
}

// queue holds the updates of one participant.
type queue struct {
	names   []Participant
	entries []*entry // In order of arrival.
	// owed must be sent before any newer update: a newer one was sent instead of it and
	// was not applied.
	owed *entry
}

// entry is an update in a queue. It implements [Entry].
type entry struct {
	queues  *queues
	update  Queued
	arrival uint64
	turns   chan *Permit
	over    chan struct{}

	// The fields below are guarded by queues.mu.
	queue     *queue // nil after the update has left.
	state     entryState
	insteadOf *entry // The older update that this one was sent instead of.
	err       error  // The reason why over is closed.
}

type entryState int

const (
	// waiting means that the update can be sent.
	waiting entryState = iota
	// leading means that the update can be sent and acquires a permit.
	leading
	// paused means that the update waits until its next attempt is due.
	paused
	// inFlight means that an attempt of the update is in flight.
	inFlight
)

func newQueues(capacity int, labels *labels) *queues {
	return &queues{capacity: capacity, labels: labels, byName: map[Participant]*queue{}}
}

// Join implements Store.
func (q *queues) Join(_ context.Context, update Queued) (Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if update.Label != "" {
		q.learn(update.Participant, End{CallSID: update.Participant.Name, Label: update.Label})
	}
	at := q.of(update.Participant)
	if len(at.entries) > q.capacity && !at.makeRoom(update.Caller) {
		return nil, outcome.Overloaded.Err(outcome.Facts{})
	}
	return q.enqueue(at, update, waiting), nil
}

func (q *queues) enqueue(at *queue, update Queued, state entryState) *entry {
	q.arrivals++
	e := &entry{
		queues: q, queue: at, update: update, arrival: q.arrivals, state: state,
		turns: make(chan *Permit, 1), over: make(chan struct{}),
	}
	at.entries = append(at.entries, e)
	at.elect()
	return e
}

// of returns the participant's queue, and creates it if there is none.
func (q *queues) of(participant Participant) *queue {
	if existing := q.byName[participant]; existing != nil {
		return existing
	}
	sid := q.labels.resolve(participant)
	existing := q.byName[sid]
	if existing == nil {
		existing = new(queue)
		q.name(existing, sid)
	}
	if sid != participant {
		q.name(existing, participant)
	}
	return existing
}

func (q *queues) name(queue *queue, name Participant) {
	queue.names = append(queue.names, name)
	q.byName[name] = queue
}

// forgetIfEmpty deletes a queue without updates.
func (q *queues) forgetIfEmpty(queue *queue) {
	if len(queue.entries) > 0 {
		return
	}
	for _, name := range queue.names {
		delete(q.byName, name)
	}
}

// makeRoom refuses the newest update of the caller with the most updates, if those
// are more than the given caller would have. It reports whether there is room.
func (q *queue) makeRoom(caller string) bool {
	counts := map[string]int{caller: 1}
	for _, e := range q.entries {
		counts[e.update.Caller]++
	}
	var newest *entry
	for _, e := range q.entries {
		if e.state != inFlight && (newest == nil || counts[e.update.Caller] >= counts[newest.update.Caller]) {
			newest = e
		}
	}
	if newest == nil || counts[newest.update.Caller] <= counts[caller] {
		return false
	}
	q.end(newest, outcome.Overloaded.Err(outcome.Facts{}))
	return true
}

// end removes an update from the queue with the given error.
func (q *queue) end(e *entry, reason error) {
	e.err = reason
	close(e.over)
	q.remove(e)
}

func (q *queue) remove(e *entry) {
	q.entries = slices.DeleteFunc(q.entries, func(other *entry) bool { return other == e })
	e.queue = nil
	if q.owed == e {
		q.owed = nil
	}
}

// elect makes an update the leader if one can be sent, and no update leads or is in
// flight.
func (q *queue) elect() {
	if len(q.entries) == 0 || q.busy() {
		return
	}
	leader := q.entries[0]
	if leader.state == paused {
		leader = q.newestCovering(leader)
	}
	if leader != nil {
		leader.state = leading
		leader.turns <- nil
	}
}

func (q *queue) busy() bool {
	return slices.ContainsFunc(q.entries, func(e *entry) bool {
		return e.state == leading || e.state == inFlight
	})
}

// choose returns the update to send now, or nil if there is none. It is the head, the
// oldest, unless a newer one covers it; see newestCovering. A newer one does not wait
// for the head's next attempt.
func (q *queue) choose() *entry {
	head := q.entries[0]
	if q.owed != nil && q.owed.state != paused {
		return q.owed
	}
	if newer := q.newestCovering(head); newer != nil {
		return newer
	}
	if head.state == paused {
		return nil
	}
	return head
}

// newestCovering returns the newest update that can be sent instead of the head, or
// nil. Such an update covers the head and each update between them that shares a
// property with it, and there is no removal between them.
func (q *queue) newestCovering(head *entry) *entry {
	for _, newer := range slices.Backward(q.entries[1:]) {
		if newer.state != paused && newer.covers(head) && q.coversBetween(newer) {
			return newer
		}
	}
	return nil
}

func (q *queue) coversBetween(newer *entry) bool {
	for _, between := range q.entries[1:] {
		if between == newer {
			return true
		}
		shares := between.update.Removal || between.update.Properties&newer.update.Properties != 0
		if shares && !newer.covers(between) {
			return false
		}
	}
	return true
}

// covers reports whether the newer update sets every property that the older sets.
// Nothing covers an announcement, because a newer update does not undo it, and nothing
// covers a removal. A removal covers nothing: beep_on_exit and end_conference_on_exit
// have their effect when the participant is removed.
func (e *entry) covers(older *entry) bool {
	return !older.update.isFinal() && !e.update.Removal && e.update.Properties.Covers(older.update.Properties)
}

// Turns implements Entry.
func (e *entry) Turns() <-chan *Permit { return e.turns }

// Over implements Entry.
func (e *entry) Over() <-chan struct{} { return e.over }

// Err implements Entry.
func (e *entry) Err() error {
	e.queues.mu.Lock()
	defer e.queues.mu.Unlock()
	return e.err
}

// Begin implements Entry.
func (e *entry) Begin(_ context.Context, permit *Permit) (bool, error) {
	begun, free := e.begin(permit)
	if free {
		permit.Free()
	}
	return begun, nil
}

// begin reports whether the update is in flight now, and if not, whether the caller
// must free the permit.
func (e *entry) begin(permit *Permit) (begun, free bool) {
	e.queues.mu.Lock()
	defer e.queues.mu.Unlock()
	q := e.queue
	if q == nil {
		return false, true
	}
	e.state = waiting
	if q.busy() { // Two queues were merged.
		return false, true
	}
	chosen := q.choose()
	if chosen == nil {
		q.elect()
		return false, true
	}
	chosen.state = inFlight
	if head := q.entries[0]; chosen != head && chosen != q.owed {
		chosen.insteadOf = head
	}
	if chosen == q.owed {
		q.owed = nil
	}
	if chosen != e {
		chosen.turns <- permit
	}
	return chosen == e, false
}

// Stands implements Entry. In one process a queue loses no update.
func (e *entry) Stands() error { return nil }

// End implements Entry.
func (e *entry) End(end End) {
	e.queues.mu.Lock()
	defer e.queues.mu.Unlock()
	if end.Removed {
		e.queue.endOthers(e)
	}
	e.queues.learn(e.update.Participant, end)
	e.conclude(end.Applied, end.Again)
}

// conclude ends the update's attempt.
func (e *entry) conclude(applied outcome.Applied, again bool) {
	q := e.queue
	e.state = paused
	if applied != outcome.No {
		q.supersede(e)
	} else if older := e.insteadOf; older != nil && older.queue == q {
		q.owed = older
	}
	e.insteadOf = nil
	if !again {
		q.remove(e)
	}
	q.elect()
	e.queues.forgetIfEmpty(q)
}

// supersede ends the older updates that newer, which was or may have been applied,
// covers.
func (q *queue) supersede(newer *entry) {
	for _, older := range slices.Clone(q.entries) {
		if older.arrival < newer.arrival && older.state != inFlight && newer.covers(older) {
			q.end(older, outcome.Superseded.Err(outcome.Facts{}))
		}
	}
}

// endOthers ends the updates that wait for a participant who has been removed.
func (q *queue) endOthers(removal *entry) {
	for _, e := range slices.Clone(q.entries) {
		if e != removal && e.state != inFlight {
			q.end(e, Removed())
		}
	}
}

// Resume implements Entry.
func (e *entry) Resume() {
	e.queues.mu.Lock()
	defer e.queues.mu.Unlock()
	if e.queue != nil {
		e.state = waiting
		e.queue.elect()
	}
}

// Leave implements Entry.
func (e *entry) Leave() {
	e.leave()
	select {
	case permit := <-e.turns:
		if permit != nil {
			permit.Free()
		}
	default:
	}
}

func (e *entry) leave() {
	e.queues.mu.Lock()
	defer e.queues.mu.Unlock()
	if e.queue != nil {
		e.conclude(outcome.No, false)
	}
}

// learn updates the names of the participant from the end of an attempt.
func (q *queues) learn(addressed Participant, end End) {
	switch {
	case end.NotFound, end.Removed:
		q.unlink(q.labels.of(addressed))
	case end.CallSID != "":
		sid := Participant{Conference: addressed.Conference, Name: end.CallSID}
		label := Participant{Conference: addressed.Conference, Name: end.Label}
		if known := q.labels.of(sid); known != sid && known != label {
			q.unlink(known)
		}
		if end.Label != "" {
			q.link(label, sid)
		}
	}
}

// link records that the label and the Call SID name the same participant, and merges
// their queues in order of arrival.
func (q *queues) link(label, sid Participant) {
	if known := q.labels.resolve(label); known != label && known != sid {
		q.unlink(label)
	}
	q.labels.put(label, sid)
	byLabel, bySID := q.byName[label], q.byName[sid]
	switch {
	case byLabel == bySID:
	case byLabel == nil:
		q.name(bySID, label)
	case bySID == nil:
		q.name(byLabel, sid)
	default:
		q.merge(bySID, byLabel)
	}
}

func (q *queues) merge(into, from *queue) {
	for _, name := range from.names {
		q.name(into, name)
	}
	for _, e := range from.entries {
		e.queue = into
	}
	into.entries = append(into.entries, from.entries...)
	slices.SortFunc(into.entries, func(a, b *entry) int { return cmp.Compare(a.arrival, b.arrival) })
	if into.owed == nil {
		into.owed = from.owed
	}
	into.elect()
}

// unlink forgets which participant the label names. Updates addressed by the label
// move to a queue of their own.
func (q *queues) unlink(label Participant) {
	q.labels.remove(label)
	shared := q.byName[label]
	if shared == nil || len(shared.names) == 1 {
		return
	}
	delete(q.byName, label)
	shared.names = slices.DeleteFunc(shared.names, func(name Participant) bool { return name == label })
	apart := new(queue)
	for _, e := range slices.Clone(shared.entries) {
		if e.update.Participant == label {
			shared.remove(e)
			e.queue = apart
			apart.entries = append(apart.entries, e)
		}
	}
	if len(apart.entries) > 0 {
		q.name(apart, label)
		apart.elect()
	}
	shared.elect()
	q.forgetIfEmpty(shared)
}

func (q *queues) sizes() Sizes {
	q.mu.Lock()
	defer q.mu.Unlock()
	sizes := Sizes{Labels: q.labels.len()}
	seen := map[*queue]bool{}
	for _, queue := range q.byName {
		if !seen[queue] {
			seen[queue] = true
			sizes.Queues++
			sizes.Waiting += len(queue.entries)
		}
	}
	return sizes
}

// isFinal reports whether no newer update undoes this one: it plays an announcement or
// removes the participant.
func (u Queued) isFinal() bool { return u.Removal || u.Properties.Has(property.AnnounceURL) }
