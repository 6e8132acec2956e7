package storm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"conferenced/service/delivery"
	"conferenced/service/delivery/redisstore"
	"conferenced/service/leaktest"
	"conferenced/service/sandbox"
	"conferenced/service/server"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

const (
	// connections is the number of gRPC connections that the callers share.
	connections = 3
	// waitTimeout is the timeout of every wait.
	waitTimeout = time.Minute
	// pollEvery is the interval of polling in await.
	pollEvery = 5 * time.Millisecond
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// setup is the configuration of the service.
type setup struct {
	delivery       delivery.Config
	attemptTimeout time.Duration // 0: the client's default
	defaultTimeout time.Duration
	through        string // The address of a proxy in front of the upstream; may be empty.
	redis          redisstore.Config
	replicas       int // 0: one
}

// world is the service with its clients and an embedded Twilio, on real sockets.
type world struct {
	upstream *upstream
	servers  []*server.Server // The replicas.
	conns    []*grpc.ClientConn
	http     *http.Client
	stop     context.CancelFunc
	stopped  chan error // Receives the error of each replica.
}

func newWorld(t *testing.T, s setup, up *upstream) *world {
	t.Helper()
	w := &world{
		upstream: up,
		http:     &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		stopped:  make(chan error),
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	for range max(1, s.replicas) {
		replica := newServer(t, s, up.addr)
		w.servers = append(w.servers, replica)
		go func() { w.stopped <- replica.Run(ctx) }()
	}
	for i := range connections {
		conn, err := grpc.NewClient(w.servers[i%len(w.servers)].GRPC.String(),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		w.conns = append(w.conns, conn)
	}
	return w
}

func newServer(t *testing.T, s setup, upstreamAddr string) *server.Server {
	t.Helper()
	if s.through != "" {
		upstreamAddr = s.through
	}
	// The logger formats every line, so that races in logging are found.
	logger, err := telemetry.NewLogger(io.Discard, "debug", "json")
	if err != nil {
		t.Fatal(err)
	}
	created, err := server.New(server.Config{
		GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		Settings:        newSettings(t, upstreamAddr),
		Upstream:        twilio.Config{AnswerTimeout: s.attemptTimeout},
		Delivery:        s.delivery,
		Redis:           s.redis,
		DefaultTimeout:  s.defaultTimeout,
		ShutdownTimeout: waitTimeout,
		Logger:          logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// health is the state in the admin listener's /healthz.
type health struct {
	Upstream []delivery.UpstreamState `json:"upstream"`
	Delivery delivery.Stats           `json:"delivery"`
}

func (w *world) health(ctx context.Context) (health, error) {
	var all health
	for _, replica := range w.servers {
		h, err := w.healthOf(ctx, replica)
		if err != nil {
			return all, err
		}
		all.Upstream = append(all.Upstream, h.Upstream...)
		all.Delivery = sum(all.Delivery, h.Delivery)
	}
	return all, nil
}

func (w *world) healthOf(ctx context.Context, replica *server.Server) (health, error) {
	var h health
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+replica.Admin.String()+"/healthz", http.NoBody)
	if err != nil {
		return h, err
	}
	response, err := w.http.Do(request)
	if err != nil {
		return h, err
	}
	defer response.Body.Close()
	return h, json.NewDecoder(response.Body).Decode(&h)
}

// await polls the health until wanted reports true, and returns it.
func (w *world) await(t *testing.T, what string, wanted func(health) bool) health {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		h, err := w.health(ctx)
		if err == nil && wanted(h) {
			return h
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("timeout waiting until %s; the health is %+v, %v", what, h, err)
		}
	}
}

// idle reports whether no update is in flight or waits.
func idle(h health) bool {
	for _, state := range h.Upstream {
		if state.InFlight != 0 || state.Waiting != 0 {
			return false
		}
	}
	return h.Delivery.Queues == 0 && h.Delivery.Waiting == 0
}

// expired reports whether the service is idle and keeps no state.
func expired(h health) bool { return idle(h) && h.Delivery.Sizes == (delivery.Sizes{}) }

// close closes the clients, the servers and the upstream, in this order. After it,
// nothing more is applied.
func (w *world) close(t *testing.T) {
	t.Helper()
	for _, conn := range w.conns {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	w.http.CloseIdleConnections()
	w.stop()
	for range w.servers {
		if err := <-w.stopped; err != nil {
			t.Errorf("a server ended with %v", err)
		}
	}
	w.upstream.close()
}

// participantPath returns a participant's path in the REST API.
func participantPath(name string) string {
	return fmt.Sprintf("/v1/accounts/%s/conferences/%s/participants/%s",
		sandbox.AccountSID, sandbox.ConferenceSID, name)
}
