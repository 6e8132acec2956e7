package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
)

// call makes a client's n-th call. It is an error if that does not succeed.
type call func(ctx context.Context, client, n int) error

// way is how a server is called: a call for a number of clients, and its end.
type way struct {
	do    call
	close func()
}

// open makes the connections of a way to a server.
type open func(s *process, callers []caller) (way, error)

const (
	// connections is how many of gRPC's the clients share.
	connections = 4
	// participants is how many each client updates in turn, so that none waits
	// for another's update.
	participants = 8
	// perConference is how many clients update participants of the same
	// conference.
	perConference = 4
)

// names are the conference and the participant that a client's n-th call is
// about.
func names(client, n int) (conference, participant string) {
	return fmt.Sprintf("CF%032x", client/perConference), fmt.Sprintf("CA%016x%016x", client, n%participants)
}

func overGRPC(s *process, callers []caller) (way, error) {
	var stubs [connections]conferencev1.ConferenceServiceClient
	var ends []io.Closer
	for i := range stubs {
		conn, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return way{}, err
		}
		stubs[i], ends = conferencev1.NewConferenceServiceClient(conn), append(ends, conn)
	}
	tokens := make([]metadata.MD, len(callers))
	for i, c := range callers {
		tokens[i] = metadata.Pairs("authorization", "Bearer "+c.token)
	}
	do := func(ctx context.Context, client, n int) error {
		ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(ctx, tokens[client%len(tokens)]), patience)
		defer cancel()
		conference, participant := names(client, n)
		_, err := stubs[client%connections].UpdateParticipant(ctx, &conferencev1.UpdateParticipantRequest{
			ConferenceSid: conference, CallSid: participant, Muted: proto.Bool(n%2 == 0),
		})
		return err
	}
	return way{do, func() {
		for _, end := range ends {
			_ = end.Close() // Nothing is under way any more.
		}
	}}, nil
}

func overREST(s *process, callers []caller) (way, error) {
	return overHTTP(func(client, n int) (*http.Request, error) {
		conference, participant := names(client, n)
		// The peer has no default account, so the path names it.
		url := "http://" + s.http + "/v1/accounts/" + accountSID + "/conferences/" + conference + "/participants/" + participant
		body := strings.NewReader(fmt.Sprintf(`{"muted": %t}`, n%2 == 0))
		request, err := http.NewRequest(http.MethodPatch, url, body)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+callers[client%len(callers)].token)
		return request, nil
	}), nil
}

// overTwilioPath calls as Twilio's SDKs do.
func overTwilioPath(s *process, callers []caller) (way, error) {
	return overHTTP(func(client, n int) (*http.Request, error) {
		conference, participant := names(client, n)
		url := "http://" + s.http + "/2010-04-01/Accounts/" + accountSID + "/Conferences/" + conference +
			"/Participants/" + participant + ".json"
		request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(fmt.Sprintf("Muted=%t", n%2 == 0)))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		who := callers[client%len(callers)]
		request.SetBasicAuth(who.name, who.token)
		return request, nil
	}), nil
}

func overHTTP(newRequest func(client, n int) (*http.Request, error)) way {
	transport := &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
	do := func(ctx context.Context, client, n int) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		request, err := newRequest(client, n)
		if err != nil {
			return err
		}
		return roundTrip(transport, request.WithContext(ctx))
	}
	return way{do, transport.CloseIdleConnections}
}

// roundTrip makes a request that must be answered by 200.
func roundTrip(transport http.RoundTripper, request *http.Request) error {
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status + ": " + string(body))
	}
	return err
}
