package delivery

import (
	"context"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// Store keeps the state that updates share: the records of request IDs, and the
// queues of the participants. It can be shared by replicas.
type Store interface {
	// Claim returns the key's record. If there is none, the caller becomes the key's
	// owner and Claim returns nil; while the key has another owner, Claim waits. It
	// returns an *outcome.Error, RequestIDReused if the key belongs to other content, or
	// the context's error.
	Claim(ctx context.Context, key Key, content Content) (*Record, error)
	// Hold is called by the owner right before each attempt. From then on the update may
	// have been sent. It returns an *outcome.Error if the owner has lost the key, or the
	// context's error. After an error nothing may be sent.
	Hold(ctx context.Context, key Key) error
	// Settle ends the ownership of a key. The record is kept for the retention period; a
	// nil record frees the key. Settle does not block.
	Settle(key Key, record *Record)

	// Join adds an update to the end of its participant's queue. It returns an
	// *outcome.Error, Overloaded if the queue is full, or the context's error.
	Join(ctx context.Context, update Queued) (Entry, error)
	// Enter claims the key and joins the queue, as Claim and then Join do. If it returns a
	// record or an error, the update has no entry and does not own the key.
	Enter(ctx context.Context, key Key, content Content, update Queued) (Entry, *Record, error)

	// CallSID returns the Call SID of the participant with a label, or "" if it is not
	// known or the name is no label. It does not block.
	CallSID(Participant) string

	// Sizes returns how much is kept.
	Sizes() Sizes
}

// Key identifies a record. A request ID belongs to a caller and an account.
type Key struct{ Caller, Account, RequestID string }

// Content is a digest of an update's participant and properties, or of a removal's
// participant.
type Content [32]byte

// Conference identifies a conference.
type Conference struct{ Account, SID string }

// Participant identifies a participant by Call SID or by label.
type Participant struct {
	Conference
	Name string
}

// Queued is the part of an update that a queue needs.
type Queued struct {
	Participant Participant
	// Label, if not empty, is the label of the participant, whose Name is its Call SID
	// then. Twilio has just answered so.
	Label string
	// Removal is set if the participant is removed. There are no Properties then.
	Removal    bool
	Properties property.Set
	Caller     string
}

// Entry is an update in its participant's queue. One goroutine uses it.
type Entry interface {
	// Turns receives nil when the update must acquire a permit and call Begin. It
	// receives a permit when the update has been chosen to be sent with it.
	Turns() <-chan *Permit
	// Over is closed when the queue has removed the update. Err then returns the reason:
	// an *outcome.Error, Superseded, Overloaded or ParticipantNotFound.
	Over() <-chan struct{}
	Err() error
	// Begin is called with a permit right before an attempt. It reports whether this
	// update is chosen to be sent. If not, or with an error, Begin has freed the permit
	// or passed it to the chosen update, and the update waits for Turns again. It
	// returns an *outcome.Error if the queue has lost the update, or the context's
	// error.
	Begin(ctx context.Context, permit *Permit) (bool, error)
	// Stands is called when an attempt has a connection, and does not block. It returns
	// an *outcome.Error if the queue may have lost the update since Begin. Nothing may
	// be sent then.
	Stands() error
	// End ends an attempt. If another attempt follows, Resume is called when it is due.
	// Neither blocks.
	End(end End)
	Resume()
	// Leave removes the update from the queue, if it is still there. It must be called
	// exactly once, after all other methods.
	Leave()
}

// End is how an attempt ended.
type End struct {
	Applied outcome.Applied
	// Again is set if another attempt follows.
	Again bool
	// CallSID and Label come from Twilio's answer; CallSID is empty if there is none.
	// The participant with the Call SID has this label and no other.
	CallSID, Label string
	// NotFound is set if Twilio found no participant with the name in the request.
	NotFound bool
	// Removed is set if the participant was removed. The updates that wait in the queue
	// end with the error of [Removed] then.
	Removed bool
}

// Removed returns the error of an update that waited when its participant was removed.
func Removed() error {
	return outcome.ParticipantNotFound.Err(outcome.Facts{Detail: "the participant was removed while the update waited"})
}

// Record is the result of an update, kept for its request ID. Answer or Err is set,
// or neither if all that is known is that the update may have been sent. The record of a
// bulk operation has Handled instead.
type Record struct {
	Content Content
	Answer  *twilio.Answer
	Err     *outcome.Error
	Handled *Handled
}

// Sizes counts what a store keeps.
type Sizes struct {
	// Queues is the number of participants with an update in flight or waiting.
	Queues int `json:"queues"`
	// Waiting is the number of updates in those queues, including those in flight.
	Waiting int `json:"waiting"`
	// Labels is the number of labels whose Call SID is known.
	Labels int `json:"labels"`
	// Records is the number of request IDs that have a record or an owner.
	Records int `json:"records"`
}

// Bounds limits what a [Memory] keeps.
type Bounds struct {
	// Queue is the maximum number of updates that wait for one participant.
	Queue int
	// Labels is the maximum number of labels, LabelAge how long each is kept after it
	// was last seen.
	Labels   int
	LabelAge time.Duration
	// Records is the maximum number of records, Retention how long each is kept.
	Records   int
	Retention time.Duration
}
