package outcome

import (
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
)

// retryDelay is what a caller is told to wait where nobody knows better.
const retryDelay = time.Second

// Kind is one row of the table: something that can happen to a call, and what
// the caller is told of it.
type Kind struct {
	// Reason is google.rpc.ErrorInfo's reason. The two kinds of OUTCOME_UNKNOWN
	// share one.
	Reason string
	// Code is the gRPC status code.
	Code codes.Code
	// HTTP is the status of the answer over REST.
	HTTP int
	// Text is the status message. What was observed may be put behind it.
	Text string
	// Retry is how long to wait before trying again; zero where that is no use.
	Retry time.Duration
}

// The table. Whether the update was applied is not a property of the row alone:
// an update that is refused at its second attempt may have been applied by its
// first.
var (
	InvalidRequest = Kind{
		Reason: "INVALID_REQUEST", Code: codes.InvalidArgument, HTTP: http.StatusBadRequest,
		Text: "the request breaks a rule",
	}
	NothingToUpdate = Kind{
		Reason: "NOTHING_TO_UPDATE", Code: codes.InvalidArgument, HTTP: http.StatusBadRequest,
		Text: "the request sets no property to update",
	}
	RequestIDReused = Kind{
		Reason: "REQUEST_ID_REUSED", Code: codes.InvalidArgument, HTTP: http.StatusBadRequest,
		Text: "request_id was used before for another update",
	}
	CallerUnknown = Kind{
		Reason: "CALLER_UNKNOWN", Code: codes.Unauthenticated, HTTP: http.StatusUnauthorized,
		Text: "the caller is not known",
	}
	NotAllowed = Kind{
		Reason: "NOT_ALLOWED", Code: codes.PermissionDenied, HTTP: http.StatusForbidden,
		Text: "the caller may not make this update",
	}
	AccountNotConfigured = Kind{
		Reason: "ACCOUNT_NOT_CONFIGURED", Code: codes.FailedPrecondition, HTTP: http.StatusBadRequest,
		Text: "the service has no credentials for this account",
	}
	TwilioRejected = Kind{
		Reason: "TWILIO_REJECTED", Code: codes.InvalidArgument, HTTP: http.StatusBadRequest,
		Text: "Twilio rejected the update",
	}
	ParticipantNotFound = Kind{
		Reason: "PARTICIPANT_NOT_FOUND", Code: codes.NotFound, HTTP: http.StatusNotFound,
		Text: "no such participant in a conference that is in progress",
	}
	ConflictingState = Kind{
		Reason: "CONFLICTING_STATE", Code: codes.FailedPrecondition, HTTP: http.StatusBadRequest,
		Text: "the state of the conference or of the participant does not allow the update",
	}
	TwilioCredentialsRejected = Kind{
		Reason: "TWILIO_CREDENTIALS_REJECTED", Code: codes.Internal, HTTP: http.StatusInternalServerError,
		Text: "Twilio rejected the credentials of the service",
	}
	TwilioForbidden = Kind{
		Reason: "TWILIO_FORBIDDEN", Code: codes.PermissionDenied, HTTP: http.StatusForbidden,
		Text: "Twilio does not allow the account to do this",
	}
	TwilioRateLimited = Kind{
		Reason: "TWILIO_RATE_LIMITED", Code: codes.ResourceExhausted, HTTP: http.StatusTooManyRequests,
		Text: "Twilio limits the rate of the account", Retry: retryDelay,
	}
	Overloaded = Kind{
		Reason: "OVERLOADED", Code: codes.ResourceExhausted, HTTP: http.StatusTooManyRequests,
		Text: "too many updates are waiting", Retry: retryDelay,
	}
	TwilioUnreachable = Kind{
		Reason: "TWILIO_UNREACHABLE", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable,
		Text: "no connection to Twilio could be made", Retry: retryDelay,
	}
	CircuitOpen = Kind{
		Reason: "CIRCUIT_OPEN", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable,
		Text: "nothing is sent for the moment, since Twilio has been failing", Retry: retryDelay,
	}
	// ShuttingDown is only ever said of a call of which nothing was sent.
	ShuttingDown = Kind{
		Reason: "SHUTTING_DOWN", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable,
		Text: "this instance of the service is shutting down and takes no new calls", Retry: retryDelay,
	}
	StateUnavailable = Kind{
		Reason: "STATE_UNAVAILABLE", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable,
		Text: "the state that the replicas of the service share cannot be reached", Retry: retryDelay,
	}
	OutcomeUnknown = Kind{
		Reason: "OUTCOME_UNKNOWN", Code: codes.Unavailable, HTTP: http.StatusServiceUnavailable,
		Text: "Twilio failed or its answer was lost; the update may have been applied, and repeating it (with a new request_id) does no harm",
	}
	// AnnouncementOutcomeUnknown is never UNAVAILABLE: clients send that again,
	// and the announcement would be heard twice.
	AnnouncementOutcomeUnknown = Kind{
		Reason: "OUTCOME_UNKNOWN", Code: codes.Unknown, HTTP: http.StatusInternalServerError,
		Text: "Twilio failed or its answer was lost; the announcement may have been played, and repeating it may play it again",
	}
	TwilioUnexpectedAnswer = Kind{
		Reason: "TWILIO_UNEXPECTED_ANSWER", Code: codes.Internal, HTTP: http.StatusInternalServerError,
		Text: "Twilio's answer could not be read",
	}
	Superseded = Kind{
		Reason: "SUPERSEDED", Code: codes.Aborted, HTTP: http.StatusConflict,
		Text: "a newer update of the same properties took the place of this one",
	}
	Deadline = Kind{
		Reason: "DEADLINE", Code: codes.DeadlineExceeded, HTTP: http.StatusGatewayTimeout,
		Text: "the deadline passed",
	}
	Cancelled = Kind{
		Reason: "CANCELLED", Code: codes.Canceled, HTTP: statusClientClosedRequest,
		Text: "the caller cancelled",
	}
	// AuditFailed is never UNAVAILABLE either: the update may have been applied.
	AuditFailed = Kind{
		Reason: "AUDIT_FAILED", Code: codes.Internal, HTTP: http.StatusInternalServerError,
		Text: "the audit record of the call could not be written",
	}
	Internal = Kind{
		Reason: "INTERNAL", Code: codes.Internal, HTTP: http.StatusInternalServerError,
		Text: "internal error",
	}

	// What only the HTTP side can refuse.

	RouteNotFound = Kind{
		Reason: "ROUTE_NOT_FOUND", Code: codes.NotFound, HTTP: http.StatusNotFound,
		Text: "no such path",
	}
	MethodNotAllowed = Kind{
		Reason: "METHOD_NOT_ALLOWED", Code: codes.Unimplemented, HTTP: http.StatusMethodNotAllowed,
		Text: "the path does not have this method",
	}
	RequestTooLarge = Kind{
		Reason: "REQUEST_TOO_LARGE", Code: codes.ResourceExhausted, HTTP: http.StatusRequestEntityTooLarge,
		Text: "the request is too large",
	}
)

// statusClientClosedRequest is nginx's 499, which grpc-gateway uses too.
const statusClientClosedRequest = 499

// Table lists every kind, in the order in which the documentation shows them.
var Table = []Kind{
	InvalidRequest, NothingToUpdate, RequestIDReused, CallerUnknown, NotAllowed,
	AccountNotConfigured, TwilioRejected, ParticipantNotFound, ConflictingState,
	TwilioCredentialsRejected, TwilioForbidden, TwilioRateLimited, Overloaded,
	TwilioUnreachable, CircuitOpen, ShuttingDown, StateUnavailable, OutcomeUnknown, AnnouncementOutcomeUnknown,
	TwilioUnexpectedAnswer, Superseded, Deadline, Cancelled, AuditFailed,
	Internal,
	RouteNotFound, MethodNotAllowed, RequestTooLarge,
}
