package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/gateway"
)

// reader is a service that records the requests of its reads.
type reader struct {
	conferencev1.UnimplementedConferenceServiceServer
	requests []proto.Message
}

func (r *reader) GetParticipant(
	_ context.Context, request *conferencev1.GetParticipantRequest,
) (*conferencev1.GetParticipantResponse, error) {
	r.requests = append(r.requests, proto.CloneOf(request))
	return &conferencev1.GetParticipantResponse{}, nil
}

func (r *reader) ListParticipants(
	_ context.Context, request *conferencev1.ListParticipantsRequest,
) (*conferencev1.ListParticipantsResponse, error) {
	r.requests = append(r.requests, proto.CloneOf(request))
	return &conferencev1.ListParticipantsResponse{}, nil
}

var (
	list        = strings.TrimSuffix(participants, "/")
	accountList = strings.TrimSuffix(accountParticipants, "/")
)

func TestRequestsInAQuery(t *testing.T) {
	listing := func(change func(*conferencev1.ListParticipantsRequest)) proto.Message {
		message := &conferencev1.ListParticipantsRequest{ConferenceSid: conferenceSID}
		change(message)
		return message
	}
	tests := []struct {
		name, target string
		want         proto.Message
	}{
		{"a participant", participants + "front%20desk", &conferencev1.GetParticipantRequest{
			ConferenceSid: conferenceSID, CallSid: "front desk",
		}},
		{"a participant of an account", accountParticipants + callSID, &conferencev1.GetParticipantRequest{
			AccountSid: accountSID, ConferenceSid: conferenceSID, CallSid: callSID,
		}},
		{"a list", list, listing(func(*conferencev1.ListParticipantsRequest) {})},
		{"an empty query", list + "?", listing(func(*conferencev1.ListParticipantsRequest) {})},
		{"a list of an account", accountList + "?muted=true&hold=false&coaching=true&page_size=7&page_token=a%2Bb+c",
			listing(func(l *conferencev1.ListParticipantsRequest) {
				l.AccountSid, l.PageSize, l.PageToken = accountSID, 7, "a+b c"
				l.Muted, l.Hold, l.Coaching = proto.Bool(true), proto.Bool(false), proto.Bool(true)
			})},
		{"an account in the query", list + "?account_sid=" + accountSID, listing(func(l *conferencev1.ListParticipantsRequest) {
			l.AccountSid = accountSID
		})},
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, test := range tests {
			t.Run(method+" "+test.name, func(t *testing.T) {
				r := new(reader)
				got := send(t, serve(t, r, gateway.Config{}), method, test.target, "")
				if got.code != http.StatusOK || (len(got.body) == 0) != (method == http.MethodHead) {
					t.Errorf("HTTP status %d, body %q", got.code, got.body)
				}
				if diff := cmp.Diff([]proto.Message{test.want}, r.requests, protocmp.Transform()); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestEmptyBodyOfUnknownLengthIsNoBody(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			incoming := httptest.NewRequest(method, participants+callSID, io.MultiReader())
			newHandler(t, new(reader), pass, gateway.Config{}).ServeHTTP(recorder, incoming)
			if incoming.ContentLength != -1 || recorder.Code == http.StatusBadRequest {
				t.Errorf("length %d, HTTP status %d: %s", incoming.ContentLength, recorder.Code, recorder.Body)
			}
		})
	}
}

func TestInvalidQueries(t *testing.T) {
	const unknown = "is no field of the request"
	tests := []struct {
		name, target, body string
		want               []string
	}{
		{"an unknown parameter", list + "?limit=7", "", []string{"limit", unknown}},
		{"Twilio's spelling", list + "?PageSize=7", "", []string{"PageSize", unknown + "; did you mean page_size?"}},
		{"a parameter of another method", participants + callSID + "?muted=true", "", []string{"muted", unknown}},
		{"a parameter without a name", list + "?=7", "", []string{`""`, unknown}},
		{"a parameter whose name is not UTF-8", list + "?%ff=7", "", []string{"\uFFFD", unknown}},
		{"a repeated parameter", list + "?muted=true&muted=true", "", []string{"muted", "is given more than once"}},
		{"a parameter of the path", accountList + "?account_sid=" + accountSID, "",
			[]string{"account_sid", "is given by the path and may not be in the query too"}},
		{"values of other types", list + "?muted=1&hold=&page_size=many&page_token=%ff", "", []string{
			"hold", "must be true or false", "muted", "must be true or false",
			"page_size", "must be an integer of 32 bits", "page_token", "must be a string of Unicode characters",
		}},
		{"a number of 64 bits", list + "?page_size=4294967296", "", []string{"page_size", "must be an integer of 32 bits"}},
		{"an encoding that is none", list + "?page_token=%zz", "", []string{"", "the query string must be percent-encoded, with %25 for a percent sign and %3B for a semicolon"}},
		{"a body", list, `{"muted": true}`,
			[]string{"", "the request has a body: a GET takes fields in its query string only"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := new(reader)
			wantStatus(t, sendRaw(t, serve(t, r, gateway.Config{}), http.MethodGet, test.target, test.body), refusal(test.want...))
			if len(r.requests) > 0 {
				t.Errorf("the service was called with %v", r.requests)
			}
		})
	}
	t.Run("an idempotency key", func(t *testing.T) {
		got := send(t, serve(t, new(reader), gateway.Config{}), http.MethodGet, list, "", "Idempotency-Key", "a")
		wantStatus(t, got, refusal("Idempotency-Key", "does not apply to this path"))
	})
}
