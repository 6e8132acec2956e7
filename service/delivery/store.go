package delivery

import (
	"context"
	"time"

	"conferenced/service/twilio"
)

// Store is what one update leaves behind for the next: the answers kept under
// request ids, and the lines in which updates of a participant wait. What it
// keeps is plain data.
type Store interface {
	// Claim returns what is kept under the key. If nothing is kept, it makes the
	// caller the key's owner and returns nil; while another owns it, it waits.
	// Its errors are a *RefusedError, with RequestIDReused if the key belongs to
	// other content, and the context's.
	Claim(ctx context.Context, key Key, content Content) (*Record, error)
	// Hold is called by the owner right before each attempt: from now on the update
	// may have been sent. Its errors are a *RefusedError if the key has been taken
	// from its owner, and the context's. Nothing may be sent after one.
	Hold(ctx context.Context, key Key) error
	// Settle ends the ownership of a key. The record is kept for the retention;
	// without one the key is free again. What takes longer than the context lasts
	// is done after it has returned.
	Settle(ctx context.Context, key Key, record *Record)

	// Join puts an update at the end of its participant's line, and out of the
	// line those that it supersedes. An event, such as an announcement, is not
	// undone by what comes later, so it is never superseded. Join does not wait
	// for the update's turn. Its errors are a *RefusedError, with Overloaded if the
	// line is full, and the context's.
	Join(ctx context.Context, participant Participant, sets Properties, event bool) (*Ticket, error)
	// Know remembers which Call SID a label stands for, unless the context ends
	// before that.
	Know(ctx context.Context, label Participant, callSID string)

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

// Properties is a set of the twelve properties of an update.
type Properties uint16

// Cover says whether all of the others are among them.
func (p Properties) Cover(others Properties) bool { return others&^p == 0 }

// Ticket is an update's place in its participant's line.
type Ticket struct {
	// Turn is closed when the update is the one that may be sent.
	Turn <-chan struct{}
	// Superseded is closed when a newer update takes the place of this one.
	Superseded <-chan struct{}
	// Valid is called right before each attempt. Its errors are a *RefusedError if
	// the turn has been taken from the update, and the context's. Nothing may be
	// sent after one. Nil: the turn is never taken away.
	Valid func(context.Context) error
	// Stands is called without waiting when an attempt has a connection. Its error
	// is a *RefusedError if the turn may have been taken from the update since Valid
	// was called. Nothing may be sent after one. Nil: the turn is never taken away.
	Stands func() error
	// Leave gives the place to the next. It must be called exactly once.
	Leave func()
}

// Record is how an update ended, as it is kept for its request id. Exactly one
// of Answer, Error, Unexpected, Lost and Superseded is set.
type Record struct {
	Content    Content
	Applied    Applied
	Answer     *twilio.Answer
	Error      *twilio.Error
	Unexpected *twilio.AnswerError
	Lost       bool
	Superseded bool
}

// Sizes counts what a store remembers.
type Sizes struct {
	// Lines are the participants with an update on its way or waiting.
	Lines int `json:"lines"`
	// Waiting are the updates in those lines, the ones on their way among them.
	Waiting int `json:"waiting"`
	// Labels are the labels whose Call SID is known.
	Labels int `json:"labels"`
	// Records are the answers kept, and the request ids under way.
	Records int `json:"records"`
}

// Bounds limit what a store in memory remembers.
type Bounds struct {
	// LineLength is how many updates may wait for one participant.
	LineLength int
	// Labels is how many labels are remembered, LabelAge for how long after
	// they were last seen.
	Labels   int
	LabelAge time.Duration
	// Records is how many answers are kept for request ids, and Retention for
	// how long.
	Records   int
	Retention time.Duration
}
