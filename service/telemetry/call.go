// Package telemetry makes the service visible from outside: what each call was
// and what came of it.
package telemetry

import "context"

// Call is what is known of one call beyond its request and answer. It is filled
// in on the call's way and read when it ends, by the same goroutine.
type Call struct {
	// Caller is the caller's name, and KnownBy how it was known; empty until it
	// is.
	Caller, KnownBy string
	// AccountSID is the account that the call is about, once that is known: the
	// default one where the request names none.
	AccountSID string
	// TwilioRequestID is Twilio's id of the last request that it answered.
	TwilioRequestID string
	// IgnoredFields counts the fields of a form that the API does not have, and
	// IgnoredNames are the names of some of them.
	IgnoredFields int
	IgnoredNames  []string
	// Cause is why the call failed. It is logged and never sent.
	Cause error
	// TraceID is the trace that the call belongs to, once that was looked for;
	// empty if there is none.
	TraceID string
}

// traceID is the trace that the call belongs to. Empty: none.
func (c *Call) traceID(ctx context.Context) string {
	if c.TraceID == "" {
		c.TraceID = traceID(ctx)
	}
	return c.TraceID
}

type callKey struct{}

// withCall is a context with a Call.
type withCall struct {
	context.Context
	call Call
}

// Value is context.Context's.
func (c *withCall) Value(key any) any {
	if key == (callKey{}) {
		return &c.call
	}
	return c.Context.Value(key)
}

// WithCall returns a context that carries a Call, and that Call: the context's
// own if it has one.
func WithCall(ctx context.Context) (context.Context, *Call) {
	if call, ok := ctx.Value(callKey{}).(*Call); ok {
		return ctx, call
	}
	made := &withCall{Context: ctx}
	return made, &made.call
}

// CallFrom returns the context's Call, or a new one that nobody reads.
func CallFrom(ctx context.Context) *Call {
	_, call := WithCall(ctx)
	return call
}
