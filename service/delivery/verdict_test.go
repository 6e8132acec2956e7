package delivery

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/twilio"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
)

// TestVerdicts has every result of an attempt.
func TestVerdicts(t *testing.T) {
	muting, announcing := &on("CA1", mute).Request, &on("CA1", announce).Request
	fetching, listing := fetch("CA1"), list("CF1")
	sent := func(err error) error { return &twilio.TransportError{Sent: true, Err: err} }
	unsent := func(err error) error { return &twilio.TransportError{Err: err} }
	tests := []struct {
		name    string
		err     error
		request *twilio.Request
		kind    outcome.Kind
		applied outcome.Applied
		retry   retry
		health  health
		result  Result
	}{
		{"400", coded(400, 21205), muting, outcome.TwilioRejected, outcome.No, never, healthy, Rejected},
		{"405", coded(405, 20004), muting, outcome.TwilioRejected, outcome.No, never, healthy, Rejected},
		{"413", status(413), muting, outcome.TwilioRejected, outcome.No, never, healthy, Rejected},
		{"422", status(422), muting, outcome.TwilioRejected, outcome.No, never, healthy, Rejected},
		{"431", status(431), muting, outcome.TwilioRejected, outcome.No, never, healthy, Rejected},
		{"404", status(404), muting, outcome.ParticipantNotFound, outcome.No, never, healthy, Rejected},
		{"code 20404", coded(400, 20404), muting, outcome.ParticipantNotFound, outcome.No, never, healthy, Rejected},
		{"code 16022", coded(400, 16022), muting, outcome.ParticipantNotFound, outcome.No, never, healthy, Rejected},
		{"409", status(409), muting, outcome.ConflictingState, outcome.No, never, healthy, Rejected},
		{"412", status(412), muting, outcome.ConflictingState, outcome.No, never, healthy, Rejected},
		{"code 16027", coded(400, 16027), muting, outcome.ConflictingState, outcome.No, never, healthy, Rejected},
		{"code 16028", coded(400, 16028), muting, outcome.ConflictingState, outcome.No, never, healthy, Rejected},
		{"code 16099", coded(400, 16099), muting, outcome.ConflictingState, outcome.No, never, healthy, Rejected},
		{"401", coded(401, 20003), muting, outcome.TwilioCredentialsRejected, outcome.No, never, healthy, Rejected},
		{"403", coded(403, 20403), muting, outcome.TwilioForbidden, outcome.No, never, healthy, Rejected},
		{"429", coded(429, 20429), announcing, outcome.TwilioRateLimited, outcome.No, always, healthy, RateLimited},
		{"407 of a proxy", status(407), announcing, outcome.TwilioUnreachable, outcome.No, always, unknownHealth, Rejected},
		{"421 of a proxy", status(421), announcing, outcome.TwilioUnreachable, outcome.No, always, unknownHealth, Rejected},
		{"425 of a proxy", status(425), announcing, outcome.TwilioUnreachable, outcome.No, always, unknownHealth, Rejected},
		{"408 of a proxy", status(408), muting, outcome.OutcomeUnknown, outcome.Maybe, ifRepeatable, unknownHealth, Failed},
		{"408, announcing", status(408), announcing, outcome.UnrepeatableOutcomeUnknown, outcome.Maybe, ifRepeatable, unknownHealth, Failed},
		{"424", status(424), muting, outcome.OutcomeUnknown, outcome.Maybe, ifRepeatable, unknownHealth, Failed},
		{"420, which no standard defines", status(420), muting, outcome.OutcomeUnknown, outcome.Maybe, ifRepeatable, unknownHealth, Failed},
		{"450, which no standard defines", status(450), muting, outcome.OutcomeUnknown, outcome.Maybe, ifRepeatable, unknownHealth, Failed},
		{"460 of a load balancer", status(460), muting, outcome.OutcomeUnknown, outcome.Maybe, ifRepeatable, unknownHealth, Failed},
		{"499 of nginx", status(499), muting, outcome.OutcomeUnknown, outcome.Maybe, ifRepeatable, unknownHealth, Failed},
		{"500", coded(500, 20500), muting, outcome.OutcomeUnknown, outcome.Maybe, ifRepeatable, unhealthy, Failed},
		{"503 with the code of a refusal", coded(503, 20404), muting, outcome.OutcomeUnknown, outcome.Maybe, ifRepeatable, unhealthy, Failed},
		{"502, announcing", status(502), announcing, outcome.UnrepeatableOutcomeUnknown, outcome.Maybe, ifRepeatable, unhealthy, Failed},
		{"no connection", unsent(errConnection), announcing, outcome.TwilioUnreachable, outcome.No, always, unhealthy, NotSent},
		{"no answer", sent(errConnection), muting, outcome.OutcomeUnknown, outcome.Maybe, ifRepeatable, unhealthy, Lost},
		{"no answer, announcing", sent(errConnection), announcing, outcome.UnrepeatableOutcomeUnknown, outcome.Maybe, ifRepeatable, unhealthy, Lost},
		{"a 2xx that cannot be read", unreadable(200), muting, outcome.TwilioUnexpectedAnswer, outcome.Yes, never, healthy, Unexpected},
		{"a 2xx about another participant", &twilio.AnswerError{HTTPStatus: 200, Foreign: true}, muting, outcome.TwilioUnexpectedAnswer, outcome.Maybe, never, healthy, Unexpected},
		{"a 3xx", unreadable(302), muting, outcome.TwilioUnexpectedAnswer, outcome.Maybe, never, healthy, Unexpected},
		{"the deadline before it was sent", unsent(context.DeadlineExceeded), muting, outcome.Deadline, outcome.No, ifRepeatable, unknownHealth, CutOff},
		{"the deadline in flight", sent(context.DeadlineExceeded), announcing, outcome.Deadline, outcome.Maybe, ifRepeatable, unknownHealth, CutOff},
		{"cancelled in flight", sent(context.Canceled), muting, outcome.Cancelled, outcome.Maybe, ifRepeatable, unknownHealth, CutOff},
		{"404, fetching", status(404), fetching, outcome.ParticipantNotFound, outcome.No, never, healthy, Rejected},
		{"404, listing", status(404), listing, outcome.ConferenceNotFound, outcome.No, never, healthy, Rejected},
		{"429, fetching", status(429), fetching, outcome.TwilioRateLimited, outcome.No, always, healthy, RateLimited},
		{"408, fetching", status(408), fetching, outcome.TwilioFailed, outcome.No, ifRepeatable, unknownHealth, Failed},
		{"500, fetching", status(500), fetching, outcome.TwilioFailed, outcome.No, ifRepeatable, unhealthy, Failed},
		{"no answer, fetching", sent(errConnection), fetching, outcome.TwilioFailed, outcome.No, ifRepeatable, unhealthy, Lost},
		{"a 2xx that cannot be read, fetching", unreadable(200), fetching, outcome.TwilioUnexpectedAnswer, outcome.No, never, healthy, Unexpected},
		{"a 2xx to another request, fetching", &twilio.AnswerError{HTTPStatus: 200, Foreign: true}, fetching, outcome.TwilioUnexpectedAnswer, outcome.No, always, healthy, Unexpected},
		{"half of a 2xx, listing", &twilio.AnswerError{HTTPStatus: 200, Interrupted: true}, listing, outcome.TwilioUnexpectedAnswer, outcome.No, always, healthy, Unexpected},
		{"a 3xx, fetching", unreadable(302), fetching, outcome.TwilioUnexpectedAnswer, outcome.No, never, healthy, Unexpected},
		{"the deadline in flight, fetching", sent(context.DeadlineExceeded), fetching, outcome.Deadline, outcome.No, ifRepeatable, unknownHealth, CutOff},
		{"a panic, fetching", errPanicked, fetching, outcome.Internal, outcome.No, never, unknownHealth, Defective},
		{"no request", errNoRequest, muting, outcome.Internal, outcome.No, never, unknownHealth, Defective},
		{"a panic", errPanicked, muting, outcome.Internal, outcome.Maybe, never, unknownHealth, Defective},
		{"removed from the queue", unsent(outcome.StateUnavailable.Err(outcome.Facts{})), muting, outcome.StateUnavailable, outcome.No, never, unknownHealth, NotSent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := judge(test.err, test.request)
			if got.err.Kind != test.kind || got.err.Applied != test.applied {
				t.Errorf("%v, want %s (applied: %s)", got.err, test.kind.Reason, test.applied)
			}
			if got.retry != test.retry || got.health != test.health || got.result != test.result {
				t.Errorf("retry %d, health %d, %s; want %d, %d, %s",
					got.retry, got.health, got.result, test.retry, test.health, test.result)
			}
		})
	}
}

func TestRetryAfterOfTwilioIsInTheStatus(t *testing.T) {
	v := judge(&twilio.Error{HTTPStatus: 429, RetryAfter: 7 * time.Second}, &on("CA1", mute).Request)
	want := &errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)}
	details := v.err.GRPCStatus().Details()
	if diff := cmp.Diff(any(want), details[len(details)-1], protocmp.Transform()); diff != "" {
		t.Errorf("last detail (-want +got):\n%s", diff)
	}
}

func TestNoStatusHoldsACause(t *testing.T) {
	cause := errors.New("dial tcp: a cause")
	for _, err := range []error{
		&twilio.TransportError{Err: cause}, &twilio.TransportError{Sent: true, Err: cause},
		&twilio.AnswerError{HTTPStatus: 200, Err: cause}, cause,
	} {
		v := judge(err, &on("CA1", mute).Request)
		if text := v.err.GRPCStatus().String(); strings.Contains(text, "cause") {
			t.Errorf("the status holds the cause: %s", text)
		}
		if !errors.Is(v.err, cause) {
			t.Errorf("%v does not wrap the cause", v.err)
		}
	}
}
