package server

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"conferenced/service/outcome"
)

func (r *running) healthOf(ctx context.Context, service string) (string, error) {
	answer, err := grpc_health_v1.NewHealthClient(r.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	return answer.GetStatus().String(), err
}

// watchHealth returns a watch that has received SERVING.
func watchHealth(t *testing.T, r *running, service string) grpc_health_v1.Health_WatchClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	watch, err := grpc_health_v1.NewHealthClient(r.conn).Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	nextHealth(t, watch, "SERVING")
	return watch
}

func nextHealth(t *testing.T, watch grpc_health_v1.Health_WatchClient, want string) {
	t.Helper()
	answer, err := watch.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.GetStatus().String(); got != want {
		t.Fatalf("health %s, want %s", got, want)
	}
}

// everyService has the services that health knows.
var everyService = []string{"", serviceName}

func TestHealth(t *testing.T) {
	r := start(t)
	for _, service := range everyService {
		if got, err := r.healthOf(t.Context(), service); got != "SERVING" || err != nil {
			t.Errorf("%q: %s, %v", service, got, err)
		}
	}
	if _, err := r.healthOf(t.Context(), "conference.v1.Other"); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v", err)
	}
}

// TestWatchesEndWithTheService: they do not delay the shutdown.
func TestWatchesEndWithTheService(t *testing.T) {
	r := start(t)
	var watches []grpc_health_v1.Health_WatchClient
	for _, service := range everyService {
		watches = append(watches, watchHealth(t, r, service))
	}
	unknown, err := grpc_health_v1.NewHealthClient(r.conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "other"})
	if err != nil {
		t.Fatal(err)
	}
	nextHealth(t, unknown, "SERVICE_UNKNOWN")

	r.stop()
	for _, watch := range watches {
		nextHealth(t, watch, "NOT_SERVING")
	}
	want := refusal{kind: outcome.ShuttingDown, retry: retryDelay}
	for _, watch := range append(watches, unknown) {
		_, err := watch.Recv()
		want.check(t, reply{status: status.Convert(err).Proto()})
	}
	r.checkEnded(t)
}

func TestAWatchThatItsClientEnds(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	watch, err := grpc_health_v1.NewHealthClient(r.conn).Watch(ctx, new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	nextHealth(t, watch, "SERVING")
	cancel()
	if _, err := watch.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("%v", err)
	}
	if got, err := r.healthOf(t.Context(), serviceName); got != "SERVING" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}
