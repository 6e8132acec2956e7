package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"conferenced/service/delivery/redisstore"
	"conferenced/service/delivery/redisstore/redistest"
	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
	"conferenced/service/sandbox"
)

// sharing configures a server with Redis. Its requests have the time that they need on a
// busy machine.
func sharing(redis *redistest.Mini) func(*setup) {
	return func(s *setup) {
		s.Redis = redisstore.Config{URL: redis.URL, Lease: 10 * time.Second, Timeout: 9 * time.Second}
	}
}

// healthDetails returns the state of Redis in /healthz.
func healthDetails(t *testing.T, r *running) *redisDetails {
	t.Helper()
	code, _, body := askAdmin(t, r, http.MethodGet, "/healthz")
	var got details
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
		t.Fatalf("/healthz answers %d %s: %v", code, body, err)
	}
	return got.Redis
}

// TestARedisThatIsDown: the replica stays ready, and reports the failure.
func TestARedisThatIsDown(t *testing.T) {
	redis := redistest.StartMini(t)
	r := start(t, sharing(redis))
	before := time.Now()
	withID := func(id string) *request { return to(sandbox.AgentSID, &request{Hold: yes, RequestId: id}) }
	callGRPC(t, t.Context(), r, withID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"))
	wantValues(t, r, map[string]float64{
		`conferenced_shared_state_up`: 1,
		`conferenced_shared_state_requests_total{operation="claim",result="error"}`: 0,
		`conferenced_shared_state_alone_total`:                                      0,
		`conferenced_shared_state_lost_total{what="turn"}`:                          0,
	})
	awaitSeriesAtLeast(t, r, `conferenced_shared_state_requests_total{operation="claim",result="ok"}`, 1)
	awaitSeriesAtLeast(t, r, `conferenced_shared_state_request_duration_seconds{operation="claim"}`, 1)
	if got := healthDetails(t, r); got == nil || got.State != "up" || !got.Since.Before(before) {
		t.Errorf("/healthz says %+v, want that Redis is up", got)
	}

	redis.Close()
	awaitSeries(t, r, `conferenced_shared_state_up`, 0)
	if got := healthDetails(t, r); got.State != "down" || !got.Since.After(before) {
		t.Errorf("/healthz says %+v, want that Redis is down", got)
	}
	if code, _, body := askAdmin(t, r, http.MethodGet, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz answers %d %s", code, body)
	}
	earlier := scrape(t, r)
	got := callGRPC(t, t.Context(), r, withID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"))
	if reason := outcometest.Info(status.FromProto(got.status)).GetReason(); reason != outcome.StateUnavailable.Reason {
		t.Errorf("an update with a request id gets %q", reason)
	}
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	now := scrape(t, r)
	// A claim whose answer was lost is released again and again.
	notAsked := `conferenced_shared_state_requests_total{operation="claim",result="not_asked"}`
	if valueOf(now, notAsked) == valueOf(earlier, notAsked) {
		t.Errorf("%s has not moved", notAsked)
	}
	wantMoved(t, earlier, now, map[string]float64{
		`conferenced_shared_state_request_duration_seconds{operation="claim"}`: 0,
		`conferenced_shared_state_alone_total`:                                 1,
		`conferenced_delivery_refusals_total{reason="state_unavailable"}`:      1,
		`conferenced_upstream_attempts_total{outcome="ok"}`:                    1,
	})

	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	awaitSeries(t, r, `conferenced_shared_state_up`, 1)
}

func TestMetricsWithoutSharedState(t *testing.T) {
	r := start(t)
	for name := range scrape(t, r) {
		if strings.HasPrefix(name, "conferenced_shared_state") {
			t.Errorf("there is %s", name)
		}
	}
	if got := healthDetails(t, r); got != nil {
		t.Errorf("/healthz says %+v of Redis", got)
	}
}
