package rolling_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // For clients that watch health.
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"conferenced/gen/client"
	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
)

// serviceConfig returns the one that clients should use.
func serviceConfig(t *testing.T) string {
	t.Helper()
	config, err := client.Files.ReadFile(client.ServiceConfig)
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

// withoutHealth is a service config for clients that do not watch health.
const withoutHealth = `{"loadBalancingConfig": [{"round_robin": {}}]}`

// update makes an update and repeats it while that can help and does no harm, at most
// until ctx ends.
func update(
	ctx context.Context, client conferencev1.ConferenceServiceClient, request *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	request.RequestId = uuid.NewString()
	for {
		response, err := client.UpdateParticipant(ctx, request)
		delay, again := repeatAfter(request, err)
		if !again {
			return response, err
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// repeatAfter reports whether an update that ended with err should be repeated, and
// after which delay. It gives the request a new request_id if it needs one.
func repeatAfter(request *conferencev1.UpdateParticipantRequest, err error) (delay time.Duration, again bool) {
	var info *errdetails.ErrorInfo
	var retry *errdetails.RetryInfo
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			info = detail
		case *errdetails.RetryInfo:
			retry = detail
		}
	}
	unavailable := status.Code(err) == codes.Unavailable
	switch info.GetMetadata()["applied"] {
	case "no": // It was not applied. RetryInfo says whether repeating it can help.
		return retry.GetRetryDelay().AsDuration(), retry != nil
	case "maybe": // UNAVAILABLE says that repeating it does no harm.
		request.RequestId = uuid.NewString()
		return 100 * time.Millisecond, unavailable
	case "": // There was no answer. The request_id keeps it from being applied twice.
		return 100 * time.Millisecond, unavailable
	}
	return 0, false
}

// announceURL is what call n plays, and no other call.
func announceURL(n int64) string { return fmt.Sprintf("https://a.example/%d.mp3", n) }

// loadClient makes the call n for a participant.
type loadClient func(ctx context.Context, callSID string, n int64) error

// counters count the attempts of clients.
type counters struct {
	calls, attempts                  atomic.Int64 // Over gRPC.
	restCalls                        atomic.Int64
	unavailable, refused, unanswered atomic.Int64 // REST requests that were repeated.
}

// newGRPCClient returns a client with a connection of its own.
func newGRPCClient(t *testing.T, fleet *registry, config string, counts *counters) loadClient {
	t.Helper()
	resolver := fleet.resolver()
	conn, err := grpc.NewClient(resolver.Scheme()+":///",
		grpc.WithResolvers(resolver), grpc.WithDefaultServiceConfig(config),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(
			ctx context.Context, method string, request, response any, conn *grpc.ClientConn,
			invoke grpc.UnaryInvoker, options ...grpc.CallOption,
		) error {
			counts.attempts.Add(1)
			return invoke(ctx, method, request, response, conn, options...)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	service := conferencev1.NewConferenceServiceClient(conn)
	return func(ctx context.Context, callSID string, n int64) error {
		counts.calls.Add(1)
		_, err := update(ctx, service, &conferencev1.UpdateParticipantRequest{
			ConferenceSid: sandbox.ConferenceSID, CallSid: callSID, AnnounceUrl: proto.String(announceURL(n)),
		})
		return err
	}
}

// maxRequests is how often a REST client sends a call.
const maxRequests = 10

// newRESTClient returns a client that repeats a call at the next replica, with the same
// Idempotency-Key, if it was not applied, could not be sent, or got no answer.
func newRESTClient(t *testing.T, fleet *registry, counts *counters) loadClient {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return func(ctx context.Context, callSID string, n int64) error {
		counts.restCalls.Add(1)
		body := fmt.Appendf(nil, `{"announce_url": %q, "request_id": %q}`, announceURL(n), uuid.NewString())
		var err error
		for range maxRequests {
			var again bool
			if again, err = post(ctx, transport, fleet.next(), callSID, body, counts); !again {
				return err
			}
		}
		return err
	}
}

func post(
	ctx context.Context, transport http.RoundTripper, base, callSID string, body []byte, counts *counters,
) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		base+"/v1/conferences/"+sandbox.ConferenceSID+"/participants/"+callSID, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	response, err := transport.RoundTrip(request)
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
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return false, err
	case response.StatusCode == http.StatusOK:
		return false, nil
	case response.StatusCode == http.StatusServiceUnavailable && isNotApplied(text):
		counts.unavailable.Add(1)
		again = true
	}
	return again, fmt.Errorf("%s: %s", response.Status, text)
}

// isNotApplied reports whether the body of an error says so.
func isNotApplied(body []byte) bool {
	var failed struct {
		Details []struct{ Metadata map[string]string }
	}
	return json.Unmarshal(body, &failed) == nil && len(failed.Details) > 0 &&
		failed.Details[0].Metadata["applied"] == "no"
}
