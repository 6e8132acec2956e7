package delivery

import (
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// Bulk is a bulk operation: updates of several participants of a conference.
type Bulk struct {
	d       *Deliverer
	key     Key            // Without a RequestID if the operation has none.
	content Content        // Of the whole operation.
	owned   bool           // Whether the operation owns its key.
	running sync.WaitGroup // The deliveries of its updates.

	mu       sync.Mutex
	upstream *upstream          // Of the members.
	members  map[string]*member // The updates that have been started, by Call SID.
}

// Names from which the keys of an operation are derived, apart from Call SIDs.
const (
	keyRunning = "running"
	keyContent = "content"
	keyAgain   = "again"
)

// BeginBulk begins a bulk operation. If it has a request ID, it waits for the end of
// other operations with that ID. The error is an *outcome.Error, RequestIDReused if
// one of those had other content. End must be called if there is no error.
func (d *Deliverer) BeginBulk(
	ctx context.Context, account *twilio.Account, caller, requestID string, content Content,
) (*Bulk, error) {
	b := &Bulk{d: d, content: content, members: map[string]*member{}, key: Key{Caller: caller, Account: account.SID}}
	if requestID == "" || d.cfg.IgnoreRequestIDs {
		return b, nil
	}
	b.key.RequestID = requestID
	err := b.claim(ctx)
	if err == nil {
		return b, nil
	}
	failed := d.refused(ctx, err)
	if isContext(err) { // Another operation with the ID is running.
		failed = failed.With(outcome.Maybe)
	}
	return nil, failed
}

// claim makes the operation the owner of its request ID, and records its content. The
// record is kept for operations with the same ID, whatever this one does.
func (b *Bulk) claim(ctx context.Context) error {
	store, running, content := b.d.store, b.derived(keyRunning), b.derived(keyContent)
	// No record of it is kept.
	if _, err := store.Claim(ctx, running, b.content); err != nil {
		return err
	}
	record, err := store.Claim(ctx, content, b.content)
	if err != nil {
		store.Settle(running, nil)
		return err
	}
	if record == nil {
		store.Settle(content, &Record{Content: b.content})
	}
	b.owned = true
	return nil
}

// derived returns the key of a part of the operation.
func (b *Bulk) derived(name string) Key {
	key := b.key
	key.RequestID = derive(key.RequestID, name)
	return key
}

// derive returns the request ID that is derived from another by a name.
func derive(requestID, name string) string {
	parent, _ := uuid.Parse(requestID) // Requests have been validated.
	return uuid.NewSHA1(parent, []byte(name)).String()
}

// End ends the operation. It keeps its request ID until its last delivery has ended,
// which may take longer than the call.
func (b *Bulk) End() {
	b.d.running.Go(func() {
		b.running.Wait()
		for _, m := range b.members {
			b.upstream.dismiss(m)
		}
		if b.owned {
			b.d.store.Settle(b.derived(keyRunning), nil)
		}
	})
}

// add admits an update of the operation to the limiter, until the operation ends.
func (b *Bulk) add(u *upstream, m *member) {
	u.admit(m)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.upstream, b.members[m.names[0].Name] = u, m
}

// Followed reports whether this replica may have begun another update of a participant
// since the operation's own, as it may if that was made by an earlier operation with the
// request ID.
func (b *Bulk) Followed(callSID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.members[callSID]
	return m == nil || b.upstream.isFollowed(m)
}

// Group is updates of a bulk operation that join their queues before the first of them
// is sent.
type Group struct {
	bulk     *Bulk
	mu       sync.Mutex
	entering int
	entered  chan struct{} // Closed when entering is 0.
}

// Group returns a group for n updates, for each of which Deliver must be called at once.
func (b *Bulk) Group(n int) *Group {
	return &Group{bulk: b, entering: n, entered: make(chan struct{})}
}

// arrive is called when an update of the group has joined its queue, or will not.
func (g *Group) arrive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.entering--; g.entering == 0 {
		close(g.entered)
	}
}

// wait waits until all updates have joined their queues, or the context ends.
func (g *Group) wait(ctx context.Context) {
	select {
	case <-g.entered:
	case <-ctx.Done():
	}
}

// member is an update of a bulk operation in the account's limiter, which guards the
// fields that change.
type member struct {
	names     []Participant // By Call SID, and by label if there is one.
	preferred bool          // Waits with the other updates.
	followed  bool          // Another update of the participant has begun since.
	waiter    *waiter       // nil before it has waited.
}

func newMember(update *Update) *member {
	p := participantOf(&update.Path)
	m := &member{names: []Participant{p}}
	if update.Label != "" {
		m.names = append(m.names, Participant{Conference: p.Conference, Name: update.Label})
	}
	return m
}

func (m *member) isOf(p Participant) bool { return slices.Contains(m.names, p) }

// enterGroup enters the queue of an update of a group. The updates of the group join
// their queues before one of them is sent. If the update has ended before and may have
// been applied, it enters again if it can be repeated, under a key of its own.
func (j *job) enterGroup(ctx context.Context) (record *Record, err error) {
	defer j.update.Group.wait(ctx)
	defer j.update.Group.arrive()
	for {
		record, err = j.enter(ctx)
		if err != nil || record == nil || !record.isUnknown() || !j.update.Repeatable() {
			return record, err
		}
		j.claim.key.RequestID = derive(j.claim.key.RequestID, keyAgain)
	}
}

// isUnknown reports whether the update may have been applied. A superseded update is
// not repeated, because a newer one was sent.
func (r *Record) isUnknown() bool {
	if r.Err != nil {
		return r.Err.Applied == outcome.Maybe && r.Err.Kind != outcome.Superseded
	}
	return r.Answer == nil
}
