package delivery

import (
	"context"
	"errors"
	"net/http"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// verdict is what the end of one attempt means. It is the only place where the
// errors of package twilio are interpreted.
type verdict struct {
	// err is the outcome of the update if there is no further attempt; nil: Twilio
	// applied the update and answered with the participant.
	err *outcome.Error
	// result names the end for metrics and traces.
	result Result
	// retry says whether another attempt may be made.
	retry retry
	// health is what the attempt says about Twilio, for the breaker.
	health health
	// refused: the attempt was not made, by a decision of ours.
	refused bool
	// rateLimited: Twilio answered 429.
	rateLimited bool
	// answered: Twilio answered, so that the time it took counts.
	answered bool
	// retryAfter is how long Twilio asks to wait; 0: it does not.
	retryAfter time.Duration
}

// retry is when another attempt may be made.
type retry int

const (
	// never: the answer would be the same, or it is known already.
	never retry = iota
	// ifRepeatable: the attempt may have been applied.
	ifRepeatable
	// always: the attempt was certainly not processed.
	always
)

// applied returns whether the attempt changed the conference.
func (v *verdict) applied() outcome.Applied {
	if v.err == nil {
		return outcome.Yes
	}
	return v.err.Applied
}

// end returns what the participant's queue needs to know.
func (v *verdict) end(answer *twilio.Answer, again bool) End {
	end := End{Applied: v.applied(), Again: again}
	if v.err != nil {
		end.NotFound = v.err.Kind == outcome.ParticipantNotFound
		return end
	}
	if sid := answer.Participant.CallSID; sid != nil {
		end.CallSID = *sid
	}
	if label := answer.Participant.Label; label != nil {
		end.Label = *label
	}
	return end
}

// health is what an attempt says about Twilio.
type health int

const (
	// unknownHealth: the attempt ended for reasons of our own or its caller's.
	unknownHealth health = iota
	healthy
	// unhealthy: no connection, a 5xx, or no answer.
	unhealthy
)

// judge returns what the end of an attempt of the update means.
func judge(err error, update *Update) verdict {
	if err == nil {
		return verdict{result: Succeeded, health: healthy, answered: true}
	}
	return judgeFailure(err, update)
}

func judgeFailure(err error, update *Update) verdict {
	var (
		refused   *outcome.Error
		answered  *twilio.Error
		unusable  *twilio.AnswerError
		transport *twilio.TransportError
		malformed *twilio.RequestError
	)
	switch {
	case errors.As(err, &refused): // The permit's.
		return verdict{err: refused, result: NotSent, refused: true}
	case errors.As(err, &answered):
		return judgeStatus(answered, update)
	case errors.As(err, &unusable):
		return judgeAnswer(unusable)
	case errors.As(err, &transport):
		return judgeTransport(transport, update)
	case errors.As(err, &malformed):
		return verdict{err: outcome.Internal.Err(outcome.Facts{Cause: err}), result: Defective}
	default:
		return verdict{err: outcome.Internal.Err(outcome.Facts{Applied: outcome.Maybe, Cause: err}), result: Defective}
	}
}

// judgeAnswer judges a 2xx that is no participant or another one, or a 3xx.
func judgeAnswer(err *twilio.AnswerError) verdict {
	applied := outcome.Maybe
	if err.HTTPStatus/100 == 2 && !err.Foreign {
		applied = outcome.Yes
	}
	facts := outcome.Facts{
		Applied: applied, Cause: err,
		Twilio: &outcome.TwilioAnswer{HTTPStatus: err.HTTPStatus, RequestID: err.RequestID},
	}
	return verdict{
		err: outcome.TwilioUnexpectedAnswer.Err(facts), result: Unexpected, health: healthy, answered: true,
	}
}

// judgeTransport judges an attempt without an answer.
func judgeTransport(err *twilio.TransportError, update *Update) verdict {
	facts := outcome.Facts{Applied: outcome.Maybe, Cause: err}
	if !err.Sent {
		facts.Applied = outcome.No
	}
	switch {
	case isContext(err):
		return verdict{err: contextKind(err).Err(facts), result: CutOff, retry: ifRepeatable}
	case err.Sent:
		return verdict{err: unknownOutcome(update).Err(facts), result: Lost, retry: ifRepeatable, health: unhealthy}
	default:
		return verdict{err: outcome.TwilioUnreachable.Err(facts), result: NotSent, retry: always, health: unhealthy}
	}
}

// judgeStatus judges a 4xx or 5xx. It may be Twilio's or that of a proxy on the way.
func judgeStatus(err *twilio.Error, update *Update) verdict {
	facts := outcome.Facts{
		RetryAfter: err.RetryAfter, Cause: err,
		Twilio: &outcome.TwilioAnswer{
			HTTPStatus: err.HTTPStatus, Code: err.Code, RequestID: err.RequestID, MoreInfo: err.MoreInfo,
		},
	}
	v := verdict{result: Rejected, health: healthy, answered: true, retryAfter: err.RetryAfter}
	if mayBeApplied(err.HTTPStatus) {
		v.result, v.retry, v.health = Failed, ifRepeatable, unknownHealth
		if err.HTTPStatus >= http.StatusInternalServerError {
			v.health = unhealthy
		}
		facts.Applied = outcome.Maybe
		v.err = unknownOutcome(update).Err(facts)
		return v
	}
	kind := statusKind(err)
	switch kind {
	case outcome.TwilioRateLimited:
		v.result, v.rateLimited, v.retry = RateLimited, true, always
		facts.Detail = err.Message
	case outcome.TwilioUnreachable:
		v.retry, v.health = always, unknownHealth
	case outcome.ParticipantNotFound:
		facts.Resource = update.Path.String()
		facts.Detail = err.Message
	case outcome.TwilioCredentialsRejected: // Twilio's message is about the service.
	default:
		facts.Detail = err.Message
	}
	v.err = kind.Err(facts)
	return v
}

// mayBeApplied reports whether an update that was answered with the status may have
// been applied: after a 5xx, whatever Twilio's code says; after the 4xx of proxies that
// had passed the request on (Envoy's 408, a load balancer's 460, nginx's 499); and after
// a 4xx that no standard defines.
func mayBeApplied(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusFailedDependency:
		return true
	default:
		return status > http.StatusUnavailableForLegalReasons
	}
}

