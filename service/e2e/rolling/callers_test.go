package rolling_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // For clients that ask for it.
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
)

// serviceConfig is that of the README.
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": "conference.v1.ConferenceService"},
  "methodConfig": [{
    "name": [{"service": "conference.v1.ConferenceService"}],
    "retryPolicy": {
      "maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
}`

// withoutHealth is the same for clients that do not watch health.
var withoutHealth = strings.Replace(serviceConfig, "healthCheckConfig", "ignored", 1)

// withoutRetries is for clients that leave it to gRPC alone, which repeats what it
// knows not to have begun.
var withoutRetries = strings.Replace(withoutHealth, "methodConfig", "ignoredToo", 1)

// announceURL is what call n plays, and nobody else.
func announceURL(n int64) string { return fmt.Sprintf("https://a.example/%d.mp3", n) }

// caller makes the call n for the participant.
type caller func(ctx context.Context, callSID string, n int64) error

// retries counts what clients did besides the calls.
type retries struct {
	calls, again                     atomic.Int64 // Over gRPC: attempts after one that failed.
	restCalls                        atomic.Int64
	unavailable, refused, unanswered atomic.Int64 // Over REST: requests after those.
}

// grpcCaller is a client of its own, with the service config.
func grpcCaller(t *testing.T, fleet *registry, config string, counts *retries) caller {
	t.Helper()
	resolver := fleet.resolver()
	conn, err := grpc.NewClient(resolver.Scheme()+":///",
		grpc.WithResolvers(resolver), grpc.WithDefaultServiceConfig(config),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(attemptCounter{counts}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client := conferencev1.NewConferenceServiceClient(conn)
	return func(ctx context.Context, callSID string, n int64) error {
		counts.calls.Add(1)
		_, err := client.UpdateParticipant(ctx, &conferencev1.UpdateParticipantRequest{
			ConferenceSid: sandbox.ConferenceSID, CallSid: callSID, AnnounceUrl: proto.String(announceURL(n)),
		})
		return err
	}
}

// attemptCounter counts attempts of gRPC that failed, but not those to watch
// health.
type attemptCounter struct{ *retries }

type isUpdate struct{}

func (attemptCounter) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if info.FullMethodName != conferencev1.ConferenceService_UpdateParticipant_FullMethodName {
		return ctx
	}
	return context.WithValue(ctx, isUpdate{}, true)
}

// HandleRPC counts failures: how often gRPC begins again is not told exactly.
func (c attemptCounter) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if end, ok := event.(*stats.End); ok && end.Error != nil && ctx.Value(isUpdate{}) != nil {
		c.again.Add(1)
	}
}

func (attemptCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (attemptCounter) HandleConn(context.Context, stats.ConnStats) {}

// maxRequests is how often a REST client tries.
const maxRequests = 10

// restCaller tries another replica where one answers 503, refuses the connection,
// or ends it without an answer.
func restCaller(t *testing.T, fleet *registry, counts *retries) caller {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return func(ctx context.Context, callSID string, n int64) error {
		counts.restCalls.Add(1)
		var err error
		for range maxRequests {
			var again bool
			if again, err = post(ctx, transport, fleet.next(), callSID, n, counts); !again {
				return err
			}
		}
		return err
	}
}

func post(
	ctx context.Context, transport http.RoundTripper, base, callSID string, n int64, counts *retries,
) (again bool, err error) {
	outgoing, err := http.NewRequestWithContext(ctx, http.MethodPost,
		base+"/v1/conferences/"+sandbox.ConferenceSID+"/participants/"+callSID,
		strings.NewReader(`{"announce_url": "`+announceURL(n)+`"}`))
	if err != nil {
		return false, err
	}
	incoming, err := transport.RoundTrip(outgoing)
	switch {
	case ctx.Err() != nil:
		return false, err
	case errors.Is(err, syscall.ECONNREFUSED):
		counts.refused.Add(1)
		return true, err
	case err != nil:
		counts.unanswered.Add(1)
		return true, err
	}
	defer incoming.Body.Close()
	text, err := io.ReadAll(incoming.Body)
	if err != nil {
		return false, err
	}
	switch incoming.StatusCode {
	case http.StatusOK:
		return false, nil
	case http.StatusServiceUnavailable:
		counts.unavailable.Add(1)
		return true, fmt.Errorf("%s: %s", incoming.Status, text)
	default:
		return false, fmt.Errorf("%s: %s", incoming.Status, text)
	}
}
