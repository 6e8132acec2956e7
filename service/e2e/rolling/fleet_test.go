package rolling_test

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"conferenced/service/delivery"
	"conferenced/service/sandbox"
	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

const (
	// replicaCount is the number of replicas in the registry.
	replicaCount = 3
	// callTimeout is the deadline of a call, repeats included. No call comes close to it.
	callTimeout = 30 * time.Second
	// shutdownTimeout is longer, so that no call is refused for its deadline.
	shutdownTimeout = 2 * callTimeout
	// latency is how long the embedded Twilio takes to answer, so that calls are in
	// flight at any time.
	latency = 2 * time.Millisecond
)

// twilioBox is the embedded Twilio on an address of its own, with a participant for
// each client.
type twilioBox struct {
	*sandbox.Sandbox
	url      string
	callSIDs []string
}

func newTwilio(t *testing.T, participants int) *twilioBox {
	t.Helper()
	box := &twilioBox{Sandbox: sandbox.New(sandbox.Config{Latency: latency})}
	upstream := httptest.NewServer(box)
	t.Cleanup(upstream.Close)
	t.Cleanup(box.Close)
	box.url = upstream.URL
	for range participants {
		p, err := box.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{})
		if err != nil {
			t.Fatal(err)
		}
		box.callSIDs = append(box.callSIDs, p.CallSID)
	}
	return box
}

func (b *twilioBox) settings(t *testing.T) *settings.Live {
	t.Helper()
	accounts, err := twilio.NewAccounts(sandbox.AccountSID, twilio.Account{
		SID: sandbox.AccountSID, Username: sandbox.AccountSID,
		Password: twilio.NewSecret(sandbox.AuthToken), BaseURL: b.url,
	})
	if err != nil {
		t.Fatal(err)
	}
	live, err := settings.NewLive(settings.Files{}, settings.Base{Accounts: accounts}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// mode is how the replicas of a round end.
type mode struct {
	drainDelay       time.Duration
	maxConnectionAge time.Duration
}

// modes alternate from round to round: without a drain delay, and with one. In both,
// connections reach their maximum age all the time.
var modes = []mode{
	{drainDelay: 0, maxConnectionAge: 100 * time.Millisecond},
	{drainDelay: 100 * time.Millisecond, maxConnectionAge: 50 * time.Millisecond},
}

// replica is a running service.
type replica struct {
	*server.Server
	stop  context.CancelFunc
	ended chan error
}

func startReplica(t *testing.T, box *twilioBox, m mode, log io.Writer) *replica {
	t.Helper()
	logger, err := telemetry.NewLogger(log, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	created, err := server.New(server.Config{
		GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		Settings: box.settings(t), Delivery: delivery.Default(), Logger: logger,
		DefaultTimeout: callTimeout, DrainDelay: m.drainDelay, ShutdownTimeout: shutdownTimeout,
		MaxConnectionAge: m.maxConnectionAge, MaxConnectionAgeGrace: callTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &replica{Server: created, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- r.Run(ctx) }()
	return r
}

// wait waits until the replica has ended, after stop.
func (r *replica) wait(t *testing.T) {
	t.Helper()
	if err := <-r.ended; err != nil {
		t.Errorf("a replica ended with %v", err)
	}
}

// registry lists the replicas, as DNS or the endpoints of a Kubernetes service do, and
// reports each change to the clients.
type registry struct {
	mu        sync.Mutex
	replicas  []*replica
	resolvers []*manual.Resolver
	nextREST  int
}

// resolver returns a resolver for one gRPC client.
func (g *registry) resolver() *manual.Resolver {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := manual.NewBuilderWithScheme("fleet")
	r.InitialState(g.state())
	g.resolvers = append(g.resolvers, r)
	return r
}

func (g *registry) state() resolver.State {
	var state resolver.State
	for _, r := range g.replicas {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: r.GRPC.String()})
	}
	return state
}

func (g *registry) add(r *replica) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replicas = append(g.replicas, r)
	g.report()
}

func (g *registry) remove(gone *replica) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replicas = slices.DeleteFunc(g.replicas, func(r *replica) bool { return r == gone })
	g.report()
}

func (g *registry) report() {
	for _, r := range g.resolvers {
		r.UpdateState(g.state())
	}
}

// oldest returns the replica to be replaced next.
func (g *registry) oldest() *replica {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.replicas[0]
}

// next returns the base URL for the next REST request, in rotation.
func (g *registry) next() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.nextREST++
	return "http://" + g.replicas[g.nextREST%len(g.replicas)].HTTP.String()
}
