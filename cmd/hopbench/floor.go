package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
)

// floor is the least that a service between gRPC and Twilio can do: one POST of
// a fixed form and a fixed answer.
type floor struct {
	conferencev1.UnimplementedConferenceServiceServer
	client *http.Client
	url    string
	answer *conferencev1.UpdateParticipantResponse
}

func newFloor(s roleSettings, _ net.Addr) (role, error) {
	server := grpc.NewServer()
	conferencev1.RegisterConferenceServiceServer(server, &floor{
		client: &http.Client{Transport: tunedTransport(s)},
		url: s.upstream + "/2010-04-01/Accounts/" + accountSID + "/Conferences/" + conferenceSID +
			"/Participants/CA00000000000000000000000000000001.json",
		answer: fixedAnswer(),
	})
	return role{grpc: server}, nil
}

// UpdateParticipant ignores what is asked.
func (f *floor) UpdateParticipant(
	ctx context.Context, _ *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, strings.NewReader("Muted=true"))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the upstream answered %s", response.Status)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return nil, err
	}
	return f.answer, nil
}

// fixedAnswer is the stub's participant in the API's types.
func fixedAnswer() *conferencev1.UpdateParticipantResponse {
	created := timestamppb.New(time.Date(2011, time.February, 18, 21, 7, 19, 0, time.UTC))
	const callSID = "CA00000000000000000000000000000001"
	return &conferencev1.UpdateParticipantResponse{Participant: &conferencev1.Participant{
		AccountSid:             proto.String(accountSID),
		CallSid:                proto.String(callSID),
		Coaching:               proto.Bool(false),
		ConferenceSid:          proto.String(conferenceSID),
		DateCreated:            created,
		DateUpdated:            created,
		EndConferenceOnExit:    proto.Bool(false),
		Muted:                  proto.Bool(true),
		Hold:                   proto.Bool(false),
		StartConferenceOnEnter: proto.Bool(true),
		Status:                 conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
		QueueTime:              durationpb.New(time.Second),
		Uri: proto.String("/2010-04-01/Accounts/" + accountSID + "/Conferences/" + conferenceSID +
			"/Participants/" + callSID + ".json"),
	}}
}
