package gateway

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/grpc/status"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// twilioError is an error in Twilio's form.
type twilioError struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

// twilioCodes are Twilio's codes for what Twilio was not asked about or gave no
// code for, by reason: 20001 is its bad request, 20003 its "Authenticate", 20404
// not found, 20429 what is never processed and always safe to retry.
var twilioCodes = map[string]int{
	outcome.InvalidRequest.Reason:            20001,
	outcome.NothingToUpdate.Reason:           20001,
	outcome.RequestIDReused.Reason:           20001,
	outcome.CallerUnknown.Reason:             20003,
	outcome.NotAllowed.Reason:                20403,
	outcome.AccountNotConfigured.Reason:      20001,
	outcome.TwilioRejected.Reason:            20001,
	outcome.ParticipantNotFound.Reason:       20404,
	outcome.ConflictingState.Reason:          20409,
	outcome.TwilioCredentialsRejected.Reason: 20500,
	outcome.TwilioForbidden.Reason:           20403,
	outcome.TwilioRateLimited.Reason:         20429,
	outcome.Overloaded.Reason:                20429,
	outcome.TwilioUnreachable.Reason:         20503,
	outcome.CircuitOpen.Reason:               20503,
	outcome.ShuttingDown.Reason:              20503,
	outcome.StateUnavailable.Reason:          20503,
	outcome.OutcomeUnknown.Reason:            20500,
	outcome.TwilioUnexpectedAnswer.Reason:    20500,
	outcome.Superseded.Reason:                20409,
	outcome.Deadline.Reason:                  20504,
	outcome.Cancelled.Reason:                 20504,
	outcome.AuditFailed.Reason:               20500,
	outcome.Internal.Reason:                  20500,
	outcome.RouteNotFound.Reason:             20404,
	outcome.MethodNotAllowed.Reason:          20004,
	outcome.RequestTooLarge.Reason:           20413,
}

// refuse answers with an error in the form of the API that the path belongs to.
// It is for what went wrong before or around a call.
func refuse(w http.ResponseWriter, r *http.Request, st *status.Status) {
	if isTwilio(r) {
		noteRefusal(w, st)
		writeTwilioError(w, r, st, true)
		return
	}
	writeStatus(w, st)
}

// writeTwilioError answers with an error as Twilio would. The HTTP status is that
// of the outcome, except where an announcement may have been played: Twilio's SDK
// for Java sends again by itself what is answered by a 5xx, and the one for Node,
// if told to, what is answered by a 429. So it is 424 then, which none repeats.
func writeTwilioError(w http.ResponseWriter, r *http.Request, st *status.Status, announces bool) {
	code := outcome.HTTPStatus(st)
	delay := outcome.RetryAfter(st)
	if announces && outcome.Info(st).GetMetadata()[outcome.KeyApplied] != delivery.No.String() {
		code, delay = http.StatusFailedDependency, 0
	}
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
	}
	if delay > 0 {
		w.Header().Set("Retry-After", wholeSeconds(delay))
	}
	writeTwilio(w, r, code, errorJSON(st, code))
}

func errorJSON(st *status.Status, httpStatus int) *twilioError {
	said := saidByTwilio(st)
	code, err := strconv.Atoi(said[outcome.KeyTwilioCode])
	if err != nil {
		code = cmp.Or(twilioCodes[outcome.Info(st).GetReason()], twilioCodes[outcome.Internal.Reason])
	}
	return &twilioError{
		Code:     code,
		Message:  messageFor(st),
		MoreInfo: cmp.Or(said[outcome.KeyMoreInfo], fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code)),
		Status:   httpStatus,
	}
}

// saidByTwilio is what is known of Twilio's answer. What Twilio said of the
// service's own credentials is left out: callers would take it for theirs.
func saidByTwilio(st *status.Status) map[string]string {
	info := outcome.Info(st)
	if info.GetReason() == outcome.TwilioCredentialsRejected.Reason {
		return nil
	}
	return info.GetMetadata()
}

var compoundName = regexp.MustCompile(`[a-z]+(_[a-z]+)+`)

// messageFor is the status's message, with the fields under Twilio's names. Texts
// of Twilio's own are left alone.
func messageFor(st *status.Status) string {
	if outcome.Info(st).GetMetadata()[outcome.KeyTwilioStatus] != "" {
		return st.Message()
	}
	return compoundName.ReplaceAllStringFunc(st.Message(), twilioName)
}

// twilioName is Twilio's name for a field of the API. Other words are returned
// as they are.
func twilioName(word string) string {
	fields := new(conferencev1.UpdateParticipantRequest).ProtoReflect().Descriptor().Fields()
	switch {
	case word == "request_id":
		return idempotencyKeyHeader
	case fields.ByJSONName(word) == nil:
		return word
	}
	var name strings.Builder
	for part := range strings.SplitSeq(word, "_") {
		name.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return name.String()
}
