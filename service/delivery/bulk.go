package delivery

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// Bulk is a bulk operation: updates of several participants of a conference.
type Bulk struct {
	d       *Deliverer
	id      string         // The request ID of the operation, or empty.
	key     Key            // The key that the operation owns, if it has an id.
	content Content        // Of the whole operation.
	running sync.WaitGroup // The deliveries of its updates.

	mu       sync.Mutex
	handled  Handled            // By this operation, and by earlier ones with the id.
	upstream *upstream          // Of the members.
	members  map[string]*member // The updates that have been started, by Call SID.
}

// Handled is the participants whose updates a bulk operation has begun.
type Handled struct {
	Conference string            // Its SID; empty if there are no participants.
	Labels     map[string]string // By Call SID; empty for a participant without a label.
}

// keyAgain is the name from which the key of a repetition is derived.
const keyAgain = "again"

// BeginBulk begins a bulk operation. If it has a request ID, it waits for the end of
// other operations with that ID. The error is an *outcome.Error, RequestIDReused if
// the ID belongs to other content. End must be called if there is no error.
func (d *Deliverer) BeginBulk(
	ctx context.Context, account *twilio.Account, caller, requestID string, content Content,
) (*Bulk, error) {
	b := &Bulk{
		d: d, content: content, key: Key{Caller: caller, Account: account.SID},
		handled: Handled{Labels: map[string]string{}}, members: map[string]*member{},
	}
	if requestID == "" || d.cfg.IgnoreRequestIDs {
		return b, nil
	}
	b.id = strings.ToLower(requestID)
	b.key.RequestID = b.id
	for {
		record, err := d.store.Claim(ctx, b.key, content)
		switch {
		case err != nil && isContext(err): // Another operation with the ID is running.
			return nil, d.refused(ctx, err).With(outcome.Maybe)
		case err != nil:
			return nil, d.refused(ctx, err)
		case record == nil:
			return b, nil
		case record.Handled != nil:
			b.handled = Handled{record.Handled.Conference, maps.Clone(record.Handled.Labels)}
		}
		b.key.RequestID = derive(b.key.RequestID, keyAgain)
	}
}

// Earlier returns the participants of earlier operations with the request ID, if it is
// called before the first Deliver.
func (b *Bulk) Earlier() Handled { return b.handled }

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
		if b.id != "" {
			handled := b.handled
			b.d.store.Settle(b.key, &Record{Content: b.content, Handled: &handled})
		}
	})
}

// handle notes that the update of a participant begins.
func (b *Bulk) handle(update *Update) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handled.Conference = update.Path.ConferenceSID
	b.handled.Labels[update.Path.Participant] = update.Label
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
	j.update.Group.bulk.handle(j.update)
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
