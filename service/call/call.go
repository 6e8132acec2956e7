// Package call holds the record of one call, which the access log, metrics,
// audit and traces read when the call ends.
package call

import (
	"context"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/property"
)

// Protocol is the protocol of a call.
type Protocol string

// The protocols.
const (
	GRPC Protocol = "grpc"
	REST Protocol = "rest"
	// Twilio is Twilio's path and form over HTTP.
	Twilio Protocol = "twilio"
)

// Operation is what a call does with participants, by the name that the policy and the
// audit have for it.
type Operation string

// The operations.
const (
	Update Operation = "update"
	Read   Operation = "read"
	Remove Operation = "remove"
)

// Operations returns all operations.
func Operations() []Operation { return []Operation{Update, Read, Remove} }

// Call is the record of one call. The interceptors fill it in; it is not safe for
// concurrent use.
type Call struct {
	// Method is the full gRPC method, such as /package.Service/Method, and Operation what
	// it does; "" for methods that are not the API's.
	Method    string
	Operation Operation
	Protocol  Protocol
	// Client is the client's address without a port, from X-Forwarded-For if a trusted
	// proxy forwarded the call.
	Client string
	Start  time.Time
	// Deadline is when the client must have its answer. The deadline of the context is
	// earlier, so that there is time to respond.
	Deadline time.Time

	// Caller is the authenticated caller's name and KnownBy how the caller was
	// authenticated: token, jwt, mtls or anonymous. Both are empty until then.
	Caller, KnownBy string

	// AccountSID, ConferenceSID, CallSID and RequestID come from the request if they
	// have the syntax of an ID; any other text may be a name and is omitted. AccountSID
	// is the default account's if the request has none, and ConferenceSID and CallSID those
	// that belong to the request's friendly name and label, once they are known.
	AccountSID, ConferenceSID, CallSID, RequestID string

	// Change is the properties that the request sets.
	Change property.Values

	// OperationID is the id of the bulk operation that the call makes or is a part of; ""
	// for other calls. Bulk is what the call did if it made one.
	OperationID string
	Bulk        *Bulk

	// Progress is how far the delivery of the request has come.
	Progress *Progress

	// TwilioRequestID is Twilio's request ID in its last answer.
	TwilioRequestID string
	// IgnoredFields counts the fields of a Twilio form that the API does not have,
	// and IgnoredNames are the names of some of them.
	IgnoredFields int
	IgnoredNames  []string
	// TraceID is the call's W3C trace ID, or empty.
	TraceID string
}

// Bulk is what a bulk operation did.
type Bulk struct {
	// Participants is the number of results, of which some may be neither Updated nor
	// Failed.
	Participants, Updated, Failed int
	// Applied is the maximum of the updates.
	Applied outcome.Applied
}

type key struct{}

// New returns a context that carries a new record.
func New(ctx context.Context, protocol Protocol) (context.Context, *Call) {
	c := &Call{Protocol: protocol, Progress: new(Progress)}
	return context.WithValue(ctx, key{}, c), c
}

// Member returns a context that carries a new record, of the update of one participant
// in the bulk operation whose call ctx is of.
func Member(ctx context.Context, callSID string) (context.Context, *Call) {
	c := new(Call)
	if operation := From(ctx); operation != nil {
		*c = *operation
	}
	c.CallSID, c.RequestID, c.TwilioRequestID, c.Progress = callSID, "", "", new(Progress)
	return context.WithValue(ctx, key{}, c), c
}

// From returns the context's record, or nil if it has none.
func From(ctx context.Context) *Call {
	c, _ := ctx.Value(key{}).(*Call)
	return c
}

// IsAPI reports whether the call is one of the API's, and not a health check or
// reflection.
func (c *Call) IsAPI() bool { return IsAPI(c.Method) }
