package service

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
)

const (
	accountSID    = "AC00000000000000000000000000000001"
	conferenceSID = "CF00000000000000000000000000000001"
	callSID       = "CA00000000000000000000000000000001"
)

type request = conferencev1.UpdateParticipantRequest

func TestValuesAreNotRepeated(t *testing.T) {
	const secret = "s3cret"
	intercept, err := Validate()
	if err != nil {
		t.Fatal(err)
	}
	_, err = intercept(t.Context(), &request{
		AccountSid: secret, ConferenceSid: secret, CallSid: secret + "/",
		HoldUrl: proto.String(secret), AnnounceUrl: proto.String(secret), WaitUrl: proto.String(secret),
		CallSidToCoach: proto.String(secret), RequestId: secret,
	}, nil, nil)
	st := status.Convert(err)
	if got := len(st.Details()[1].(*errdetails.BadRequest).GetFieldViolations()); got != 8 {
		t.Errorf("%d violations", got)
	}
	if text := st.Proto().String(); strings.Contains(text, secret) {
		t.Errorf("a value is repeated: %s", text)
	}
}

func TestAnErrorThatIsNoViolation(t *testing.T) {
	cause := errors.New("s3cret")
	err := invalid(cause)
	if err.Kind != outcome.Internal || strings.Contains(err.GRPCStatus().Proto().String(), "s3cret") {
		t.Errorf("got %v", err.GRPCStatus().Proto())
	}
	if !errors.Is(err, cause) {
		t.Errorf("the cause for the log is %v", err.Cause)
	}
}
