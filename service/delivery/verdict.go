package delivery

import (
	"context"
	"errors"
	"net/http"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// verdict is the interpretation of an attempt's result. Errors of package twilio are
// interpreted nowhere else.
type verdict struct {
	// err is the outcome of the request if no attempt follows. nil means that Twilio
	// did what was asked.
	err *outcome.Error
	// result is the result for metrics and traces.
	result Result
	// retry states when another attempt may be made.
	retry retry
	// health is reported to the breaker.
	health health
	// refused is set if this package decided not to send the attempt.
	refused bool
	// rateLimited is set if Twilio answered with a 429.
	rateLimited bool
	// answered is set if Twilio answered, so that the attempt's duration is a latency of
	// Twilio.
	answered bool
	// retryAfter is the wait that Twilio asks for, or 0.
	retryAfter time.Duration
}

// retry states when another attempt may be made.
type retry int

const (
	// never: a retry would have the same result, or the result is final.
	never retry = iota
	// ifRepeatable: the attempt may have been applied.
	ifRepeatable
	// always: the attempt was not processed.
	always
)

// applied returns whether the attempt changed the conference.
func (v *verdict) applied() outcome.Applied {
	if v.err == nil {
		return outcome.Yes
	}
	return v.err.Applied
}

// end returns the attempt's end for the participant's queue.
func (v *verdict) end(update *Update, answer *twilio.Answer, again bool) End {
	end := End{Applied: v.applied(), Again: again}
	switch {
	case v.err != nil:
		end.NotFound = v.err.Kind == outcome.ParticipantNotFound
		return end
	case update.removes():
		end.Removed = true
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

// health is what an attempt shows about Twilio.
type health int

const (
	// unknownHealth: the attempt ended for a reason on this side or the caller's.
	unknownHealth health = iota
	healthy
	// unhealthy: no connection, a 5xx, or no answer.
	unhealthy
)

// judge returns the verdict on an attempt of the request that ended with err.
func judge(err error, request *twilio.Request) verdict {
	if err == nil {
		return verdict{result: Succeeded, health: healthy, answered: true}
	}
	v := judgeFailure(err, request)
	if request.Read() {
		v.err.Applied = outcome.No
	}
	return v
}

func judgeFailure(err error, request *twilio.Request) verdict {
	var (
		refused   *outcome.Error
		answered  *twilio.Error
		unusable  *twilio.AnswerError
		transport *twilio.TransportError
		malformed *twilio.RequestError
	)
	switch {
	case errors.As(err, &refused): // From the permit function.
		return verdict{err: refused, result: NotSent, refused: true}
	case errors.As(err, &answered):
		return judgeStatus(answered, request)
	case errors.As(err, &unusable):
		return judgeAnswer(unusable, request)
	case errors.As(err, &transport):
		return judgeTransport(transport, request)
	case errors.As(err, &malformed):
		return verdict{err: outcome.Internal.Err(outcome.Facts{Cause: err}), result: Defective}
	default:
		return verdict{err: outcome.Internal.Err(outcome.Facts{Applied: outcome.Maybe, Cause: err}), result: Defective}
	}
}

// judgeAnswer judges a 2xx that cannot be read or answers another request, and a 3xx.
func judgeAnswer(err *twilio.AnswerError, request *twilio.Request) verdict {
	applied := outcome.Maybe
	if err.HTTPStatus/100 == 2 && !err.Foreign {
		applied = outcome.Yes
	}
	facts := outcome.Facts{
		Applied: applied, Cause: err,
		Twilio: &outcome.TwilioAnswer{HTTPStatus: err.HTTPStatus, RequestID: err.RequestID},
	}
	v := verdict{
		err: outcome.TwilioUnexpectedAnswer.Err(facts), result: Unexpected, health: healthy, answered: true,
	}
	if request.Read() && (err.Foreign || err.Interrupted) {
		v.retry = always
	}
	return v
}

// judgeTransport judges an attempt without an answer.
func judgeTransport(err *twilio.TransportError, request *twilio.Request) verdict {
	facts := outcome.Facts{Applied: outcome.Maybe, Cause: err}
	if !err.Sent {
		facts.Applied = outcome.No
	}
	switch {
	case isContext(err):
		return verdict{err: contextKind(err).Err(facts), result: CutOff, retry: ifRepeatable}
	case err.Sent:
		return verdict{err: unknownOutcome(request).Err(facts), result: Lost, retry: ifRepeatable, health: unhealthy}
	default:
		return verdict{err: outcome.TwilioUnreachable.Err(facts), result: NotSent, retry: always, health: unhealthy}
	}
}

// judgeStatus judges a 4xx or 5xx, from Twilio or from a proxy in front of it.
func judgeStatus(err *twilio.Error, request *twilio.Request) verdict {
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
		v.err = unknownOutcome(request).Err(facts)
		return v
	}
	kind := statusKind(err, request)
	switch kind {
	case outcome.TwilioRateLimited:
		v.result, v.rateLimited, v.retry = RateLimited, true, always
		facts.Detail = err.Message
	case outcome.TwilioUnreachable:
		v.retry, v.health = always, unknownHealth
	case outcome.ParticipantNotFound, outcome.ConferenceNotFound:
		facts.Resource = request.Path.String()
		facts.Detail = err.Message
	case outcome.TwilioCredentialsRejected: // Twilio's message is about this service's credentials, not about the caller.
	default:
		facts.Detail = err.Message
	}
	v.err = kind.Err(facts)
	return v
}

// mayBeApplied reports whether a change that was answered with the status may have
// been applied: after a 5xx, whatever Twilio's code is; after a 4xx that proxies send
// for a request they had forwarded (Envoy's 408, a load balancer's 460, nginx's 499);
// and after a 4xx that no standard defines.
func mayBeApplied(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusFailedDependency:
		return true
	default:
		return status >= http.StatusInternalServerError || http.StatusText(status) == ""
	}
}

// statusKind returns the outcome for a 4xx that refuses the request. A known Twilio
// code is more specific than the HTTP status, so it takes precedence.
func statusKind(err *twilio.Error, request *twilio.Request) outcome.Kind {
	switch err.Code {
	case 20404, 16022:
		return notFound(request)
	case 16027, 16028, 16099:
		return outcome.ConflictingState
	}
	switch err.HTTPStatus {
	case http.StatusNotFound:
		return notFound(request)
	case http.StatusConflict, http.StatusPreconditionFailed:
		return outcome.ConflictingState
	case http.StatusUnauthorized:
		return outcome.TwilioCredentialsRejected
	case http.StatusForbidden:
		return outcome.TwilioForbidden
	case http.StatusTooManyRequests:
		return outcome.TwilioRateLimited
	case http.StatusProxyAuthRequired, http.StatusMisdirectedRequest, http.StatusTooEarly:
		return outcome.TwilioUnreachable // A proxy did not forward the request.
	default:
		return outcome.TwilioRejected
	}
}

// notFound returns the outcome for a request whose resource Twilio does not find.
func notFound(request *twilio.Request) outcome.Kind {
	if request.Path.Participant == "" {
		return outcome.ConferenceNotFound
	}
	return outcome.ParticipantNotFound
}

// unknownOutcome returns the outcome for a request that may have been applied.
func unknownOutcome(request *twilio.Request) outcome.Kind {
	switch {
	case request.Read():
		return outcome.TwilioFailed
	case request.Repeatable():
		return outcome.OutcomeUnknown
	default:
		return outcome.UnrepeatableOutcomeUnknown
	}
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// contextKind returns the outcome for a context's error.
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

// asOutcome returns err if it is an outcome. Otherwise it returns the outcome of an
// update that was not sent because of err.
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
