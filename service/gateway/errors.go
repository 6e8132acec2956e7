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
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// violation is a rule that a request breaks.
type violation = errdetails.BadRequest_FieldViolation

// maxViolations is how many violations are reported of one request.
const maxViolations = 16

func broken(field, description string) *violation {
	return &violation{Field: field, Description: description}
}

// invalid is the refusal of a request that breaks rules. Its message has the
// first of them, for those who read no details.
func invalid(violations []*violation) *status.Status {
	violations = violations[:min(len(violations), maxViolations)]
	first := violations[0]
	return outcome.InvalidRequest.Status(outcome.Facts{
		Detail:     strings.TrimSpace(first.GetField() + " " + first.GetDescription()),
		Violations: violations,
	})
}

// refuseMethod answers a method that the path does not have.
func refuseMethod(w http.ResponseWriter, allowed ...string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeStatus(w, outcome.MethodNotAllowed.Status(outcome.Facts{}))
}

// writeError answers with the error of a call; it is grpc-gateway's error
// handler.
func writeError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	if md, ok := runtime.ServerMetadataFromContext(ctx); ok {
		for _, id := range md.HeaderMD.Get(twilioRequestID) {
			w.Header().Set(twilioRequestID, id)
		}
	}
	answerStatus(w, statusOf(ctx, err))
}

// writeRoutingError is grpc-gateway's routing error handler. It has no work as
// long as the annotations and the generated code agree.
func writeRoutingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, _ int) {
	writeStatus(w, outcome.RouteNotFound.Status(outcome.Facts{}))
}

// statusOf is the status of a call's error. A call that returns because its
// context is dead may be at work still, so of a status that the service did not
// make itself it is not known whether the update was applied.
func statusOf(ctx context.Context, err error) *status.Status {
	st, ok := status.FromError(err)
	if !ok {
		st = status.FromContextError(err)
	}
	if !ok && ctx.Err() != nil {
		st = status.FromContextError(ctx.Err())
	}
	return outcome.Complete(st, delivery.Maybe)
}

// writeStatus answers with a refusal of the gateway's own.
func writeStatus(w http.ResponseWriter, st *status.Status) {
	noteRefusal(w, st)
	answerStatus(w, st)
}

// noteRefusal tells who counts refusals of this one.
func noteRefusal(w http.ResponseWriter, st *status.Status) {
	if watched, ok := w.(*watchedWriter); ok {
		watched.refused(outcome.Info(st).GetReason())
	}
}

// answerStatus answers with an error: google.rpc.Status as JSON.
func answerStatus(w http.ResponseWriter, st *status.Status) {
	format := protojson.MarshalOptions{UseProtoNames: true}
	body, err := format.Marshal(st.Proto())
	if err != nil { // A detail of a type that this program does not know.
		st = outcome.Internal.Status(outcome.Facts{Applied: delivery.Maybe})
		body, _ = format.Marshal(st.Proto())
	}
	body = append(body, '\n')
	code := outcome.HTTPStatus(st)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if code == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	if delay := outcome.RetryAfter(st); delay > 0 {
		header.Set("Retry-After", wholeSeconds(delay))
	}
	w.WriteHeader(code)
	_, _ = w.Write(body) // A client that is gone cannot be told.
}

// wholeSeconds rounds up: who comes back early is refused again.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}
