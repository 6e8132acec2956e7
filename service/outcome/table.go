package outcome

import (
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
)

// retryDelay is how long callers should wait if no better delay is known.
const retryDelay = time.Second

// Kind is one row of the table of outcomes.
type Kind struct {
	// Reason is google.rpc.ErrorInfo's reason. The two kinds of OUTCOME_UNKNOWN
	// share one.
	Reason string
	// Code is the gRPC status code.
	Code codes.Code
	// HTTP is the status code of the REST answer.
	HTTP int
	// TwilioCode is the error code on the Twilio-shaped route, unless Twilio gave
	// one: 20001 is Twilio's bad request, 20003 its "Authenticate", 20404 its not
	// found, 20429 what it never processed and is always safe to repeat.
	TwilioCode int
	// Text is the status message. [Facts.Detail] may follow it.
	Text string
	// Retry is how long callers should wait before they repeat the call. 0 means that
	// repeating it is useless.
	Retry time.Duration
	// ChangesOnly says that reads never end so.
	ChangesOnly bool
}

// The table. Applied is not a column: an update that is refused at its second attempt
// may have been applied by its first.
var (
	InvalidRequest = Kind{
		Reason: "INVALID_REQUEST", Code: codes.InvalidArgument, HTTP: http.StatusBadRequest, TwilioCode: 20001,
		Text: "the request breaks a rule",
	}
	NothingToUpdate = Kind{
		Reason: "NOTHING_TO_UPDATE", Code: codes.InvalidArgument, HTTP: http.StatusBadRequest, TwilioCode: 20001,
		Text: "the request sets no property to update", ChangesOnly: true,
	}
	RequestIDReused = Kind{
		Reason: "REQUEST_ID_REUSED", Code: codes.InvalidArgument, HTTP: http.StatusBadRequest, TwilioCode: 20001,
		Text: "the request ID was used before with other content", ChangesOnly: true,
	}
	CallerUnknown = Kind{
		Reason: "CALLER_UNKNOWN", Code: codes.Unauthenticated, HTTP: http.StatusUnauthorized, TwilioCode: 20003,
		Text: "the caller is not known",
	}
	NotAllowed = Kind{
		Reason: "NOT_ALLOWED", Code: codes.PermissionDenied, HTTP: http.StatusForbidden, TwilioCode: 20403,
		Text: "the caller may not do this",
	}
	AccountNotConfigured = Kind{
		Reason: "ACCOUNT_NOT_CONFIGURED", Code: codes.FailedPrecondition, HTTP: http.StatusBadRequest, TwilioCode: 20001,
		Text: "the service has no credentials for this account",
	}
	TwilioRejected = Kind{
		Reason: "TWILIO_REJECTED", Code: codes.InvalidArgument, HTTP: http.StatusBadRequest, TwilioCode: 20001,
		Text: "Twilio rejected the request",
	}
	ParticipantNotFound = Kind{
		Reason: "PARTICIPANT_NOT_FOUND", Code: codes.NotFound, HTTP: http.StatusNotFound, TwilioCode: 20404,
		Text: "no such participant in a conference that is in progress",
	}
	ConferenceNotFound = Kind{
		Reason: "CONFERENCE_NOT_FOUND", Code: codes.NotFound, HTTP: http.StatusNotFound, TwilioCode: 20404,
		Text: "no such conference",
	}
	ConferenceAmbiguous = Kind{
		Reason: "CONFERENCE_AMBIGUOUS", Code: codes.FailedPrecondition, HTTP: http.StatusBadRequest, TwilioCode: 20409,
		Text: "several conferences in progress may have this name",
	}
	ConflictingState = Kind{
		Reason: "CONFLICTING_STATE", Code: codes.FailedPrecondition, HTTP: http.StatusBadRequest, TwilioCode: 20409,
		Text: "the state of the conference or of the participant does not allow this",
	}
	TwilioCredentialsRejected = Kind{
		Reason: "TWILIO_CREDENTIALS_REJECTED", Code: codes.Internal, HTTP: http.StatusInternalServerError, TwilioCode: 20500,
		Text: "Twilio rejected the credentials of the service",
	}
	TwilioForbidden = Kind{
		Reason: "TWILIO_FORBIDDEN", Code: codes.PermissionDenied, HTTP: http.StatusForbidden, TwilioCode: 20403,
		Text: "Twilio does not allow the account to do this",
	}
	TwilioRateLimited = Kind{
		Reason: "TWILIO_RATE_LIMITED", Code: codes.ResourceExhausted, HTTP: http.StatusTooManyRequests, TwilioCode: 20429,
		Text: "Twilio limits the rate of the account", Retry: retryDelay,
	}
	Overloaded = Kind{
		Reason: "OVERLOADED", Code: codes.ResourceExhausted, HTTP: http.StatusTooManyRequests, TwilioCode: 20429,
		Text: "too many calls are waiting", Retry: retryDelay,
	}
	TwilioUnreachable = Kind{
		Reason: "TWILIO_UNREACHABLE", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable, TwilioCode: 20503,
		Text: "no connection to Twilio could be made", Retry: retryDelay,
	}
	// TwilioFailed is used only for calls that change nothing.
	TwilioFailed = Kind{
		Reason: "TWILIO_FAILED", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable, TwilioCode: 20503,
		Text: "Twilio failed or its answer was lost; nothing was changed", Retry: retryDelay,
	}
	CircuitOpen = Kind{
		Reason: "CIRCUIT_OPEN", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable, TwilioCode: 20503,
		Text: "the circuit breaker is open, because Twilio has been failing", Retry: retryDelay,
	}
	// ShuttingDown is used only if nothing of the call was sent.
	ShuttingDown = Kind{
		Reason: "SHUTTING_DOWN", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable, TwilioCode: 20503,
		Text: "this instance of the service is shutting down and accepts no new calls", Retry: retryDelay,
	}
	StateUnavailable = Kind{
		Reason: "STATE_UNAVAILABLE", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable, TwilioCode: 20503,
		Text: "the shared state of the replicas cannot be reached", Retry: retryDelay,
	}
	OutcomeUnknown = Kind{
		Reason: "OUTCOME_UNKNOWN", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable, TwilioCode: 20500,
		Text:        "Twilio failed or its answer was lost; the change may have been applied, and repeating it (with a new request_id) does no harm",
		ChangesOnly: true,
	}
	// UnrepeatableOutcomeUnknown must not be UNAVAILABLE: clients repeat such a call, and
	// the announcement would be played twice, or the label's next owner be removed.
	UnrepeatableOutcomeUnknown = Kind{
		Reason: "OUTCOME_UNKNOWN", Code: codes.Unknown, HTTP: http.StatusInternalServerError, TwilioCode: 20500,
		Text: "Twilio failed or its answer was lost; the change may have been applied, and repeating it may play an announcement again or " +
			"remove another participant with the label",
		ChangesOnly: true,
	}
	TwilioUnexpectedAnswer = Kind{
		Reason: "TWILIO_UNEXPECTED_ANSWER", Code: codes.Internal, HTTP: http.StatusInternalServerError, TwilioCode: 20500,
		Text: "Twilio's answer could not be read",
	}
	Superseded = Kind{
		Reason: "SUPERSEDED", Code: codes.Aborted, HTTP: http.StatusConflict, TwilioCode: 20409,
		Text: "a newer update of the same properties superseded this one", ChangesOnly: true,
	}
	Deadline = Kind{
		Reason: "DEADLINE", Code: codes.DeadlineExceeded, HTTP: http.StatusGatewayTimeout, TwilioCode: 20504,
		Text: "the deadline passed",
	}
	Cancelled = Kind{
		Reason: "CANCELLED", Code: codes.Canceled, HTTP: statusClientClosedRequest, TwilioCode: 20504,
		Text: "the caller cancelled",
	}
	// AuditFailed must not be UNAVAILABLE: the update may have been applied.
	AuditFailed = Kind{
		Reason: "AUDIT_FAILED", Code: codes.Internal, HTTP: http.StatusInternalServerError, TwilioCode: 20500,
		Text: "the audit record of the call could not be written",
	}
	Internal = Kind{
		Reason: "INTERNAL", Code: codes.Internal, HTTP: http.StatusInternalServerError, TwilioCode: 20500,
		Text: "internal error",
	}

	RequestTooLarge = Kind{
		Reason: "REQUEST_TOO_LARGE", Code: codes.ResourceExhausted, HTTP: http.StatusRequestEntityTooLarge, TwilioCode: 20413,
		Text: "the request is too large",
	}

	// The rows below are used by REST and the Twilio-shaped route only.

	RouteNotFound = Kind{
		Reason: "ROUTE_NOT_FOUND", Code: codes.NotFound, HTTP: http.StatusNotFound, TwilioCode: 20404,
		Text: "no such path",
	}
	MethodNotAllowed = Kind{
		Reason: "METHOD_NOT_ALLOWED", Code: codes.Unimplemented, HTTP: http.StatusMethodNotAllowed, TwilioCode: 20004,
		Text: "the path does not have this method",
	}
	UnsupportedMediaType = Kind{
		Reason: "UNSUPPORTED_MEDIA_TYPE", Code: codes.InvalidArgument, HTTP: http.StatusUnsupportedMediaType, TwilioCode: 20415,
		Text: "the body of the request cannot be read",
	}
)

// statusClientClosedRequest is nginx's 499, which grpc-gateway uses as well.
const statusClientClosedRequest = 499

// Table lists every kind in the order of the documentation.
var Table = []Kind{
	InvalidRequest, NothingToUpdate, RequestIDReused, CallerUnknown, NotAllowed,
	AccountNotConfigured, TwilioRejected, ParticipantNotFound, ConferenceNotFound, ConferenceAmbiguous, ConflictingState,
	TwilioCredentialsRejected, TwilioForbidden, TwilioRateLimited, Overloaded,
	TwilioUnreachable, TwilioFailed, CircuitOpen, ShuttingDown, StateUnavailable, OutcomeUnknown, UnrepeatableOutcomeUnknown,
	TwilioUnexpectedAnswer, Superseded, Deadline, Cancelled, AuditFailed,
	Internal,
	RequestTooLarge, RouteNotFound, MethodNotAllowed, UnsupportedMediaType,
}

// Lookup returns the row with the reason and the code.
func Lookup(reason string, code codes.Code) (Kind, bool) {
	for _, kind := range Table {
		if kind.Reason == reason && kind.Code == code {
			return kind, true
		}
	}
	return Kind{}, false
}
