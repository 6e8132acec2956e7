package sandbox

import (
	"encoding/xml"
	"fmt"
	"net/http"
)

// An apiError is an error as the API shows it.
type apiError struct {
	XMLName  xml.Name `json:"-" xml:"RestException"`
	Code     int      `json:"code,omitempty" xml:"Code,omitempty"`
	Message  string   `json:"message" xml:"Message"`
	MoreInfo string   `json:"more_info,omitempty" xml:"MoreInfo,omitempty"`
	Status   int      `json:"status" xml:"Status"`
}

// Twilio does not document the codes for bad requests, conflicts, large bodies,
// URLs and methods: 20001, 20409, 20413, 21205 and 21209 are choices. It does not
// document the HTTP status of the codes from 16020 to 16099 either: 400, and 404
// for 16022, are choices.
var (
	errAuthenticate     = newError(http.StatusUnauthorized, 20003, "Authenticate")
	errMethodNotAllowed = newError(http.StatusMethodNotAllowed, 20004, "Method not allowed")
	errBodyTooLarge     = newError(http.StatusRequestEntityTooLarge, 20413, "The request body is too large")
	errTooManyRequests  = newError(http.StatusTooManyRequests, 20429, "Too Many Requests")
	errConflict         = newError(http.StatusConflict, 20409, "Conflict")
	errInternal         = newError(http.StatusInternalServerError, 20500, "An internal server error has occurred")
	errUnavailable      = newError(http.StatusServiceUnavailable, 20503, "Service Unavailable")
	errCoachOnHold      = newError(http.StatusBadRequest, 16027, "Participant to be whispered is on hold")
	errCoachAbsent      = newError(http.StatusBadRequest, 16028, "Participant to be whispered is not present in the conference")
	errConferenceFull   = newError(http.StatusBadRequest, 16020, "Conference is full")
	errConferenceGone   = newError(http.StatusNotFound, 16022, "Conference does not exist or is completed")
	errLabelInvalid     = newError(http.StatusBadRequest, 16024, "Participant label invalid: max 128 chars, not a CallSid, no '/'")
	errLabelTaken       = newError(http.StatusBadRequest, 16026, "Participant label is in use by another participant")
	errNoTo             = newError(http.StatusBadRequest, 21201, "No 'To' number specified")
	errNoFrom           = newError(http.StatusBadRequest, 21213, "'From' phone number is required")
	errNoCoached        = badRequest("CallSidToCoach is required when Coaching is true")
	errPageToken        = badRequest("PageToken is not one of this list")
	errConferenceStatus = newError(http.StatusBadRequest, 16099, "Unexpected conference status")
)

// newError returns an error with a code, or without one if that is 0.
func newError(status, code int, message string) *apiError {
	e := &apiError{Code: code, Message: message, Status: status}
	if code != 0 {
		e.MoreInfo = fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code)
	}
	return e
}

func badRequest(message string) *apiError { return newError(http.StatusBadRequest, 20001, message) }

func invalidURL(field, problem string) *apiError {
	return newError(http.StatusBadRequest, 21205, field+" "+problem)
}

func invalidMethod(field string) *apiError {
	return newError(http.StatusBadRequest, 21209, field+" is not a valid method: GET or POST")
}

func notFound(t target) *apiError {
	return newError(http.StatusNotFound, 20404, "The requested resource "+t.path+" was not found")
}

func (e *apiError) answer() answer { return answer{status: e.Status, body: e} }
