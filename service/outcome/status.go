// Package outcome says what a caller is told: one table of everything that can
// happen to a call, and the gRPC status that each row becomes.
//
// Every status that the service answers with is made here, over every
// protocol, and carries a google.rpc.ErrorInfo. No status holds a Go error's
// text: causes are for the log.
package outcome

import (
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"conferenced/service/delivery"
	"conferenced/service/twilio"
)

// Domain is the domain of every google.rpc.ErrorInfo.
const Domain = "conferenced"

// The keys of google.rpc.ErrorInfo's metadata.
const (
	// KeyApplied is always there: `no`, `maybe` or `yes`.
	KeyApplied = "applied"
	// KeyTwilioStatus is the HTTP status that Twilio answered with.
	KeyTwilioStatus = "twilio_status"
	// KeyTwilioCode is Twilio's error code, where it gave one.
	KeyTwilioCode = "twilio_code"
	// KeyTwilioRequestID is Twilio's id of the request, for its support.
	KeyTwilioRequestID = "twilio_request_id"
	// KeyMoreInfo is the page on which Twilio explains the error.
	KeyMoreInfo = "more_info"
)

// Facts are what one call adds to its row of the table. The zero value adds
// nothing and says applied=no.
type Facts struct {
	// Applied says whether the change was made.
	Applied delivery.Applied
	// Detail follows the row's text in the message.
	Detail string
	// Violations name the fields of the request that break a rule.
	Violations []*errdetails.BadRequest_FieldViolation
	// RetryAfter is how long to wait, where that is known better than the row
	// knows it.
	RetryAfter time.Duration
	// Resource names the participant that was not found.
	Resource string
	// Twilio is Twilio's answer, if it gave one.
	Twilio *TwilioAnswer
}

// TwilioAnswer is what is reported of an answer of Twilio's. Empty members were
// not in it.
type TwilioAnswer struct {
	HTTPStatus int
	Code       int
	RequestID  string
	MoreInfo   string
}

// Err is the error that a handler returns for the row.
func (k Kind) Err(facts Facts) error { return k.Status(facts).Err() }

// Status is the row with the facts of one call.
func (k Kind) Status(facts Facts) *status.Status {
	text := k.Text
	if facts.Detail != "" {
		text += ": " + facts.Detail
	}
	plain := status.New(k.Code, text)
	detailed, err := plain.WithDetails(k.details(facts)...)
	if err != nil { // Only for OK, which no row is.
		return plain
	}
	return detailed
}

func (k Kind) details(facts Facts) []protoadapt.MessageV1 {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{
		Reason: k.Reason, Domain: Domain, Metadata: facts.metadata(),
	}}
	if len(facts.Violations) > 0 {
		details = append(details, &errdetails.BadRequest{FieldViolations: facts.Violations})
	}
	if facts.Resource != "" {
		details = append(details, &errdetails.ResourceInfo{
			ResourceType: "twilio.com/conference_participant",
			ResourceName: facts.Resource,
			Description:  k.Text,
		})
	}
	if k.Retry > 0 {
		delay := k.Retry
		if facts.RetryAfter > 0 {
			delay = facts.RetryAfter
		}
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	return details
}

func (f Facts) metadata() map[string]string {
	metadata := map[string]string{KeyApplied: f.Applied.String()}
	if f.Twilio == nil {
		return metadata
	}
	put := func(key, value string) {
		if value != "" && value != "0" {
			metadata[key] = value
		}
	}
	put(KeyTwilioStatus, strconv.Itoa(f.Twilio.HTTPStatus))
	put(KeyTwilioCode, strconv.Itoa(f.Twilio.Code))
	put(KeyTwilioRequestID, f.Twilio.RequestID)
	put(KeyMoreInfo, f.Twilio.MoreInfo)
	return metadata
}

// Info returns the ErrorInfo of a status that this package made, or nil.
func Info(st *status.Status) *errdetails.ErrorInfo {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info
		}
	}
	return nil
}

// RetryAfter returns the delay of a status's RetryInfo, or zero.
func RetryAfter(st *status.Status) time.Duration {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// HTTPStatus is the HTTP status that goes with a status: the table's, and for a
// status that another part of gRPC made, the row's with the same code.
func HTTPStatus(st *status.Status) int {
	reason := Info(st).GetReason()
	for _, kind := range Table {
		if kind.Reason == reason && kind.Code == st.Code() {
			return kind.HTTP
		}
	}
	return byCode(st.Code()).HTTP
}

// Complete gives a status that gRPC made itself, such as the one of a passed
// deadline, the ErrorInfo that every status has. One that has it is returned
// as it is. A text that gRPC wrote is not kept: it may hold an error chain.
func Complete(st *status.Status, applied delivery.Applied) *status.Status {
	if st.Code() == codes.OK || Info(st) != nil {
		return st
	}
	return byCode(st.Code()).Status(Facts{Applied: applied})
}

// byCode is the row for a code that came without a reason.
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

// answerOf is what is reported of an error that Twilio answered with.
func answerOf(err *twilio.Error) *TwilioAnswer {
	return &TwilioAnswer{
		HTTPStatus: err.HTTPStatus, Code: err.Code,
		RequestID: err.RequestID, MoreInfo: err.MoreInfo,
	}
}
