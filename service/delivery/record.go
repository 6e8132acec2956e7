package delivery

import (
	"errors"
	"net/http"

	"conferenced/service/twilio"
)

// recordOf is how an update ended, as it is kept for its request id; nil if it
// is not kept. Kept is what was or may have been applied, so that it is not
// applied again, what Twilio rejected for what it is, and what a newer update took
// the place of, which must not come after that one now. A refusal that may end by
// itself is not kept: asking again with the same id is then a real retry.
func recordOf(content Content, answer *twilio.Answer, err error) *Record {
	if err == nil {
		return &Record{Content: content, Applied: Yes, Answer: answer}
	}
	record := &Record{Content: content, Applied: AppliedOf(err)}
	refused, _ := errors.AsType[*RefusedError](err)
	switch {
	case errors.As(err, &record.Error):
	case errors.As(err, &record.Unexpected):
	case refused != nil && refused.Reason == Superseded:
		record.Superseded = true
		return record
	default:
		record.Lost = true
	}
	if record.Applied == No && !isRejected(record.Error) {
		return nil
	}
	return record
}

// isRejected says whether Twilio rejected the update for what it asks, so that
// asking again changes nothing.
func isRejected(err *twilio.Error) bool {
	if err == nil {
		return false
	}
	switch err.Code {
	case 20404, 16022, 16027, 16028, 16099: // The state of a conference, which changes.
		return false
	}
	switch err.HTTPStatus {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	default:
		return false
	}
}

// result is the record as Deliver returns it.
func (r *Record) result() (*twilio.Answer, error) {
	var err error
	switch {
	case r.Answer != nil:
		return r.Answer, nil
	case r.Error != nil:
		err = r.Error
	case r.Unexpected != nil:
		err = r.Unexpected
	case r.Superseded:
		err = &RefusedError{Reason: Superseded}
	default:
		err = &twilio.TransportError{Sent: true, Err: errLost}
	}
	return nil, &Error{Applied: r.Applied, Err: err}
}

// errLost is the cause where only that there was one is remembered.
var errLost = errors.New("the answer was lost")
