package service

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/callers"
	"conferenced/service/delivery"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

const otherAccountSID = "AC00000000000000000000000000000002"

func accountOf(sid string) twilio.Account {
	return twilio.Account{SID: sid, Username: sid, Password: twilio.NewSecret("token-of-" + sid), BaseURL: twilio.DefaultBaseURL}
}

// headers keeps what a handler sets, in the place of gRPC's stream.
type headers struct {
	grpc.ServerTransportStream
	set metadata.MD
}

func (h *headers) SetHeader(md metadata.MD) error {
	h.set = metadata.Join(h.set, md)
	return nil
}

// fake is a service in front of a delivery that answers as the test says.
type fake struct {
	accounts  *twilio.Accounts
	authorize Authorize
	answer    *twilio.Answer
	err       error

	delivered []*delivery.Update
	call      *telemetry.Call
	header    metadata.MD
}

func newFake(t *testing.T, defaultSID string) *fake {
	t.Helper()
	accounts, err := twilio.NewAccounts(defaultSID, accountOf(accountSID), accountOf(otherAccountSID))
	if err != nil {
		t.Fatal(err)
	}
	return &fake{
		accounts:  accounts,
		authorize: func(context.Context, string, []string) error { return nil },
		answer:    &twilio.Answer{Participant: twilio.Participant{Status: "connected"}, RequestID: "RQ1"},
	}
}

func (f *fake) update(ctx context.Context, request *request) (*conferencev1.UpdateParticipantResponse, error) {
	stream := new(headers)
	ctx = grpc.NewContextWithServerTransportStream(ctx, stream)
	ctx, f.call = telemetry.WithCall(ctx)
	service := New(
		func(context.Context) *twilio.Accounts { return f.accounts },
		f.authorize,
		func(_ context.Context, update *delivery.Update) (*twilio.Answer, error) {
			f.delivered = append(f.delivered, update)
			return f.answer, f.err
		})
	response, err := service.UpdateParticipant(ctx, request)
	f.header = stream.set
	return response, err
}

func (f *fake) checkNotDelivered(t *testing.T) {
	t.Helper()
	if len(f.delivered) > 0 {
		t.Errorf("delivered: %v", f.delivered)
	}
}

// checkStatus compares an error with a status and its details.
func checkStatus(t *testing.T, err error, code codes.Code, message string, details ...proto.Message) {
	t.Helper()
	want := &spb.Status{Code: int32(code), Message: message}
	for _, detail := range details {
		packed, err := anypb.New(detail)
		if err != nil {
			t.Fatal(err)
		}
		want.Details = append(want.Details, packed)
	}
	if diff := cmp.Diff(want, status.Convert(err).Proto(), protocmp.Transform()); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func info(reason string, pairs ...string) *errdetails.ErrorInfo {
	metadata := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		metadata[pairs[i]] = pairs[i+1]
	}
	return &errdetails.ErrorInfo{Reason: reason, Domain: "conferenced", Metadata: metadata}
}

func TestWhatIsDelivered(t *testing.T) {
	tests := []struct {
		name       string
		defaultSID string
		account    string
		want       string
	}{
		{"to the default account", accountSID, "", accountSID},
		{"to the account that is named", accountSID, otherAccountSID, otherAccountSID},
		{"to the account that is named, without a default", "", otherAccountSID, otherAccountSID},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, test.defaultSID)
			const requestID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
			_, err := f.update(t.Context(), with(func(r *request) {
				r.AccountSid, r.CallSid, r.RequestId, r.WaitUrl = test.account, "front desk", requestID, proto.String("")
			}))
			if err != nil {
				t.Fatal(err)
			}
			want := []*delivery.Update{{
				Account:   new(accountOf(test.want)),
				Path:      twilio.ParticipantPath{AccountSID: test.want, ConferenceSID: conferenceSID, Participant: "front desk"},
				Change:    &twilio.ParticipantUpdate{Muted: proto.Bool(true), WaitURL: proto.String("")},
				Caller:    callers.FromContext(t.Context()).Key(),
				RequestID: requestID,
			}}
			if diff := cmp.Diff(want, f.delivered, cmp.Comparer(twilio.Secret.Equal)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAccountsWithoutCredentials(t *testing.T) {
	const text = "the service has no credentials for this account"
	tests := []struct{ name, account, want string }{
		{"an unknown account", "AC00000000000000000000000000000009", text},
		{"no account and no default", "", text + ": account_sid is empty and there is no default account"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, "")
			_, err := f.update(t.Context(), with(func(r *request) { r.AccountSid = test.account }))
			checkStatus(t, err, codes.FailedPrecondition, test.want, info("ACCOUNT_NOT_CONFIGURED", "applied", "no"))
			f.checkNotDelivered(t)
		})
	}
}

