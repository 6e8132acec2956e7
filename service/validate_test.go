package service

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
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

// with is a valid request that mutes, changed.
func with(change func(*conferencev1.UpdateParticipantRequest)) *conferencev1.UpdateParticipantRequest {
	request := &conferencev1.UpdateParticipantRequest{
		ConferenceSid: conferenceSID, CallSid: callSID, Muted: proto.Bool(true),
	}
	change(request)
	return request
}

// validate passes a request through the interceptor, and reports whether it
// reached the handler.
func validate(t *testing.T, ctx context.Context, request any) (handled bool, err error) {
	t.Helper()
	intercept, err := Validate()
	if err != nil {
		t.Fatal(err)
	}
	response, err := intercept(ctx, request, nil, func(_ context.Context, got any) (any, error) {
		handled = true
		if got != request {
			t.Errorf("the handler has the request %v", got)
		}
		return "response", io.EOF
	})
	if handled && (response != "response" || !errors.Is(err, io.EOF)) {
		t.Errorf("the handler's answer became %v, %v", response, err)
	}
	return handled, err
}

type request = conferencev1.UpdateParticipantRequest

func TestValuesAreNotRepeated(t *testing.T) {
	const secret = "s3cret"
	_, err := validate(t, t.Context(), with(func(r *request) {
		r.AccountSid, r.ConferenceSid, r.CallSid = secret, secret, secret+"/"
		r.HoldUrl, r.AnnounceUrl, r.WaitUrl = proto.String(secret), proto.String(secret), proto.String(secret)
		r.CallSidToCoach, r.RequestId = proto.String(secret), secret
	}))
	st := status.Convert(err)
	if got := len(st.Details()[1].(*errdetails.BadRequest).GetFieldViolations()); got != 8 {
		t.Errorf("%d violations", got)
	}
	if text := st.Proto().String(); strings.Contains(text, secret) {
		t.Errorf("a value is repeated: %s", text)
	}
}

func TestWhatIsNoMessagePasses(t *testing.T) {
	for _, request := range []any{nil, "text"} {
		if handled, err := validate(t, t.Context(), request); !handled {
			t.Errorf("%v was refused: %v", request, err)
		}
	}
}

// Validate compiles the rules when it is called: a second compilation, of the
// same rules by themselves, finds nothing wrong with them.
func TestRulesCompile(t *testing.T) {
	if _, err := Validate(); err != nil {
		t.Fatal(err)
	}
	validator, err := protovalidate.New(
		protovalidate.WithDisableLazy(),
		protovalidate.WithMessages(&request{}, &conferencev1.UpdateParticipantResponse{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := validator.Validate(with(func(*request) {})); err != nil {
		t.Error(err)
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
