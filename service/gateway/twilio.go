package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/sids"
	"conferenced/service/twilio"
)

const (
	// twilioRoot is the prefix of every path of Twilio's API.
	twilioRoot = "/2010-04-01/"
	// The paths that are served. twilioEnding follows a name at the end.
	twilioConferences  = twilioRoot + "Accounts/{account_sid}/Conferences"
	twilioParticipants = twilioConferences + "/{conference_sid}/Participants"
	twilioEnding       = ".json"

	// twilioScope states which parts of Twilio's API are served.
	twilioScope = "of Twilio's API, this service fetches, lists, updates and removes participants of conferences, " +
		"and fetches and lists conferences; it creates no participants and does not update conferences"
)

// handleTwilio adds the Twilio-shaped routes.
func (a *api) handleTwilio() error {
	const participant, conference = twilioParticipants + "/{call_sid}", twilioConferences + "/{conference_sid}"
	for _, route := range []struct {
		method, path string
		handler      runtime.HandlerFunc
	}{
		{http.MethodGet, participant, withName("call_sid", a.fetchParticipant)},
		{http.MethodPost, participant, withName("call_sid", a.updateFromForm)},
		{http.MethodDelete, participant, withName("call_sid", a.removeParticipant)},
		{http.MethodGet, twilioParticipants + twilioEnding, a.readFor(twilio.ListParticipants)},
		{http.MethodGet, conference, withName("conference_sid", a.readFor(twilio.FetchConference))},
		{http.MethodGet, twilioConferences + twilioEnding, a.readFor(twilio.ListConferences)},
		{http.MethodGet, twilioParticipants, refuseEnding},
		{http.MethodGet, twilioConferences, refuseEnding},
	} {
		if err := a.HandlePath(route.method, route.path, route.handler); err != nil {
			return err
		}
	}
	return nil
}

// withName returns a handler that removes the ending of the path's last name.
func withName(field string, next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		name, isJSON := strings.CutSuffix(path[field], twilioEnding)
		if !isJSON {
			refuseEnding(w, r, nil)
			return
		}
		if name == "" {
			bodyOf(r.Context()).refuseInvalid([]*violation{broken(field, "is empty in the path")})
		}
		path[field] = name
		next(w, r, path)
	}
}

// refuseEnding refuses a path that lacks twilioEnding.
func refuseEnding(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	refuse(w, r, outcome.RouteNotFound.Err(outcome.Facts{
		Detail: "the path must end in .json, because answers are JSON",
	}))
}

// isTwilio reports whether a request is for Twilio's API. Its answer is then in Twilio's
// format.
func isTwilio(r *http.Request) bool { return strings.HasPrefix(r.URL.EscapedPath(), twilioRoot) }

// scopeOf returns twilioScope if the request is for Twilio's API, otherwise "".
func scopeOf(r *http.Request) string {
	if !isTwilio(r) {
		return ""
	}
	return twilioScope
}

// updateFromForm serves Twilio's update of a participant.
func (a *api) updateFromForm(w http.ResponseWriter, r *http.Request, path map[string]string) {
	body := bodyOf(r.Context())
	request, ignored, violations := decodeForm(body.readForm(r.Header.Get("Content-Type")))
	body.refuseInvalid(append(violations, adoptIdempotencyKey(request, body.idempotencyKeys)...))
	request.AccountSid, request.ConferenceSid, request.CallSid = path["account_sid"], path["conference_sid"], path["call_sid"]
	c := call.From(r.Context())
	c.IgnoredFields, c.IgnoredNames = ignored.count, ignored.names

	response, err := inTwilioCall(w, r, request, a.service.UpdateParticipant)
	if err != nil {
		answerTwilioError(w, r, outcome.From(err), request.AnnounceUrl != nil)
		return
	}
	answerTwilio(w, r, http.StatusOK, participantJSON(response.GetParticipant()))
}

// inTwilioCall calls the method, and sets the answer's Twilio-Request-Id.
func inTwilioCall[Request, Response any](
	w http.ResponseWriter, r *http.Request, request *Request,
	method func(context.Context, *Request) (*Response, error),
) (*Response, error) {
	var stream runtime.ServerTransportStream
	response, err := method(grpc.NewContextWithServerTransportStream(r.Context(), &stream), request)
	setTwilioRequestID(w, stream.Header())
	return response, err
}

// fetchParticipant serves Twilio's fetch of a participant.
func (a *api) fetchParticipant(w http.ResponseWriter, r *http.Request, path map[string]string) {
	response, err := inTwilioCall(w, r, &conferencev1.GetParticipantRequest{
		AccountSid: path["account_sid"], ConferenceSid: path["conference_sid"], CallSid: path["call_sid"],
	}, a.service.GetParticipant)
	if err != nil {
		answerTwilioError(w, r, outcome.From(err), false)
		return
	}
	answerTwilio(w, r, http.StatusOK, participantJSON(response.GetParticipant()))
}

// removeParticipant serves Twilio's removal of a participant.
func (a *api) removeParticipant(w http.ResponseWriter, r *http.Request, path map[string]string) {
	request := &conferencev1.RemoveParticipantRequest{
		AccountSid: path["account_sid"], ConferenceSid: path["conference_sid"], CallSid: path["call_sid"],
	}
	body := bodyOf(r.Context())
	body.refuseInvalid(adoptIdempotencyKey(request, body.idempotencyKeys))
	if _, err := inTwilioCall(w, r, request, a.service.RemoveParticipant); err != nil {
		// Repeated by label, it could remove another participant.
		answerTwilioError(w, r, outcome.From(err), !sids.IsCall(request.GetCallSid()))
		return
	}
	setTwilioHeaders(w, r)
	w.WriteHeader(http.StatusNoContent)
}