func TestNothingToUpdate(t *testing.T) {
	f := newFake(t, accountSID)
	_, err := f.update(t.Context(), with(func(r *request) {
		r.AccountSid, r.Muted = "AC00000000000000000000000000000009", nil
		r.RequestId = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	}))
	checkStatus(t, err, codes.InvalidArgument, "the request sets no property to update",
		info("NOTHING_TO_UPDATE", "applied", "no"))
	f.checkNotDelivered(t)
}

func TestAnswer(t *testing.T) {
	held := &twilio.Answer{RequestID: "RQ7", Participant: twilio.Participant{
		Status: "connected", Hold: proto.Bool(true), QueueTime: proto.String("1500"),
	}}
	participant := &conferencev1.Participant{
		Status: conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
		Hold:   proto.Bool(true), QueueTime: durationpb.New(1500 * time.Millisecond),
	}
	tests := []struct {
		name     string
		change   func(*request)
		warnings []string
	}{
		{"without a warning", func(*request) {}, nil},
		{
			"with the warning that there is",
			func(r *request) { r.EndConferenceOnExit = proto.Bool(false) },
			[]string{"END_CONFERENCE_ON_EXIT_IGNORED_ON_HOLD"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, accountSID)
			f.answer = held
			got, err := f.update(t.Context(), with(test.change))
			if err != nil {
				t.Fatal(err)
			}
			var codes []string
			for _, warning := range got.GetWarnings() {
				codes = append(codes, warning.GetCode())
			}
			if diff := cmp.Diff(test.warnings, codes); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(participant, got.GetParticipant(), protocmp.Transform()); diff != "" {
				t.Errorf("participant (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(metadata.Pairs("twilio-request-id", "RQ7"), f.header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(telemetry.Call{AccountSID: accountSID, TwilioRequestID: "RQ7"}, *f.call); diff != "" {
				t.Errorf("what the log is told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFailureOfADelivery(t *testing.T) {
	f := newFake(t, accountSID)
	f.answer = nil
	f.err = &delivery.Error{Applied: delivery.Maybe, Err: &twilio.Error{
		HTTPStatus: http.StatusBadGateway, Code: 20500, RequestID: "RQ8", Message: "secret",
	}}
	_, err := f.update(t.Context(), with(func(*request) {}))
	checkStatus(t, err, codes.Unavailable,
		"Twilio failed or its answer was lost; the update may have been applied, and repeating it (with a new request_id) does no harm",
		info("OUTCOME_UNKNOWN", "applied", "maybe",
			"twilio_status", "502", "twilio_code", "20500", "twilio_request_id", "RQ8"))
	if diff := cmp.Diff(metadata.Pairs("twilio-request-id", "RQ8"), f.header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if !errors.Is(f.call.Cause, f.err) || f.call.TwilioRequestID != "RQ8" {
		t.Errorf("the log is told %+v", f.call)
	}
}

func TestFailureWithoutAnAnswer(t *testing.T) {
	f := newFake(t, accountSID)
	f.answer, f.err = nil, &delivery.Error{Err: &twilio.TransportError{Err: errors.New("secret")}}
	_, err := f.update(t.Context(), with(func(*request) {}))
	checkStatus(t, err, codes.Unavailable, "no connection to Twilio could be made",
		info("TWILIO_UNREACHABLE", "applied", "no"),
		&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	if len(f.header) > 0 {
		t.Errorf("header %v", f.header)
	}
	if !errors.Is(f.call.Cause, f.err) {
		t.Errorf("the cause for the log is %v", f.call.Cause)
	}
}

func TestCallOutsideOfGRPC(t *testing.T) {
	f := newFake(t, accountSID)
	service := New(
		func(context.Context) *twilio.Accounts { return f.accounts }, f.authorize,
		func(context.Context, *delivery.Update) (*twilio.Answer, error) { return f.answer, nil })
	if _, err := service.UpdateParticipant(t.Context(), with(func(*request) {})); err != nil {
		t.Error(err)
	}
}
