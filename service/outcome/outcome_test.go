package outcome

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"conferenced/service/delivery"
	"conferenced/service/twilio"
)

var (
	path = twilio.ParticipantPath{
		AccountSID:    "AC00000000000000000000000000000001",
		ConferenceSID: "CF00000000000000000000000000000001",
		Participant:   "CA00000000000000000000000000000001",
	}
	muting     = &delivery.Update{Path: path, Change: &twilio.ParticipantUpdate{Muted: proto.Bool(true)}}
	announcing = &delivery.Update{Path: path, Change: &twilio.ParticipantUpdate{AnnounceURL: proto.String("https://a.example/")}}
)

// TestOf has every row of the table that a delivery can end in.
func TestOf(t *testing.T) {
	answer := func(status, code int) *twilio.Error {
		return &twilio.Error{HTTPStatus: status, Code: code}
	}
	refused := func(reason delivery.Refusal) error { return &delivery.RefusedError{Reason: reason} }
	const second = time.Second
	tests := []struct {
		name    string
		err     error
		applied delivery.Applied
		update  *delivery.Update
		code    codes.Code
		http    int
		reason  string
		retry   time.Duration
	}{
		{"400", answer(400, 21205), delivery.No, muting, codes.InvalidArgument, 400, "TWILIO_REJECTED", 0},
		{"405", answer(405, 20004), delivery.No, muting, codes.InvalidArgument, 400, "TWILIO_REJECTED", 0},
		{"413", answer(413, 0), delivery.No, muting, codes.InvalidArgument, 400, "TWILIO_REJECTED", 0},
		{"422", answer(422, 0), delivery.No, muting, codes.InvalidArgument, 400, "TWILIO_REJECTED", 0},
		{"another 4xx", answer(418, 0), delivery.No, muting, codes.InvalidArgument, 400, "TWILIO_REJECTED", 0},
		{"404", answer(404, 0), delivery.No, muting, codes.NotFound, 404, "PARTICIPANT_NOT_FOUND", 0},
		{"20404", answer(400, 20404), delivery.No, muting, codes.NotFound, 404, "PARTICIPANT_NOT_FOUND", 0},
		{"16022", answer(400, 16022), delivery.No, muting, codes.NotFound, 404, "PARTICIPANT_NOT_FOUND", 0},
		{"409", answer(409, 0), delivery.No, muting, codes.FailedPrecondition, 400, "CONFLICTING_STATE", 0},
		{"412", answer(412, 0), delivery.No, muting, codes.FailedPrecondition, 400, "CONFLICTING_STATE", 0},
		{"16027", answer(400, 16027), delivery.No, muting, codes.FailedPrecondition, 400, "CONFLICTING_STATE", 0},
		{"16028", answer(400, 16028), delivery.No, muting, codes.FailedPrecondition, 400, "CONFLICTING_STATE", 0},
		{"16099", answer(400, 16099), delivery.No, muting, codes.FailedPrecondition, 400, "CONFLICTING_STATE", 0},
		{"401", answer(401, 20003), delivery.No, muting, codes.Internal, 500, "TWILIO_CREDENTIALS_REJECTED", 0},
		{"403", answer(403, 20403), delivery.No, muting, codes.PermissionDenied, 403, "TWILIO_FORBIDDEN", 0},
		{"429", answer(429, 20429), delivery.No, muting, codes.ResourceExhausted, 429, "TWILIO_RATE_LIMITED", second},
		{"overloaded", refused(delivery.Overloaded), delivery.No, muting, codes.ResourceExhausted, 429, "OVERLOADED", second},
		{"unreachable", &twilio.TransportError{Err: io.EOF}, delivery.No, muting, codes.Unavailable, 503, "TWILIO_UNREACHABLE", second},
		{"breaker open", refused(delivery.CircuitOpen), delivery.No, muting, codes.Unavailable, 503, "CIRCUIT_OPEN", second},
		{"state unavailable", refused(delivery.StateUnavailable), delivery.No, muting, codes.Unavailable, 503, "STATE_UNAVAILABLE", second},
		{"5xx, repeatable", answer(500, 20500), delivery.Maybe, muting, codes.Unavailable, 503, "OUTCOME_UNKNOWN", 0},
		{"5xx with the code of a refusal", answer(503, 20404), delivery.Maybe, muting, codes.Unavailable, 503, "OUTCOME_UNKNOWN", 0},
		{"5xx, announcing", answer(502, 0), delivery.Maybe, announcing, codes.Unknown, 500, "OUTCOME_UNKNOWN", 0},
		{"answer lost, repeatable", &twilio.TransportError{Sent: true, Err: io.EOF}, delivery.Maybe, muting, codes.Unavailable, 503, "OUTCOME_UNKNOWN", 0},
		{"answer lost, announcing", &twilio.TransportError{Sent: true, Err: io.EOF}, delivery.Maybe, announcing, codes.Unknown, 500, "OUTCOME_UNKNOWN", 0},
		{"2xx that cannot be read", &twilio.AnswerError{HTTPStatus: 200}, delivery.Yes, muting, codes.Internal, 500, "TWILIO_UNEXPECTED_ANSWER", 0},
		{"3xx", &twilio.AnswerError{HTTPStatus: 302}, delivery.Maybe, muting, codes.Internal, 500, "TWILIO_UNEXPECTED_ANSWER", 0},
		{"superseded", refused(delivery.Superseded), delivery.Maybe, muting, codes.Aborted, 409, "SUPERSEDED", 0},
		{"request_id reused", refused(delivery.RequestIDReused), delivery.No, muting, codes.InvalidArgument, 400, "REQUEST_ID_REUSED", 0},
		{"deadline before it was sent", context.DeadlineExceeded, delivery.No, muting, codes.DeadlineExceeded, 504, "DEADLINE", 0},
		{"deadline on the way", &twilio.TransportError{Sent: true, Err: context.DeadlineExceeded}, delivery.Maybe, announcing, codes.DeadlineExceeded, 504, "DEADLINE", 0},
		{"cancelled", &twilio.TransportError{Sent: true, Err: context.Canceled}, delivery.Maybe, muting, codes.Canceled, 499, "CANCELLED", 0},
		{"anything else", errors.New("secret"), delivery.No, muting, codes.Internal, 500, "INTERNAL", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			st := Of(&delivery.Error{Applied: test.applied, Err: test.err}, test.update)
			if st.Code() != test.code {
				t.Errorf("code: got %v, want %v", st.Code(), test.code)
			}
			if got := HTTPStatus(st); got != test.http {
				t.Errorf("HTTP status: got %d, want %d", got, test.http)
			}
			info := Info(st)
			if info.GetReason() != test.reason || info.GetDomain() != "conferenced" {
				t.Errorf("reason: got %s of %s, want %s", info.GetReason(), info.GetDomain(), test.reason)
			}
			if got := info.GetMetadata()["applied"]; got != test.applied.String() {
				t.Errorf("applied: got %q, want %q", got, test.applied)
			}
			if got := RetryAfter(st); got != test.retry {
				t.Errorf("retry after: got %v, want %v", got, test.retry)
			}
		})
	}
}

