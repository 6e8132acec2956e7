// Package outcome defines the outcomes of calls: the table of outcomes, and the error
// that combines a row of the table with the facts of one call.
//
// An *[Error] is created where the outcome is known and encoded once, at the
// edge. Logs, metrics, audit and traces read the error, not the status.
package outcome

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Domain is the domain of every google.rpc.ErrorInfo.
const Domain = "conferenced"

// The keys of google.rpc.ErrorInfo's metadata.
const (
	// KeyApplied is always present: no, maybe or yes.
	KeyApplied = "applied"
	// KeyTwilioStatus is the HTTP status of Twilio's answer.
	KeyTwilioStatus = "twilio_status"
	// KeyTwilioCode is Twilio's error code, if the answer has one.
	KeyTwilioCode = "twilio_code"
	// KeyTwilioRequestID is Twilio's request ID, for Twilio's support.
	KeyTwilioRequestID = "twilio_request_id"
	// KeyMoreInfo is the URL of Twilio's page about the error.
	KeyMoreInfo = "more_info"
)

// Error is the outcome of a call that failed.
type Error struct {
	Kind
	Facts
}

// Facts is what one call adds to its row of the table. The zero value adds nothing,
// and Applied is no.
type Facts struct {
	// Applied is whether the update was applied.
	Applied Applied
	// Detail follows the row's text in the message. Callers see it.
	Detail string
	// Violations lists the fields of the request that violate a rule.
	Violations []*errdetails.BadRequest_FieldViolation
	// RetryAfter replaces the row's retry delay unless it is 0.
	RetryAfter time.Duration
	// Resource is the path of the participant or conference that was not found.
	Resource string
	// Twilio is Twilio's answer, or nil if there is none or it is not relevant.
	Twilio *TwilioAnswer
	// Cause is logged and never sent. It may be nil.
	Cause error
}

// TwilioAnswer is the part of Twilio's error that callers get. Empty members were not
// in the answer.
type TwilioAnswer struct {
	HTTPStatus int
	Code       int
	RequestID  string
	MoreInfo   string
}

// Err returns the row with the facts of one call.
func (k Kind) Err(facts Facts) *Error { return &Error{Kind: k, Facts: facts} }

// Error returns the reason, whether the update was applied, and the cause. It is
// for logs and tests.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s (applied: %s)", e.Reason, e.Applied)
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Message returns the text that callers see.
func (e *Error) Message() string {
	if e.Detail == "" {
		return e.Text
	}
	return e.Text + ": " + e.Detail
}

// RetryDelay returns how long the caller should wait before it repeats the call. 0
// means that repeating it is useless, or that no delay is known.
func (e *Error) RetryDelay() time.Duration {
	if e.Retry > 0 && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return e.Retry
}

// With returns a copy of the error in which Applied is at least the given value.
func (e *Error) With(applied Applied) *Error {
	changed := *e
	changed.Applied = max(e.Applied, applied)
	return &changed
}

// GRPCStatus encodes the error. grpc-go calls it to answer a call.
func (e *Error) GRPCStatus() *status.Status {
	plain := status.New(e.Code, e.Message())
	detailed, err := plain.WithDetails(e.details()...)
	if err != nil { // Only for the code OK, which no row has.
		return plain
	}
	return detailed
}

func (e *Error) details() []protoadapt.MessageV1 {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{
		Reason: e.Reason, Domain: Domain, Metadata: e.Metadata(),
	}}
	if len(e.Violations) > 0 {
		details = append(details, &errdetails.BadRequest{FieldViolations: e.Violations})
	}
	if e.Resource != "" {
		details = append(details, &errdetails.ResourceInfo{
			ResourceType: resourceType(e.Kind),
			ResourceName: e.Resource,
			Description:  e.Text,
		})
	}
	if delay := e.RetryDelay(); delay > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	return details
}

func resourceType(kind Kind) string {
	if kind == ConferenceNotFound {
		return "twilio.com/conference"
	}
	return "twilio.com/conference_participant"
}

// Metadata returns the metadata of the google.rpc.ErrorInfo.
func (e *Error) Metadata() map[string]string {
	metadata := map[string]string{KeyApplied: e.Applied.String()}
	if e.Twilio == nil {
		return metadata
	}
	put := func(key, value string) {
		if value != "" && value != "0" {
			metadata[key] = value
		}
	}
	put(KeyTwilioStatus, strconv.Itoa(e.Twilio.HTTPStatus))
	put(KeyTwilioCode, strconv.Itoa(e.Twilio.Code))
	put(KeyTwilioRequestID, e.Twilio.RequestID)
	put(KeyMoreInfo, e.Twilio.MoreInfo)
	return metadata
}

// From returns the *Error that err is or wraps, and nil for nil. Any other error
// comes from gRPC, the context or a defect: it becomes the cause, and Applied is
// maybe.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	facts := Facts{Applied: Maybe, Cause: err}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline.Err(facts)
	case errors.Is(err, context.Canceled):
		return Cancelled.Err(facts)
	}
	if st, ok := status.FromError(err); ok {
		return byCode(st.Code()).Err(facts)
	}
	return Internal.Err(facts)
}

// Is reports whether err is an *Error of the kind.
func Is(err error, kind Kind) bool {
	known, ok := errors.AsType[*Error](err)
	return ok && known.Kind == kind
}

// byCode returns the row for a status that gRPC created.
func byCode(code codes.Code) Kind {
	switch code {
	case codes.InvalidArgument:
		return InvalidRequest
	case codes.Unauthenticated:
		return CallerUnknown
	case codes.PermissionDenied:
		return NotAllowed
	case codes.DeadlineExceeded:
		return Deadline
	case codes.Canceled:
		return Cancelled
	case codes.ResourceExhausted:
		return RequestTooLarge
	case codes.Unimplemented, codes.NotFound:
		return RouteNotFound
	case codes.Unavailable:
		return OutcomeUnknown
	default:
		return Internal
	}
}
