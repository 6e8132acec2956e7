package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
)

// peer is the service that a team would write first: Twilio's SDK behind grpc-go,
// and grpc-gateway in front of it over loopback.
type peer struct {
	conferencev1.UnimplementedConferenceServiceServer
	sdk *api.ApiService
}

func newPeer(upstream, grpcAddr string) (server, error) {
	base, err := url.Parse(upstream)
	if err != nil {
		return server{}, err
	}
	twilio := &client.Client{
		Credentials: client.NewCredentials(accountSID, authToken),
		HTTPClient:  &http.Client{Transport: redirectTransport{base, tunedTransport()}, Timeout: patience},
	}
	twilio.SetAccountSid(accountSID)
	mux := runtime.NewServeMux()
	err = conferencev1.RegisterConferenceServiceHandlerFromEndpoint(context.Background(), mux, grpcAddr,
		[]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())})
	return server{service: &peer{sdk: api.NewApiServiceWithClient(twilio)}, http: mux}, err
}

// redirectTransport sends requests to another host. The SDK has no setting for
// that. It modifies the requests in place, since only the SDK has them.
type redirectTransport struct {
	base *url.URL
	next http.RoundTripper
}

// RoundTrip sends the request to the base URL's host.
func (t redirectTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	request.URL.Scheme, request.URL.Host, request.Host = t.base.Scheme, t.base.Host, ""
	return t.next.RoundTrip(request)
}

var methods = map[conferencev1.HttpMethod]*string{
	conferencev1.HttpMethod_HTTP_METHOD_GET:  proto.String(http.MethodGet),
	conferencev1.HttpMethod_HTTP_METHOD_POST: proto.String(http.MethodPost),
}

// UpdateParticipant makes the update with the SDK.
func (p *peer) UpdateParticipant(
	_ context.Context, request *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	answer, err := p.sdk.UpdateParticipant(request.GetConferenceSid(), request.GetCallSid(), &api.UpdateParticipantParams{
		Muted:               request.Muted,
		Hold:                request.Hold,
		HoldUrl:             request.HoldUrl,
		HoldMethod:          methods[request.GetHoldMethod()],
		AnnounceUrl:         request.AnnounceUrl,
		AnnounceMethod:      methods[request.GetAnnounceMethod()],
		WaitUrl:             request.WaitUrl,
		WaitMethod:          methods[request.GetWaitMethod()],
		BeepOnExit:          request.BeepOnExit,
		EndConferenceOnExit: request.EndConferenceOnExit,
		Coaching:            request.Coaching,
		CallSidToCoach:      request.CallSidToCoach,
	})
	if err != nil {
		return nil, err
	}
	return &conferencev1.UpdateParticipantResponse{Participant: participantOf(answer)}, nil
}

func participantOf(answer *api.ApiV2010Participant) *conferencev1.Participant {
	participant := &conferencev1.Participant{
		AccountSid:             answer.AccountSid,
		CallSid:                answer.CallSid,
		Label:                  answer.Label,
		CallSidToCoach:         answer.CallSidToCoach,
		Coaching:               answer.Coaching,
		ConferenceSid:          answer.ConferenceSid,
		DateCreated:            timestampOf(answer.DateCreated),
		DateUpdated:            timestampOf(answer.DateUpdated),
		EndConferenceOnExit:    answer.EndConferenceOnExit,
		Muted:                  answer.Muted,
		Hold:                   answer.Hold,
		StartConferenceOnEnter: answer.StartConferenceOnEnter,
		Uri:                    answer.Uri,
	}
	if answer.Status != nil && *answer.Status == "connected" {
		participant.Status = conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED
	}
	if answer.QueueTime != nil {
		if wait, err := strconv.Atoi(*answer.QueueTime); err == nil {
			participant.QueueTime = durationpb.New(time.Duration(wait) * time.Millisecond)
		}
	}
	return participant
}

func timestampOf(date *string) *timestamppb.Timestamp {
	if date == nil {
		return nil
	}
	at, err := time.Parse(time.RFC1123Z, *date)
	if err != nil {
		return nil
	}
	return timestamppb.New(at)
}