// listKeys are the keys of the queries of Twilio's lists that are passed on.
var listKeys = map[twilio.Operation][]string{
	twilio.ListParticipants: {"Muted", "Hold", "Coaching", "PageSize", "Page", "PageToken"},
	twilio.ListConferences: {
		"FriendlyName", "Status", "DateCreated", "DateCreated<", "DateCreated>",
		"DateUpdated", "DateUpdated<", "DateUpdated>", "PageSize", "Page", "PageToken",
	},
}

// readFor returns the handler of a read that is passed on as Twilio answers it. The
// first of several values of a key is used, and unknown keys are ignored.
func (a *api) readFor(operation twilio.Operation) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		request := &twilio.Request{
			Operation: operation,
			Path:      twilio.Path{AccountSID: path["account_sid"], ConferenceSID: path["conference_sid"]},
		}
		query, ignored, violations := decodeQuery(r.URL.RawQuery, listKeys[operation])
		bodyOf(r.Context()).refuseInvalid(violations)
		request.Query = query
		c := call.From(r.Context())
		c.IgnoredFields, c.IgnoredNames = ignored.count, ignored.names
		answer, err := inTwilioCall(w, r, request, a.service.ReadTwilio)
		if err != nil {
			answerTwilioError(w, r, outcome.From(err), false)
			return
		}
		answerTwilio(w, r, http.StatusOK, answerJSON(operation, answer))
	}
}

// setTwilioHeaders sets the Access-Control headers that Twilio sends, unless the request
// is of a web page: its headers are those of Config.CORSOrigins.
func setTwilioHeaders(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") == "" {
		maps.Copy(w.Header(), twilioHeaders)
	}
}

// twilioHeaders are the headers that Twilio sends with each answer.
var twilioHeaders = http.Header{
	"Access-Control-Allow-Origin":  {"*"},
	"Access-Control-Allow-Methods": {"GET, POST, DELETE, OPTIONS"},
	"Access-Control-Allow-Headers": {"Accept, Authorization, Content-Type, If-Match, " +
		"If-Modified-Since, If-None-Match, If-Unmodified-Since, Idempotency-Key"},
	"Access-Control-Allow-Credentials": {"true"},
	"Access-Control-Expose-Headers":    {"ETag"},
}

// answerTwilio answers with a resource or an error in Twilio's format.
func answerTwilio(w http.ResponseWriter, r *http.Request, code int, body any) {
	setTwilioHeaders(w, r)
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // All bodies are of types that can be encoded.
	writeJSON(w, code, text.Bytes())
}

// twilioError is an error in Twilio's format.
type twilioError struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

// answerTwilioError answers with an error in Twilio's format. That has no member like
// REST's `applied`, and SDKs take a 4xx, in particular 20429, to mean that nothing was
// changed. If the update may have been applied, the answer is therefore
//   - 424 for an announcement and for an update that a newer one replaced: Twilio's SDK
//     for Java repeats a 5xx by itself, and no SDK repeats a 424;
//   - otherwise a 5xx, since repeating the update does no harm.
func answerTwilioError(w http.ResponseWriter, r *http.Request, failed *outcome.Error, announces bool) {
	answer := twilioError{
		Code: failed.TwilioCode, Message: twilioMessage(failed), Status: failed.HTTP,
	}
	// Twilio's answer about this service's credentials is not about the caller's.
	if failed.Twilio != nil && failed.Kind != outcome.TwilioCredentialsRejected {
		answer.Code = cmp.Or(failed.Twilio.Code, answer.Code)
		answer.MoreInfo = failed.Twilio.MoreInfo
	}
	delay := failed.RetryDelay()
	if failed.Applied != outcome.No {
		if failed.HTTP < http.StatusInternalServerError {
			answer = twilioError{
				Code: outcome.OutcomeUnknown.TwilioCode, Status: outcome.OutcomeUnknown.HTTP,
				Message: "it may have been applied: " + answer.Message,
			}
		}
		if announces || failed.Kind == outcome.Superseded {
			answer.Status, delay = http.StatusFailedDependency, 0
		}
	}
	answer.MoreInfo = cmp.Or(answer.MoreInfo, fmt.Sprintf("https://www.twilio.com/docs/errors/%d", answer.Code))
	if answer.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
	}
	setRetryAfter(w, delay)
	answerTwilio(w, r, answer.Status, answer)
}

// twilioMessage returns an error's message. Twilio's format has no details, so the
// message states every violation, with Twilio's names of the fields.
func twilioMessage(failed *outcome.Error) string {
	if len(failed.Violations) == 0 {
		return failed.Message()
	}
	rules := make([]string, len(failed.Violations))
	for i, v := range failed.Violations {
		coach := property.CallSIDToCoach // The only field that a rule of another one names.
		rules[i] = ruleText(twilioName(v.GetField()), strings.ReplaceAll(v.GetDescription(), coach.String(), coach.FormKey()))
	}
	return failed.Text + ": " + strings.Join(rules, "; ")
}
