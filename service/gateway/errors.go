package gateway

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"

	"conferenced/service/outcome"
)

// violation is a rule that a request violates.
type violation = errdetails.BadRequest_FieldViolation

// maxViolations is the maximum number of violations reported for a request.
const maxViolations = 16

func broken(field, description string) *violation {
	return &violation{Field: field, Description: description}
}

// invalid returns the error of a request with violations. Its message states the
// first, for clients that do not read details.
func invalid(violations []*violation) *outcome.Error {
	violations = violations[:min(len(violations), maxViolations)]
	return outcome.InvalidRequest.Err(outcome.Facts{
		Detail:     ruleText(violations[0].GetField(), violations[0].GetDescription()),
		Violations: violations,
	})
}

func ruleText(field, description string) string {
	return strings.TrimSpace(field + " " + description)
}

// refuse answers a request that the gateway refuses, in the format of the API that
// its path belongs to.
func refuse(w http.ResponseWriter, r *http.Request, refusal *outcome.Error) {
	if watched, ok := w.(*watchedWriter); ok {
		watched.refused(refusal.Reason)
	}
	if isTwilio(r) {
		answerTwilioError(w, r, refusal, true)
		return
	}
	answerError(w, refusal)
}

// refuseMethod answers a request whose method the path does not support.
func refuseMethod(w http.ResponseWriter, r *http.Request, allowed ...string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	refuse(w, r, outcome.MethodNotAllowed.Err(outcome.Facts{Detail: scopeOf(r)}))
}

// answerCallError is grpc-gateway's error handler. It answers with the error of a call.
func answerCallError(
	ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error,
) {
	if md, ok := runtime.ServerMetadataFromContext(ctx); ok {
		setTwilioRequestID(w, md.HeaderMD)
	}
	answerError(w, outcome.From(err))
}

// answerError answers with google.rpc.Status as JSON.
func answerError(w http.ResponseWriter, failed *outcome.Error) {
	// All types of details are linked in, so encoding cannot fail.
	body, _ := protojson.MarshalOptions{UseProtoNames: true}.Marshal(failed.GRPCStatus().Proto())
	if failed.HTTP == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	setRetryAfter(w, failed.RetryDelay())
	writeJSON(w, failed.HTTP, append(body, '\n'))
}

func setRetryAfter(w http.ResponseWriter, delay time.Duration) {
	if delay > 0 { // Rounded up, because a client that retries too early is refused again.
		w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(delay.Seconds())), 10))
	}
}

func writeJSON(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // The client may have disconnected.
}
