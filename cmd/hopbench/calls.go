package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
)

// call makes a caller's n-th call and returns an error unless that succeeds.
type call func(ctx context.Context, caller, n int) error

// protocol returns calls to servers, which the callers use in turn. Disconnect closes
// the connections, after the last call.
type protocol func(servers ...*process) (do call, disconnect func())

// updates are the updates that the callers make over HTTP.
type updates struct {
	target func(caller, n int) (conference, participant string)
	body   func(caller, n int) string
}

const (
	grpcConnections     = 4 // The callers share them.
	participantsACaller = 8 // Updated in turn, so that no update waits for another.
	callersAConference  = 4
)

func conferenceOf(caller int) string { return fmt.Sprintf("CF%032x", caller/callersAConference) }

func participantFor(caller, n int) string {
	return fmt.Sprintf("CA%016x%016x", caller, n%participantsACaller)
}

// distinct returns a conference and a participant, so that no update waits for another.
func distinct(caller, n int) (conference, participant string) {
	return conferenceOf(caller), participantFor(caller, n)
}

func overGRPC(servers ...*process) (do call, disconnect func()) {
	conns := make([]*grpc.ClientConn, grpcConnections)
	for i := range conns {
		var err error
		conns[i], err = grpc.NewClient(servers[i%len(servers)].grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return func(context.Context, int, int) error { return err }, func() {}
		}
	}
	do = func(ctx context.Context, caller, n int) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+tokenOf(caller))
		client := conferencev1.NewConferenceServiceClient(conns[caller%len(conns)])
		_, err := client.UpdateParticipant(ctx, &conferencev1.UpdateParticipantRequest{
			ConferenceSid: conferenceOf(caller), CallSid: participantFor(caller, n), Muted: proto.Bool(n%2 == 0),
		})
		return err
	}
	return do, func() {
		for _, conn := range conns {
			_ = conn.Close() // Nothing is in flight.
		}
	}
}

// overREST makes calls of which each mutes or unmutes a participant.
var overREST = restOf(updates{distinct, muting})

func muting(_, n int) string { return fmt.Sprintf(`{"muted": %t}`, n%2 == 0) }

// restOf names the account in the path, since the peer has no default account.
func restOf(u updates) protocol {
	return overHTTP(http.MethodPatch, "/v1/accounts/%s/conferences/%s/participants/%s", "application/json", u,
		func(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) })
}

// overForm makes the calls of overREST as Twilio's SDKs do.
var overForm = overHTTP(http.MethodPost, participantPath, "application/x-www-form-urlencoded",
	updates{distinct, func(_, n int) string { return fmt.Sprintf("Muted=%t", n%2 == 0) }},
	func(r *http.Request, token string) { r.SetBasicAuth(token, token) })

// overHTTP returns a protocol. The path is a format.
func overHTTP(method, path, contentType string, u updates, authorize func(r *http.Request, token string)) protocol {
	return func(servers ...*process) (do call, disconnect func()) {
		transport := &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
		do = func(ctx context.Context, caller, n int) error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			conference, participant := u.target(caller, n)
			url := "http://" + servers[caller%len(servers)].http + fmt.Sprintf(path, accountSID, conference, participant)
			r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(u.body(caller, n)))
			if err != nil {
				return err
			}
			r.Header.Set("Content-Type", contentType)
			authorize(r, tokenOf(caller))
			_, err = fetch(transport, r)
			return err
		}
		return do, transport.CloseIdleConnections
	}
}