func TestDetailsOfATwilioRefusal(t *testing.T) {
	err := &delivery.Error{Err: &twilio.Error{
		HTTPStatus: 404, Code: 20404, Message: "The requested resource was not found",
		MoreInfo: "https://www.twilio.com/docs/errors/20404", RequestID: "RQ1",
	}}
	got := Of(err, muting).Details()
	want := []any{
		&errdetails.ErrorInfo{
			Reason: "PARTICIPANT_NOT_FOUND", Domain: "conferenced",
			Metadata: map[string]string{
				"applied": "no", "twilio_status": "404", "twilio_code": "20404",
				"twilio_request_id": "RQ1", "more_info": "https://www.twilio.com/docs/errors/20404",
			},
		},
		&errdetails.ResourceInfo{
			ResourceType: "twilio.com/conference_participant",
			ResourceName: path.String(),
			Description:  ParticipantNotFound.Text,
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
}

func TestRetryAfterOfTwilioIsPassedOn(t *testing.T) {
	err := &delivery.Error{Err: &twilio.Error{HTTPStatus: 429, RetryAfter: 7 * time.Second}}
	want := &errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)}
	details := Of(err, muting).Details()
	if diff := cmp.Diff(any(want), details[len(details)-1], protocmp.Transform()); diff != "" {
		t.Errorf("last detail (-want +got):\n%s", diff)
	}
}

func TestNoStatusHoldsACause(t *testing.T) {
	cause := errors.New("dial tcp: a cause")
	for _, err := range []error{
		&delivery.Error{Err: &twilio.TransportError{Err: cause}},
		&delivery.Error{Applied: delivery.Maybe, Err: &twilio.TransportError{Sent: true, Err: cause}},
		&delivery.Error{Applied: delivery.Yes, Err: &twilio.AnswerError{HTTPStatus: 200, Err: cause}},
		cause,
	} {
		if text := Of(err, muting).String(); strings.Contains(text, "cause") {
			t.Errorf("the status holds the cause: %s", text)
		}
	}
}

func TestTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range Table {
		key := kind.Reason + kind.Code.String()
		if seen[key] {
			t.Errorf("%s %v stands twice", kind.Reason, kind.Code)
		}
		seen[key] = true
		if kind.Text == "" || kind.HTTP == 0 || kind.Code == codes.OK {
			t.Errorf("%s: incomplete", kind.Reason)
		}
	}
}

func TestCompleteGivesAForeignStatusItsRow(t *testing.T) {
	foreign := status.New(codes.DeadlineExceeded, "context deadline exceeded: a chain")
	got := Complete(foreign, delivery.Maybe)
	if got.Message() != Deadline.Text || Info(got).GetMetadata()["applied"] != "maybe" {
		t.Errorf("got %v", got.Proto())
	}
	own := NotAllowed.Status(Facts{Detail: "muted"})
	if Complete(own, delivery.Maybe) != own {
		t.Error("a status of our own was changed")
	}
	if ok := status.New(codes.OK, ""); Complete(ok, delivery.No) != ok {
		t.Error("OK was changed")
	}
}
