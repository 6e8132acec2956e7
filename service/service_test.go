package service

import (
	"context"
	"crypto/x509"
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
	"conferenced/service/call"
	"conferenced/service/callers"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/property"
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
	accounts *twilio.Accounts
	callers  *callers.Set
	answer   *twilio.Answer
	err      error

	delivered []*delivery.Update
	read      []*twilio.Request
	call      *call.Call
	header    metadata.MD
}

func newFake(t *testing.T, defaultSID string) *fake {
	t.Helper()
	accounts, err := twilio.NewAccounts(defaultSID, accountOf(accountSID), accountOf(otherAccountSID))
	if err != nil {
		t.Fatal(err)
	}
	return &fake{
		accounts: accounts,
		callers:  new(callers.Set),
		answer:   &twilio.Answer{Participant: twilio.Participant{Status: "connected"}, RequestID: "RQ1"},
	}
}

// Deliver implements Deliverer.
func (f *fake) Deliver(_ context.Context, update *delivery.Update) (*twilio.Answer, error) {
	f.delivered = append(f.delivered, update)
	if f.err != nil {
		return nil, f.err
	}
	return f.answer, nil
}

// BeginBulk implements Deliverer.
func (f *fake) BeginBulk(
	context.Context, *twilio.Account, string, string, delivery.Content,
) (*delivery.Bulk, error) {
	return nil, f.err
}

// Read implements Deliverer.
func (f *fake) Read(_ context.Context, _ *twilio.Account, _ string, request *twilio.Request) (*twilio.Answer, error) {
	f.read = append(f.read, request)
	if f.err != nil {
		return nil, f.err
	}
	return f.answer, nil
}

func (f *fake) service() *Service {
	return New(func(context.Context) (*twilio.Accounts, *callers.Set) { return f.accounts, f.callers }, f, nil)
}

func (f *fake) update(ctx context.Context, request *request) (*conferencev1.UpdateParticipantResponse, error) {
	stream := new(headers)
	ctx = grpc.NewContextWithServerTransportStream(ctx, stream)
	ctx, f.call = call.New(ctx, call.GRPC)
	f.call.Change = Change(request)
	response, err := f.service().UpdateParticipant(ctx, request)
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
				Request: twilio.Request{
					Path:   twilio.Path{AccountSID: test.want, ConferenceSID: conferenceSID, Participant: "front desk"},
					Change: values(map[property.Property]string{property.Muted: "true", property.WaitURL: ""}),
				},
				Account:   new(accountOf(test.want)),
				Caller:    callers.FromContext(t.Context()).Key(),
				RequestID: requestID,
			}}
			if diff := cmp.Diff(want, f.delivered, cmp.Comparer(twilio.Secret.Equal), cmp.AllowUnexported(property.Values{})); diff != "" {
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
		Status: "connected", Hold: proto.Bool(true), QueueTime: proto.String("1500"), CallSID: proto.String(callSID),
	}}
	participant := &conferencev1.Participant{
		Status: conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
		Hold:   proto.Bool(true), QueueTime: durationpb.New(1500 * time.Millisecond), CallSid: proto.String(callSID),
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
			if f.call.AccountSID != accountSID || f.call.TwilioRequestID != "RQ7" || f.call.CallSID != callSID {
				t.Errorf("the record has %s, %s, %s", f.call.AccountSID, f.call.TwilioRequestID, f.call.CallSID)
			}
		})
	}
}

func TestFailureOfADelivery(t *testing.T) {
	f := newFake(t, accountSID)
	f.err = outcome.OutcomeUnknown.Err(outcome.Facts{
		Applied: outcome.Maybe, Cause: errors.New("secret"),
		Twilio: &outcome.TwilioAnswer{HTTPStatus: http.StatusBadGateway, Code: 20500, RequestID: "RQ8"},
	})
	_, err := f.update(t.Context(), with(func(*request) {}))
	checkStatus(t, err, codes.Unavailable,
		"Twilio failed or its answer was lost; the change may have been applied, and repeating it (with a new request_id) does no harm",
		info("OUTCOME_UNKNOWN", "applied", "maybe",
			"twilio_status", "502", "twilio_code", "20500", "twilio_request_id", "RQ8"))
	if diff := cmp.Diff(metadata.Pairs("twilio-request-id", "RQ8"), f.header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if f.call.TwilioRequestID != "RQ8" {
		t.Errorf("the record has %s", f.call.TwilioRequestID)
	}
}

func TestFailureWithoutAnAnswer(t *testing.T) {
	f := newFake(t, accountSID)
	f.err = outcome.TwilioUnreachable.Err(outcome.Facts{})
	_, err := f.update(t.Context(), with(func(*request) {}))
	checkStatus(t, err, codes.Unavailable, "no connection to Twilio could be made",
		info("TWILIO_UNREACHABLE", "applied", "no"),
		&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	if len(f.header) > 0 {
		t.Errorf("header %v", f.header)
	}
}

// TestRefusedCallerLearnsNothing: the policy refuses before anything is said about the
// account.
func TestRefusedCallerLearnsNothing(t *testing.T) {
	const unknownSID = "AC00000000000000000000000000000009"
	for _, sid := range []string{accountSID, unknownSID} {
		f := newFake(t, accountSID)
		f.callers = &callers.Set{ClientCAs: x509.NewCertPool()} // Callers are known, and there is no policy.
		_, err := f.update(t.Context(), with(func(r *request) { r.AccountSid = sid }))
		checkStatus(t, err, codes.PermissionDenied, "the caller may not do this: account "+sid,
			info("NOT_ALLOWED", "applied", "no"))
		f.checkNotDelivered(t)
	}
}

func values(pairs map[property.Property]string) *property.Values {
	v := new(property.Values)
	for p, value := range pairs {
		v.Put(p, value)
	}
	return v
}
