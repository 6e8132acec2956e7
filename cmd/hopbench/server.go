package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"path"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	api "github.com/twilio/twilio-go/rest/api/v2010"
	"google.golang.org/grpc"

	conferencev1 "conferenced/gen/conference/v1"
)

const (
	accountSID    = "AC00000000000000000000000000000001"
	conferenceSID = "CF00000000000000000000000000000001"
	callSID       = "CA00000000000000000000000000000001"
	authToken     = "00112233445566778899aabbccddeeff"

	// participantPath is Twilio's path of a participant, a format.
	participantPath = "/2010-04-01/Accounts/%s/Conferences/%s/Participants/%s.json"
)

// server has the handlers of one of hopbench's own processes.
type server struct {
	service conferencev1.ConferenceServiceServer
	http    http.Handler
}

// servers are functions that return a server, by its name. They get the argument of the
// process and its own gRPC address.
var servers = map[string]func(argument, grpcAddr string) (server, error){
	"floor":  newFloor, // The argument is Twilio's base URL.
	"peer":   newPeer,  // The same.
	"twilio": newStub,  // The argument is how long each answer takes.
}

// serve runs a server on free loopback ports until ctx is done. It logs the
// addresses as conferenced does. The process ends after it, so nothing is closed.
func serve(ctx context.Context, name, argument string, log io.Writer) error {
	var listeners [3]net.Listener
	for i := range listeners {
		var err error
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	grpcListener, httpListener, adminListener := listeners[0], listeners[1], listeners[2]
	s, err := servers[name](argument, grpcListener.Addr().String())
	if err != nil {
		return err
	}
	grpcServer := grpc.NewServer()
	conferencev1.RegisterConferenceServiceServer(grpcServer, s.service)
	httpServer := http.Server{Handler: s.http, ReadHeaderTimeout: patience}
	adminServer := http.Server{Handler: adminHandler(), ReadHeaderTimeout: patience}
	failed := make(chan error, len(listeners))
	go func() { failed <- grpcServer.Serve(grpcListener) }()
	go func() { failed <- httpServer.Serve(httpListener) }()
	go func() { failed <- adminServer.Serve(adminListener) }()
	slog.New(slog.NewTextHandler(log, nil)).Info("serving",
		"grpc", grpcListener.Addr().String(), "http", httpListener.Addr().String(), "admin", adminListener.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// adminHandler serves the pages of conferenced's admin address that hopbench
// requests.
func adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /metrics", promhttp.Handler())
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return mux
}

// newStub returns the stub of Twilio's API: every update succeeds after a delay, and
// every conference has the participants of a bulk operation.
func newStub(argument, _ string) (server, error) {
	delay, err := time.ParseDuration(argument)
	if err != nil {
		return server{}, err
	}
	answer := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // If it fails, the client has disconnected.
		time.Sleep(delay)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Twilio-Request-Id", "RQ00000000000000000000000000000001")
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, stubList(path.Base(path.Dir(r.URL.Path))))
			return
		}
		_, _ = io.WriteString(w, stubAnswer(path.Base(path.Dir(path.Dir(r.URL.Path))), strings.TrimSuffix(path.Base(r.URL.Path), ".json")))
	}
	return server{conferencev1.UnimplementedConferenceServiceServer{}, http.HandlerFunc(answer)}, nil
}

func stubAnswer(conferenceSID, callSID string) string {
	return `{"account_sid": "` + accountSID + `", "call_sid": "` + callSID + `", ` +
		`"label": null, "call_sid_to_coach": null, "coaching": false, "conference_sid": "` + conferenceSID + `", ` +
		`"date_created": "Fri, 18 Feb 2011 21:07:19 +0000", "date_updated": "Fri, 18 Feb 2011 21:07:19 +0000", ` +
		`"end_conference_on_exit": false, "muted": true, "hold": false, "start_conference_on_enter": true, ` +
		`"status": "connected", "queue_time": "1000", "uri": "` + fmt.Sprintf(participantPath, accountSID, conferenceSID, callSID) + `"}`
}

func stubList(conferenceSID string) string {
	var list strings.Builder
	for i := range bulkSize {
		list.WriteString(", " + stubAnswer(conferenceSID, participantFor(i, 0)))
	}
	return `{"participants": [` + list.String()[2:] + `], "next_page_uri": null}`
}

// tunedTransport is the connection pool that floor and peer use toward Twilio.
func tunedTransport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: 50 * time.Second, DisableCompression: true}
}

// floor is the least that a service between gRPC and Twilio can do: one POST of
// a fixed form and a fixed response.
type floor struct {
	conferencev1.UnimplementedConferenceServiceServer
	client   *http.Client
	url      string
	response *conferencev1.UpdateParticipantResponse
}

func newFloor(upstream, _ string) (server, error) {
	var participant api.ApiV2010Participant
	if err := json.Unmarshal([]byte(stubAnswer(conferenceSID, callSID)), &participant); err != nil {
		return server{}, err
	}
	return server{service: &floor{
		client:   &http.Client{Transport: tunedTransport()},
		url:      upstream + fmt.Sprintf(participantPath, accountSID, conferenceSID, callSID),
		response: &conferencev1.UpdateParticipantResponse{Participant: participantOf(&participant)},
	}}, nil
}

// UpdateParticipant makes the fixed POST, whatever the request asks for.
func (f *floor) UpdateParticipant(
	ctx context.Context, _ *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, strings.NewReader("Muted=true"))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the upstream answered %s", answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return f.response, err
}
