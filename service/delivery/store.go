package delivery

import (
	"context"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// Store is what updates share: the answers kept under request ids, and the queues in
// which the updates of a participant wait. What it keeps is plain data.
type Store interface {
	// Claim returns what is kept under the key. If nothing is kept, it makes the
	// caller the key's owner and returns nil; while another owns it, it waits.
	// Its errors are an *outcome.Error, RequestIDReused if the key belongs to
	// other content, and the context's.
	Claim(ctx context.Context, key Key, content Content) (*Record, error)
	// Hold is called by the owner right before each attempt: from now on the update
	// may have been sent. Its errors are an *outcome.Error if the key has been taken
	// from its owner, and the context's. Nothing may be sent after one.
	Hold(ctx context.Context, key Key) error
	// Settle ends the ownership of a key. The record is kept for the retention;
	// without one the key is free again. Settle does not wait for other replicas.
	Settle(key Key, record *Record)

	// Join puts an update at the end of its participant's queue. Its errors are an
	// *outcome.Error, Overloaded if the queue is full, and the context's.
	Join(ctx context.Context, update Queued) (Entry, error)

	// Sizes says how much is remembered.
	Sizes() Sizes
}

// Key names an answer: request ids belong to a caller and an account.
type Key struct{ Caller, Account, RequestID string }

// Content is a digest of what an update asks.
type Content [32]byte

// Conference names a conference.
type Conference struct{ Account, SID string }

// Participant names a participant, by Call SID or by label.
type Participant struct {
	Conference
	Name string
}

// Queued is what a queue knows of an update.
type Queued struct {
	Participant Participant
	Properties  property.Set
	Caller      string
}

// Entry is an update in its participant's queue.
type Entry interface {
	// Turns delivers nil when the update must acquire a permit and call Begin. It
	// delivers a permit when the update was chosen to be sent with that.
	Turns() <-chan *Permit
	// Over is closed when the update has been taken out of the queue. Err then
	// returns why: an *outcome.Error, Superseded or Overloaded.
	Over() <-chan struct{}
	Err() error
	// Begin is called with a permit right before an attempt. It reports whether this
	// update is the one to be sent now. If not, or with an error, it has freed the
	// permit or passed it on, and the update waits for another turn. Its errors are an
	// *outcome.Error if the update has lost its place in the queue, and the context's.
	Begin(ctx context.Context, permit *Permit) (bool, error)
	// Stands is called without waiting when an attempt has a connection. It returns
	// an *outcome.Error if the update may have lost its place in the queue since it
	// began. Nothing may be sent then.
	Stands() error
	// End ends an attempt. If there will be another, Resume follows when it is due.
	// None of them waits for other replicas.
	End(end End)
	Resume()
	// Leave takes the update out of the queue, if it is still there. It must be
	// called once, at the end.
	Leave()
}

// End is how an attempt ended.
type End struct {
	Applied outcome.Applied
	// Again: there will be another attempt.
	Again bool
	// CallSID and Label are those of Twilio's answer; CallSID is "" if there is no
	// answer. The participant of the Call SID has this label and no other.
	CallSID, Label string
	// NotFound: Twilio does not know the participant by the name that was used.
	NotFound bool
}

// Record is how an update ended, as it is kept under its request id. One of Answer
// and Err is set, or neither if only the fact is known that the update may have been
// sent.
type Record struct {
	Content Content
	Answer  *twilio.Answer
	Err     *outcome.Error
}

// Sizes counts what a store remembers.
type Sizes struct {
	// Queues are the participants with an update that is in flight or waits.
	Queues int `json:"queues"`
	// Waiting are the updates in those queues, the ones in flight among them.
	Waiting int `json:"waiting"`
	// Labels are the labels whose Call SID is known.
	Labels int `json:"labels"`
	// Records are the answers kept, and the request ids under way.
	Records int `json:"records"`
}

// Bounds limit what a store in memory remembers.
type Bounds struct {
	// Queue is how many updates may wait for one participant.
	Queue int
	// Labels is how many labels are remembered, LabelAge for how long after
	// they were last seen.
	Labels   int
	LabelAge time.Duration
	// Records is how many answers are kept for request ids, and Retention for
	// how long.
	Records   int
	Retention time.Duration
}
