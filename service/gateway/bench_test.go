package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
)

func BenchmarkDecodeJSON(b *testing.B) {
	service := conferencev1.File_conference_v1_conference_service_proto.Services().Get(0)
	routes, err := routesOf(service)
	if err != nil {
		b.Fatal(err)
	}
	for name, body := range map[string]string{
		"mute": `{"muted": true}`,
		"everything": `{"muted": true, "hold": true, "hold_url": "https://example.com/hold.xml", "hold_method": "HTTP_METHOD_GET",
			"announce_url": "https://example.com/announce.xml", "announce_method": "HTTP_METHOD_GET",
			"wait_url": "https://example.com/wait.xml", "wait_method": "HTTP_METHOD_GET", "beep_on_exit": true,
			"end_conference_on_exit": true, "coaching": true, "call_sid_to_coach": "CA00000000000000000000000000000001"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, wrong := decodeBody([]byte(body), routes[0]); wrong != nil {
					b.Fatal(wrong)
				}
			}
		})
	}
}

func BenchmarkEncodeJSON(b *testing.B) {
	response := benchmarkedResponse()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (marshaler{}).Marshal(response); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeForm(b *testing.B) {
	const body = "Muted=true&Hold=true&HoldUrl=https%3A%2F%2Fexample.com%2Fhold.xml&HoldMethod=GET"
	b.ReportAllocs()
	for b.Loop() {
		form, err := url.ParseQuery(body)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, wrong := decodeForm(form); wrong != nil {
			b.Fatal(wrong)
		}
	}
}

func BenchmarkEncodeTwilioJSON(b *testing.B) {
	participant := benchmarkedResponse().GetParticipant()
	request, to := httptest.NewRequest(http.MethodPost, "/", nil), nowhere{}
	b.ReportAllocs()
	for b.Loop() {
		writeTwilio(to, request, http.StatusOK, participantJSON(participant))
	}
}

// nowhere takes an answer and keeps its headers alone.
type nowhere http.Header

func (n nowhere) Header() http.Header         { return http.Header(n) }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

func benchmarkedResponse() *conferencev1.UpdateParticipantResponse {
	created := timestamppb.New(time.Date(2011, time.February, 18, 21, 7, 19, 0, time.UTC))
	return &conferencev1.UpdateParticipantResponse{Participant: &conferencev1.Participant{
		AccountSid: proto.String(accountSID), CallSid: proto.String(callSID), ConferenceSid: proto.String(conferenceSID),
		Coaching: proto.Bool(false), EndConferenceOnExit: proto.Bool(false),
		Muted: proto.Bool(true), Hold: proto.Bool(false), StartConferenceOnEnter: proto.Bool(true),
		DateCreated: created, DateUpdated: created, Status: conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
		QueueTime: durationpb.New(time.Second), Uri: proto.String("/2010-04-01/Accounts/" + accountSID),
	}}
}

// BenchmarkCall is a whole call but for the service, the steps around it and the
// socket.
func BenchmarkCall(b *testing.B) {
	s := answering{response: benchmarkedResponse()}
	handler := newHandler(b, s, Config{})
	for _, call := range []struct{ name, path, body string }{
		{"rest", accountPath + callSID, `{"muted": true}`},
		{"twilio", twilioPathOfCall, "Muted=true"},
	} {
		b.Run(call.name, func(b *testing.B) {
			request := httptest.NewRequest(http.MethodPost, call.path, nil)
			request.Header.Set("Authorization", "Bearer 0123456789abcdef0123456789abcdef")
			body, to := strings.NewReader(call.body), nowhere{}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(call.body)
				request.Body = io.NopCloser(body)
				handler.ServeHTTP(to, request)
			}
		})
	}
}

// answering is a service that answers with the same message every time.
type answering struct {
	conferencev1.UnimplementedConferenceServiceServer
	response *conferencev1.UpdateParticipantResponse
}

func (a answering) UpdateParticipant(
	context.Context, *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	return a.response, nil
}
