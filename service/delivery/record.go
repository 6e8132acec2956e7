package delivery

import (
	"net/http"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// recordOf returns what is kept under a request id of how its update ended, or
// nil. It keeps what was or may have been applied, so that it is not applied again;
// what Twilio rejected for what it asks; and what was superseded, which must not be
// sent after the newer update. A refusal that may pass is not kept: the same id then
// makes a real retry.
func recordOf(content Content, answer *twilio.Answer, err *outcome.Error) *Record {
	if err == nil {
		return &Record{Content: content, Answer: answer}
	}
	switch {
	case err.Applied == outcome.No && err.Kind != outcome.Superseded && !isRejected(err):
		return nil
	case err.Kind == outcome.Deadline, err.Kind == outcome.Cancelled, err.Kind == outcome.Internal:
		// That is about the first call, not about the update.
		return &Record{Content: content}
	default:
		return &Record{Content: content, Err: err}
	}
}

// isRejected reports whether Twilio rejected the update for what it asks, so that
// repeating it is of no use.
func isRejected(err *outcome.Error) bool {
	if err.Kind != outcome.TwilioRejected || err.Twilio == nil {
		return false
	}
	switch err.Twilio.HTTPStatus {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	default:
		return false
	}
}

// result returns the record of the update as Deliver does.
func (r *Record) result(update *Update) (*twilio.Answer, error) {
	switch {
	case r.Answer != nil:
		return r.Answer, nil
	case r.Err != nil:
		return nil, r.Err
	default:
		return nil, unknownOutcome(update).Err(outcome.Facts{Applied: outcome.Maybe})
	}
}
