package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/gateway"
)

// answering is a service that always returns the same response.
type answering struct {
	conferencev1.UnimplementedConferenceServiceServer
	response *response
}

func (a answering) UpdateParticipant(context.Context, *request) (*response, error) {
	return a.response, nil
}

// discarded is a ResponseWriter that keeps only the headers.
type discarded http.Header

func (d discarded) Header() http.Header         { return http.Header(d) }
func (d discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d discarded) WriteHeader(int)             {}

// BenchmarkCall measures a call without the socket, the interceptors and the service.
func BenchmarkCall(b *testing.B) {
	created := timestamppb.New(time.Date(2011, time.February, 18, 21, 7, 19, 0, time.UTC))
	s := answering{response: &response{Participant: &conferencev1.Participant{
		AccountSid: proto.String(accountSID), CallSid: proto.String(callSID), ConferenceSid: proto.String(conferenceSID),
		Coaching: proto.Bool(false), EndConferenceOnExit: proto.Bool(false),
		Muted: proto.Bool(true), Hold: proto.Bool(false), StartConferenceOnEnter: proto.Bool(true),
		DateCreated: created, DateUpdated: created, Status: conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
		Uri: proto.String("/2010-04-01/Accounts/" + accountSID),
	}}}
	handler := newHandler(b, s, pass, gateway.Config{})
	for _, call := range []struct{ name, path, body string }{
		{"rest", accountParticipants + callSID, `{"muted": true}`},
		{"rest with every property", accountParticipants + callSID,
			`{"muted": true, "hold": true, "hold_url": "https://example.com/hold.xml", "hold_method": "HTTP_METHOD_GET",
			"announce_url": "https://example.com/announce.xml", "announce_method": "HTTP_METHOD_GET",
			"wait_url": "https://example.com/wait.xml", "wait_method": "HTTP_METHOD_GET", "beep_on_exit": true,
			"end_conference_on_exit": true, "coaching": true, "call_sid_to_coach": "CA00000000000000000000000000000001"}`},
		{"twilio", twilioPath, "Muted=true"},
	} {
		b.Run(call.name, func(b *testing.B) {
			incoming := httptest.NewRequest(http.MethodPost, call.path, nil)
			incoming.Header.Set("Authorization", "Bearer 0123456789abcdef0123456789abcdef")
			body, to := strings.NewReader(call.body), discarded{}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(call.body)
				incoming.Body = io.NopCloser(body)
				handler.ServeHTTP(to, incoming)
			}
		})
	}
}