// statusKind returns the row for a 4xx that refuses the update. Twilio's code says more
// than the HTTP status where it is known.
func statusKind(err *twilio.Error) outcome.Kind {
	switch err.Code {
	case 20404, 16022:
		return outcome.ParticipantNotFound
	case 16027, 16028, 16099:
		return outcome.ConflictingState
	}
	switch err.HTTPStatus {
	case http.StatusNotFound:
		return outcome.ParticipantNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return outcome.ConflictingState
	case http.StatusUnauthorized:
		return outcome.TwilioCredentialsRejected
	case http.StatusForbidden:
		return outcome.TwilioForbidden
	case http.StatusTooManyRequests:
		return outcome.TwilioRateLimited
	case http.StatusProxyAuthRequired, http.StatusMisdirectedRequest, http.StatusTooEarly:
		return outcome.TwilioUnreachable // A proxy did not pass the request on.
	default:
		return outcome.TwilioRejected
	}
}

// unknownOutcome returns the row for an update that may have been applied.
func unknownOutcome(update *Update) outcome.Kind {
	if update.Repeatable() {
		return outcome.OutcomeUnknown
	}
	return outcome.AnnouncementOutcomeUnknown
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// contextKind returns the row for the error of a context.
func contextKind(err error) outcome.Kind {
	if errors.Is(err, context.DeadlineExceeded) {
		return outcome.Deadline
	}
	return outcome.Cancelled
}

// contextError returns the outcome of an update whose context ended.
func contextError(err error, applied outcome.Applied) *outcome.Error {
	return contextKind(err).Err(outcome.Facts{Applied: applied, Cause: err})
}

// asOutcome returns the outcome that the error is, or that it means for an update of
// which nothing was sent.
func asOutcome(err error) *outcome.Error {
	if known, ok := errors.AsType[*outcome.Error](err); ok {
		return known
	}
	if isContext(err) {
		return contextError(err, outcome.No)
	}
	return outcome.From(err)
}

// errPanicked is the cause of the outcome of an update whose delivery panicked.
var errPanicked = errors.New("the delivery panicked")
