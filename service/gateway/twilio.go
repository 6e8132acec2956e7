package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"conferenced/service/call"
	"conferenced/service/outcome"
)

const (
	// twilioRoot is the prefix of every path of Twilio's API.
	twilioRoot = "/2010-04-01/"
	// twilioPath is the path that is served. twilioEnding follows the participant.
	twilioPath   = twilioRoot + "Accounts/{account_sid}/Conferences/{conference_sid}/Participants/{call_sid}"
	twilioEnding = ".json"
)

// isTwilio reports whether a request is for Twilio's API, and so gets an answer in
// Twilio's format.
func isTwilio(r *http.Request) bool { return strings.HasPrefix(r.URL.EscapedPath(), twilioRoot) }

// twilioDetail returns the detail if the request is for Twilio's API.
func twilioDetail(r *http.Request, detail string) string {
	if !isTwilio(r) {
		return ""
	}
	return detail
}

// updateFromForm serves Twilio's update of a participant.
func (a *api) updateFromForm(w http.ResponseWriter, r *http.Request, path map[string]string) {
	participant, isJSON := strings.CutSuffix(path["call_sid"], twilioEnding)
	if !isJSON {
		refuse(w, r, outcome.RouteNotFound.Err(outcome.Facts{
			Detail: "the path must end in .json, because answers are JSON",
		}))
		return
	}
	body, _ := r.Body.(*requestBody)
	form, refusal := body.readForm(r.Header.Get("Content-Type"))
	if refusal != nil {
		refuse(w, r, refusal)
		return
	}
	request, ignored, violations := decodeForm(form)
	if participant == "" {
		violations = append(violations, broken("call_sid", "is empty in the path"))
	}
	violations = append(violations, adoptIdempotencyKey(request, body.idempotencyKeys)...)
	if len(violations) > 0 {
		refuse(w, r, invalid(violations))
		return
	}
	request.AccountSid, request.ConferenceSid, request.CallSid = path["account_sid"], path["conference_sid"], participant
	c := call.From(r.Context())
	c.IgnoredFields, c.IgnoredNames = ignored.count, ignored.names

	var stream runtime.ServerTransportStream
	response, err := a.service.UpdateParticipant(grpc.NewContextWithServerTransportStream(r.Context(), &stream), request)
	setTwilioRequestID(w, stream.Header())
	if err != nil {
		answerTwilioError(w, r, outcome.From(err), request.AnnounceUrl != nil)
		return
	}
	answerTwilio(w, r, http.StatusOK, participantJSON(response.GetParticipant()))
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

// answerTwilio answers with a resource or an error in Twilio's format. Web pages get
// the Access-Control headers of the configured origins, other clients those of
// Twilio.
func answerTwilio(w http.ResponseWriter, r *http.Request, code int, body any) {
	if r.Header.Get("Origin") == "" {
		maps.Copy(w.Header(), twilioHeaders)
	}
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

// answerTwilioError answers with an error in Twilio's form, in which the HTTP status
// and the code say what REST says with `applied`: SDKs take a 4xx, and 20429 above
// all, to mean that nothing was changed. If the update may have been applied, the
// answer is therefore
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
				Message: "the update may have been applied: " + answer.Message,
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
		rules[i] = ruleText(twilioName(v.GetField()), v.GetDescription())
	}
	return failed.Text + ": " + strings.Join(rules, "; ")
}
