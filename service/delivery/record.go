package delivery

import (
	"net/http"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// recordOf returns the record to keep for an update's request ID, or nil. Kept are
// updates that were or may have been applied, so that they are not applied again;
// updates that Twilio rejected for their content; and superseded updates, which must
// not be sent after the newer one. Other refusals are not kept: a call with the same
// request ID then sends the update.
func recordOf(content Content, answer *twilio.Answer, err *outcome.Error) *Record {
	if err == nil {
		return &Record{Content: content, Answer: answer}
	}
	switch {
	case err.Applied == outcome.No && err.Kind != outcome.Superseded && !isRejected(err):
		return nil
	case err.Kind == outcome.Deadline, err.Kind == outcome.Cancelled, err.Kind == outcome.Internal:
		// The error is about the first call, not about the update.
		return &Record{Content: content}
	default:
		return &Record{Content: content, Err: err}
	}
}

// isRejected reports whether Twilio rejected the update for its content, so that a
// retry cannot succeed.
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

// result returns the record as the result of Deliver for the update.
func (r *Record) result(update *Update) (*twilio.Answer, error) {
	switch {
	case r.Answer != nil:
		return r.Answer, nil
	case r.Err != nil:
		return nil, r.Err
	default:
		return nil, update.unknownOutcome().Err(outcome.Facts{Applied: outcome.Maybe})
	}
}
