package telemetry

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/property"
)

// Record is one audit record: the caller, the operation and its outcome. It has no
// label, URL or secret.
type Record struct {
	Time time.Time `json:"time"`
	// Caller is the caller's name and KnownBy the method of authentication: token, jwt,
	// mtls or anonymous. Both are empty if the call ended before authentication.
	Caller  string `json:"caller"`
	KnownBy string `json:"known_by"`
	// Peer is the client's address without a port.
	Peer     string `json:"peer"`
	Protocol string `json:"protocol"`
	Method   string `json:"method"`
	// Operation is what the method does: update, read or remove.
	Operation string `json:"operation"`

	AccountSID    string `json:"account_sid,omitempty"`
	ConferenceSID string `json:"conference_sid,omitempty"`
	// CallSID is the participant's Call SID. It is empty if the request has a label
	// whose Call SID is not known.
	CallSID string `json:"call_sid,omitempty"`
	// Properties are the names of the properties in the request, and Values the
	// values of the boolean ones.
	Properties []string        `json:"properties,omitempty"`
	Values     map[string]bool `json:"values,omitempty"`

	// Outcome is OK or the reason of the error. Applied is whether the update was
	// applied: no, maybe or yes.
	Outcome string `json:"outcome"`
	Applied string `json:"applied"`

	// Attempts is the number of requests to Twilio, and QueuedMS how long the call
	// waited in queues, in milliseconds. Replayed is set if the call got the first answer
	// for its request ID.
	Attempts int   `json:"attempts,omitempty"`
	QueuedMS int64 `json:"queued_ms,omitempty"`
	Replayed bool  `json:"replayed,omitempty"`

	// OperationID is set if the record is of a bulk operation or of the update of one
	// participant in it, which have the same: the operation's request ID, or else a UUID.
	OperationID string `json:"operation_id,omitempty"`

	RequestID       string `json:"request_id,omitempty"`
	TwilioRequestID string `json:"twilio_request_id,omitempty"`
	TraceID         string `json:"trace_id,omitempty"`

	// Skipped is the number of unauthenticated calls before this one without a record.
	// Records of unauthenticated calls are limited to 10 per second, with bursts of 100.
	Skipped int64 `json:"skipped,omitempty"`
}

func newRecord(c *call.Call, failed *outcome.Error) *Record {
	record := &Record{
		Time:            time.Now().UTC(),
		Caller:          c.Caller,
		KnownBy:         c.KnownBy,
		Peer:            c.Client,
		Protocol:        string(c.Protocol),
		Method:          c.Method,
		Operation:       string(c.Operation),
		AccountSID:      c.AccountSID,
		ConferenceSID:   c.ConferenceSID,
		CallSID:         c.CallSID,
		Outcome:         "OK",
		Applied:         appliedOf(c, failed).String(),
		OperationID:     c.OperationID,
		RequestID:       c.RequestID,
		TwilioRequestID: c.TwilioRequestID,
		TraceID:         c.TraceID,
	}
	if failed != nil {
		record.Outcome = failed.Reason
	}
	delivered := c.Progress.Delivery()
	record.Attempts, record.QueuedMS, record.Replayed = delivered.Attempts, delivered.Queued.Milliseconds(), delivered.Replayed
	record.Properties = c.Change.Set().Names()
	for p := range (c.Change.Set() & property.Booleans).Each() {
		if record.Values == nil {
			record.Values = map[string]bool{}
		}
		record.Values[p.String()] = c.Change.Get(p) == "true"
	}
	return record
}

const (
	// answerTime is how long before its deadline a call stops waiting for its record, to
	// answer in time.
	answerTime = 10 * time.Millisecond
	// minRecordTime is the minimum time that a call waits for its record, so that a call
	// whose deadline has passed does not count as a failure of the audit.
	minRecordTime = 20 * time.Millisecond
)

// Audit writes a [Record] of every call of the API to a sink, including refused
// calls.
//
// A call whose record is not written within its deadline ends with AUDIT_FAILED,
// which states whether the update was applied. While records cannot be written,
// further calls are refused with AUDIT_FAILED before anything is sent. With FailOpen,
// calls are processed without their records instead.
type Audit struct {
	Sink     *AuditSink
	FailOpen bool
	Logger   *slog.Logger
}

// Interceptor returns the interceptor that writes the records. It must run before
// every interceptor that refuses calls, and after the one that gives every call a
// deadline.
func (a *Audit) Interceptor() grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		c := call.From(ctx)
		if !c.IsAPI() {
			return handler(ctx, request)
		}
		response, err := handler(ctx, request)
		if outcome.Is(err, outcome.AuditFailed) {
			return response, err // Ready refused the call, because records cannot be written.
		}
		if auditErr := a.write(c, newRecord(c, outcome.From(err))); auditErr != nil {
			failed := a.failed(ctx, appliedOf(c, outcome.From(err)), auditErr)
			if !a.FailOpen {
				return nil, failed
			}
		}
		return response, err
	}
}

// Ready returns an error for a call while records cannot be written. It must be called
// after authentication, so that the refusal is attributed to the caller.
func (a *Audit) Ready(ctx context.Context) error {
	c := call.From(ctx)
	if !c.IsAPI() || a.FailOpen {
		return nil
	}
	if err := a.Sink.ready(a.timeout(c)); err != nil {
		return a.failed(ctx, outcome.No, err)
	}
	return nil
}

// write writes the record of a call, within its deadline.
func (a *Audit) write(c *call.Call, record *Record) error {
	if isUnauthenticated(c) {
		if !a.Sink.admit() {
			return nil
		}
		// The call did not reach Ready. Its record is not queued for later.
		if err := a.Sink.ready(a.timeout(c)); err != nil && !a.FailOpen {
			return err
		}
		record.Skipped = a.Sink.unreported.Swap(0)
	}
	return a.Sink.write(record, a.timeout(c))
}

// timeout returns how long the call may wait for the sink. With FailOpen no call
// waits for a stalled write.
func (a *Audit) timeout(c *call.Call) time.Duration {
	timeout := max(time.Until(c.Deadline)-answerTime, minRecordTime)
	switch {
	case !a.FailOpen:
		return timeout
	case a.Sink.hasStalled():
		return 0
	default:
		return min(timeout, stallTime)
	}
}

// failed logs that a record cannot be written, and returns the outcome of the call.
func (a *Audit) failed(ctx context.Context, applied outcome.Applied, cause error) error {
	message := "audit failed"
	if applied == outcome.No && !a.FailOpen {
		message = "audit failed: the call is refused"
	}
	a.Logger.ErrorContext(ctx, message, "cause", cause)
	return outcome.AuditFailed.Err(outcome.Facts{Applied: applied})
}
