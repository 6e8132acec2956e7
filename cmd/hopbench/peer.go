package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
)

// peer is the service that is soon written: Twilio's SDK behind grpc-go, and
// grpc-gateway in front of it over loopback. Its pool of connections is tuned.
type peer struct {
	conferencev1.UnimplementedConferenceServiceServer
	sdk *api.ApiService
}

func newPeer(s roleSettings, self net.Addr) (role, error) {
	base, err := url.Parse(s.upstream)
	if err != nil {
		return role{}, err
	}
	via := &client.Client{
		Credentials: client.NewCredentials(accountSID, authToken),
		HTTPClient:  &http.Client{Transport: redirected{base, tunedTransport(s)}, Timeout: patience},
	}
	via.SetAccountSid(accountSID)
	server := grpc.NewServer()
	conferencev1.RegisterConferenceServiceServer(server, &peer{sdk: api.NewApiServiceWithClient(via)})
	mux := runtime.NewServeMux()
	err = conferencev1.RegisterConferenceServiceHandlerFromEndpoint(context.Background(), mux, self.String(),
		[]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())})
	if err != nil {
		return role{}, err
	}
	return role{grpc: server, http: &http.Server{Handler: mux, ReadHeaderTimeout: patience}}, nil
}

// redirected sends the SDK's requests to another host, for which the SDK has no
// setting. The requests are nobody else's, so they are changed in place.
type redirected struct {
	base *url.URL
	next http.RoundTripper
}

// RoundTrip makes the request to the base.
func (r redirected) RoundTrip(request *http.Request) (*http.Response, error) {
	request.URL.Scheme, request.URL.Host, request.Host = r.base.Scheme, r.base.Host, ""
	return r.next.RoundTrip(request)
}

// UpdateParticipant passes the update on to the SDK.
func (p *peer) UpdateParticipant(
	_ context.Context, request *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	answer, err := p.sdk.UpdateParticipant(request.GetConferenceSid(), request.GetCallSid(), paramsOf(request))
	if err != nil {
		return nil, err
	}
	return &conferencev1.UpdateParticipantResponse{Participant: participantOf(answer)}, nil
}

func paramsOf(request *conferencev1.UpdateParticipantRequest) *api.UpdateParticipantParams {
	return &api.UpdateParticipantParams{
		Muted:               request.Muted,
		Hold:                request.Hold,
		HoldUrl:             request.HoldUrl,
		HoldMethod:          methodOf(request.GetHoldMethod()),
		AnnounceUrl:         request.AnnounceUrl,
		AnnounceMethod:      methodOf(request.GetAnnounceMethod()),
		WaitUrl:             request.WaitUrl,
		WaitMethod:          methodOf(request.GetWaitMethod()),
		BeepOnExit:          request.BeepOnExit,
		EndConferenceOnExit: request.EndConferenceOnExit,
		Coaching:            request.Coaching,
		CallSidToCoach:      request.CallSidToCoach,
	}
}

func methodOf(method conferencev1.HttpMethod) *string {
	name := http.MethodPost
	switch method {
	case conferencev1.HttpMethod_HTTP_METHOD_GET:
		name = http.MethodGet
	case conferencev1.HttpMethod_HTTP_METHOD_POST:
	default:
		return nil
	}
	return &name
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
