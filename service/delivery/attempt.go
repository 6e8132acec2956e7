package delivery

import (
	"errors"
	"net/http"

	"conferenced/service/twilio"
)

// appliedBy says whether an attempt that ended with the error, or with none,
// changed the conference. Twilio refuses with a 4xx before it does anything; after a 5xx, or
// when the answer was lost, only Twilio knows; a 2xx was applied, readable or
// not.
func appliedBy(err error) Applied {
	if err == nil {
		return Yes
	}
	var (
		answered   *twilio.Error
		unreadable *twilio.AnswerError
		transport  *twilio.TransportError
		malformed  *twilio.RequestError
		refused    *RefusedError
	)
	switch {
	case errors.As(err, &answered) && answered.HTTPStatus < http.StatusInternalServerError:
		return No
	case errors.As(err, &unreadable) && unreadable.HTTPStatus/100 == 2:
		return Yes
	case errors.As(err, &transport) && !transport.Sent:
		return No
	case errors.As(err, &malformed), errors.As(err, &refused):
		return No
	default:
		return Maybe
	}
}
