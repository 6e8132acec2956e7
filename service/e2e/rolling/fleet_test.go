package rolling_test

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
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
	// replicaCount is how many are registered at a time.
	replicaCount = 3
	// callTimeout is the deadline of a call, retries included. None gets near it.
	callTimeout = 30 * time.Second
	// shutdownTimeout is more, so that nothing is refused for want of time.
	shutdownTimeout = 2 * callTimeout
	// latency is how long Twilio takes, for calls to be under way at any time.
	latency = 2 * time.Millisecond
)

// twilioBox is the embedded Twilio on an address of its own, with as many
// participants as there are callers.
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

// manner is how the replicas of a round end.
type manner struct {
	drainDelay       time.Duration
	maxConnectionAge time.Duration
}

// manners take turns, round by round: as hard as can be, and as it should be. In
// both of them connections end by their age all the time.
var manners = []manner{
	{drainDelay: 0, maxConnectionAge: 100 * time.Millisecond},
	{drainDelay: 100 * time.Millisecond, maxConnectionAge: 50 * time.Millisecond},
}

// replica is a service that runs.
type replica struct {
	*server.Server
	stop  context.CancelFunc
	ended chan error
}

func startReplica(t *testing.T, box *twilioBox, m manner, log io.Writer) *replica {
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

// end waits for what stop began.
func (r *replica) end(t *testing.T) {
	t.Helper()
	if err := <-r.ended; err != nil {
		t.Errorf("a replica ended with %v", err)
	}
}

// registry knows the replicas, as DNS or the endpoints of a service do, and tells
// the clients of each change.
type registry struct {
	mu        sync.Mutex
	replicas  []*replica
	resolvers []*manual.Resolver
	turn      int
}

// resolver returns one that a gRPC client can have for itself.
func (g *registry) resolver() *manual.Resolver {
	g.mu.Lock()
	defer g.mu.Unlock()
	one := manual.NewBuilderWithScheme("fleet")
	one.InitialState(g.state())
	g.resolvers = append(g.resolvers, one)
	return one
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
	g.tell()
}

func (g *registry) remove(gone *replica) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replicas = slices.DeleteFunc(g.replicas, func(r *replica) bool { return r == gone })
	g.tell()
}

func (g *registry) tell() {
	for _, one := range g.resolvers {
		one.UpdateState(g.state())
	}
}

// oldest is the one to be replaced next.
func (g *registry) oldest() *replica {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.replicas[0]
}

// next is where the next request over REST goes.
func (g *registry) next() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn++
	return "http://" + g.replicas[g.turn%len(g.replicas)].HTTP.String()
}

// logged is what the replicas warn of.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
