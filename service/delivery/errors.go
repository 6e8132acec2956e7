package delivery

import (
	"errors"
	"fmt"
	"time"
)

// Applied says whether an update changed the conference.
type Applied int

// What can be known of it. The order is that of certainty that something was
// done, so that the greater of two is what holds for both together.
const (
	No Applied = iota
	Maybe
	Yes
)

// String is the word that callers are told.
func (a Applied) String() string {
	switch a {
	case No:
		return "no"
	case Yes:
		return "yes"
	default:
		return "maybe"
	}
}

// Error is why an update was not answered by a participant. Every error that
// this package returns is one.
type Error struct {
	// Applied says whether the update was applied all the same.
	Applied Applied
	// Err is the cause: an error of package twilio, a *RefusedError, the
	// context's, or what stands for a panic.
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("%v (applied: %s)", e.Err, e.Applied) }

func (e *Error) Unwrap() error { return e.Err }

// AppliedOf is what an error of this package says. Of any other error nothing
// is known.
func AppliedOf(err error) Applied {
	if failure, ok := errors.AsType[*Error](err); ok {
		return failure.Applied
	}
	return Maybe
}

// Refusal is why an update was not sent, or not sent again.
type Refusal string

// The refusals of this package.
const (
	// Superseded: a newer update sets every property that this one sets.
	Superseded Refusal = "superseded"
	// RequestIDReused: the request id belongs to an update with other content.
	RequestIDReused Refusal = "request id reused"
	// Overloaded: the queue is full, or the wait would pass the deadline.
	Overloaded Refusal = "overloaded"
	// CircuitOpen: Twilio has been failing, so nothing is sent for a while.
	CircuitOpen Refusal = "circuit open"
	// StateUnavailable: what is shared between replicas cannot be reached, or it
	// was lost, so nobody knows whether the update may be sent.
	StateUnavailable Refusal = "state unavailable"
)

// RefusedError is a decision of this package, not Twilio's.
type RefusedError struct {
	Reason Refusal
	// RetryAfter is when to try again; zero where that is not known or no use.
	RetryAfter time.Duration
}

func (e *RefusedError) Error() string { return string(e.Reason) }
