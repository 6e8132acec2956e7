package outcome

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc/status"

	"conferenced/service/delivery"
	"conferenced/service/twilio"
)

// Of turns the error of a delivery into the status that the caller is told.
func Of(err error, update *delivery.Update) *status.Status {
	kind, facts := classify(err, update)
	facts.Applied = delivery.AppliedOf(err)
	return kind.Status(facts)
}

func classify(err error, update *delivery.Update) (Kind, Facts) {
	var (
		answered   *twilio.Error
		unreadable *twilio.AnswerError
		transport  *twilio.TransportError
		refused    *delivery.RefusedError
	)
	switch {
	case errors.As(err, &refused):
		return refusal(refused), Facts{RetryAfter: refused.RetryAfter}
	case errors.As(err, &answered):
		return fromTwilio(answered, update)
	case errors.As(err, &unreadable):
		return TwilioUnexpectedAnswer, Facts{
			Twilio: &TwilioAnswer{HTTPStatus: unreadable.HTTPStatus, RequestID: unreadable.RequestID},
		}
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline, Facts{}
	case errors.Is(err, context.Canceled):
		return Cancelled, Facts{}
	case errors.As(err, &transport) && !transport.Sent:
		return TwilioUnreachable, Facts{}
	case errors.As(err, &transport):
		return unknown(update), Facts{}
	default:
		return Internal, Facts{}
	}
}

func refusal(err *delivery.RefusedError) Kind {
	switch err.Reason {
	case delivery.Superseded:
		return Superseded
	case delivery.RequestIDReused:
		return RequestIDReused
	case delivery.Overloaded:
		return Overloaded
	case delivery.CircuitOpen:
		return CircuitOpen
	case delivery.StateUnavailable:
		return StateUnavailable
	default:
		return Internal
	}
}

// fromTwilio reads an error that Twilio answered with. Twilio's own code says
// more than the HTTP status where it is known; a 5xx is never taken for a
// refusal, whatever its code.
func fromTwilio(err *twilio.Error, update *delivery.Update) (Kind, Facts) {
	facts := Facts{Twilio: answerOf(err), Detail: err.Message, RetryAfter: err.RetryAfter}
	kind := byTwilio(err, update)
	switch kind.Reason {
	case ParticipantNotFound.Reason:
		facts.Resource = update.Path.String()
	case OutcomeUnknown.Reason, TwilioCredentialsRejected.Reason:
		facts.Detail = "" // Twilio's words about itself or about us, not about the update.
	}
	return kind, facts
}

func byTwilio(err *twilio.Error, update *delivery.Update) Kind {
	if err.HTTPStatus >= http.StatusInternalServerError {
		return unknown(update)
	}
	switch err.Code {
	case 20404, 16022:
		return ParticipantNotFound
	case 16027, 16028, 16099:
		return ConflictingState
	}
	switch err.HTTPStatus {
	case http.StatusNotFound:
		return ParticipantNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return ConflictingState
	case http.StatusUnauthorized:
		return TwilioCredentialsRejected
	case http.StatusForbidden:
		return TwilioForbidden
	case http.StatusTooManyRequests:
		return TwilioRateLimited
	default:
		return TwilioRejected
	}
}

func unknown(update *delivery.Update) Kind {
	if update.Repeatable() {
		return OutcomeUnknown
	}
	return AnnouncementOutcomeUnknown
}
