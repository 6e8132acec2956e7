package redisstore

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/rueidis"

	"conferenced/service/delivery"
	"conferenced/service/delivery/redisstore/redistest"
	"conferenced/service/leaktest"
	"conferenced/service/outcome"
	"conferenced/service/property"
)

func TestMain(m *testing.M) {
	runReplica()
	_ = flag.Set("test.parallel", "8") // The tests wait for leases to end, and need little CPU.
	code := leaktest.Run(m, redistest.Delays)
	cluster.stop()
	os.Exit(code)
}

const (
	// patience bounds every wait for something that must happen. A sentinel that was not
	// scheduled in time does nothing for 30 s.
	patience = 50 * time.Second
	// A shortLease ends soon after it is not renewed any more. A longLease does not end
	// during a test, however slow the machine is.
	shortLease = 2 * time.Second
	longLease  = time.Minute
)

var quiet = slog.New(slog.DiscardHandler)

func testBounds() delivery.Bounds {
	return delivery.Bounds{
		Queue: 3, Labels: 100, LabelAge: time.Minute, Records: 100, Retention: time.Minute,
	}
}

// backend is a Redis for a test.
type backend struct {
	url         string
	stop, start func()
	// hang lets it accept connections and answer nothing until resume is called.
	hang func() (resume func())
	// connections returns how many were made so far.
	connections func() int
}

// eachBackend runs a test with miniredis and, if it is installed, with redis-server,
// in parallel with other tests.
func eachBackend(t *testing.T, test func(*testing.T, *backend)) {
	t.Helper()
	t.Parallel()
	for name, start := range map[string]func(testing.TB) *backend{"miniredis": startMini, "redis": startReal} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

func startMini(t testing.TB) *backend {
	t.Helper()
	server := redistest.StartMini(t)
	return &backend{
		url:  server.URL,
		stop: server.Close,
		start: func() {
			server.FlushAll()
			// Another connection may have the port for a moment.
			await(t, "miniredis listens again", func() bool { return server.Restart() == nil })
		},
		hang:        func() func() { return hangMini(t, server.Miniredis) },
		connections: server.TotalConnectionCount,
	}
}

func hangMini(t testing.TB, server *miniredis.Miniredis) (resume func()) {
	hanging := make(chan struct{})
	server.Server().SetPreHook(func(*miniserver.Peer, string, ...string) bool {
		<-hanging
		return false
	})
	resume = sync.OnceFunc(func() {
		server.Server().SetPreHook(nil)
		close(hanging)
	})
	t.Cleanup(resume)
	return resume
}

func startReal(t testing.TB) *backend {
	t.Helper()
	server := redistest.StartServer(t, "--save", "")
	return &backend{
		url:  server.URL,
		stop: server.Kill,
		start: func() {
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
		},
		hang: func() func() {
			server.Signal(sigStop)
			resume := func() { server.Signal(sigCont) }
			t.Cleanup(resume)
			return resume
		},
		connections: monitor(t, server.URL),
	}
}

// monitor returns a function that asks on a connection of its own.
func monitor(t testing.TB, url string) (connections func() int) {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.MustParseURL(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return func() int {
		info, err := client.Do(context.Background(), client.B().Info().Section("stats").Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(info, "total_connections_received:")
		made, _ := strconv.Atoi(strings.Fields(after)[0])
		return made
	}
}

// cluster is a cluster of one node, which rejects scripts that cross slots. All tests
// share it, since it takes a while to start.
var cluster clusterNode

type clusterNode struct {
	mu           sync.Mutex // Held by the test that uses it.
	server       *redistest.Server
	dir, address string
}

// use returns the cluster with all keys removed.
func (c *clusterNode) use(t *testing.T) *backend {
	t.Helper()
	c.mu.Lock()
	t.Cleanup(c.mu.Unlock)
	if c.server == nil {
		c.start(t)
	}
	await(t, "the cluster is empty and has all slots", func() bool { return takeSlots(t, c.address) })
	return &backend{url: "redis://" + c.address}
}

func (c *clusterNode) start(t *testing.T) {
	t.Helper()
	if c.dir == "" {
		var err error
		if c.dir, err = os.MkdirTemp("", "cluster"); err != nil {
			t.Fatal(err)
		}
	}
	n := startNode(t, c.dir, clusterArgs(t))
	c.server, c.address = n.Server, n.address()
}

func (c *clusterNode) stop() {
	if c.server != nil {
		c.server.Kill()
	}
	_ = os.RemoveAll(c.dir)
}

func takeSlots(t *testing.T, address string) bool {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true,
	})
	if err != nil {
		return false
	}
	defer client.Close()
	const last = 16383
	client.Do(t.Context(), client.B().ClusterAddslotsrange().StartSlotEndSlot().StartSlotEndSlot(0, last).Build())
	client.Do(t.Context(), client.B().Flushall().Build())
	info, err := client.Do(t.Context(), client.B().ClusterInfo().Build()).ToString()
	return err == nil && strings.Contains(info, "cluster_state:ok")
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// await polls until is returns true.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}

// dial returns the store of one replica.
func dial(t *testing.T, cfg Config) *Store {
	t.Helper()
	return dialTo(t, cfg, quiet)
}

func dialTo(t *testing.T, cfg Config, logger *slog.Logger) *Store {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = cfg.Lease * 3 / 4
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := Dial(cfg, testBounds(), logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// freeze does what stopping the process would do: no lease is renewed and no
// notification is received any more.
func (s *Store) freeze() {
	s.stop()
	s.loops.Wait()
}

// within returns a context that ends after the test's patience.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func participant(name string) delivery.Participant {
	return delivery.Participant{Conference: delivery.Conference{Account: "AC1", SID: "CF1"}, Name: name}
}

// The sets of properties that most tests use.
const (
	muted    = property.Set(1 << property.Muted)
	held     = property.Set(1 << property.Hold)
	announce = property.Set(1 << property.AnnounceURL)
)

func join(t *testing.T, s delivery.Store, name string, sets property.Set) delivery.Entry {
	t.Helper()
	return joinAs(t, s, "caller", name, sets)
}

func joinAs(t *testing.T, s delivery.Store, caller, name string, sets property.Set) delivery.Entry {
	t.Helper()
	e, err := s.Join(within(t), queued(caller, name, sets))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func queued(caller, name string, sets property.Set) delivery.Queued {
	return delivery.Queued{Participant: participant(name), Properties: sets, Caller: caller}
}

// begin waits until the update is the one to be sent, and returns an error if it ends
// before that.
func begin(t *testing.T, e delivery.Entry) error {
	t.Helper()
	ctx := within(t)
	for {
		select {
		case permit := <-e.Turns():
			if permit != nil {
				return nil
			}
			if begun, err := e.Begin(ctx, new(delivery.Permit)); begun || err != nil {
				return err
			}
		case <-e.Over():
			return e.Err()
		case <-ctx.Done():
			return errors.New("the update gets no turn")
		}
	}
}

func wantBegins(t *testing.T, what string, e delivery.Entry) {
	t.Helper()
	if err := begin(t, e); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// wantWaits wants the update to have no turn, and to be in its queue.
func wantWaits(t *testing.T, what string, e delivery.Entry) {
	t.Helper()
	select {
	case <-e.Turns():
		t.Fatalf("%s: it has a turn", what)
	case <-e.Over():
		t.Fatalf("%s: %v", what, e.Err())
	default:
	}
}

// wantPassedOver wants another update to begin in the turn of this one.
func wantPassedOver(t *testing.T, e delivery.Entry) {
	t.Helper()
	<-e.Turns()
	if begun, err := e.Begin(within(t), new(delivery.Permit)); begun || err != nil {
		t.Fatalf("the update begins: %t, %v", begun, err)
	}
}

// wantHeld wants the replica to own the request id right before an attempt.
func wantHeld(t *testing.T, s delivery.Store, k delivery.Key) {
	t.Helper()
	if err := s.Hold(within(t), k); err != nil {
		t.Fatalf("the request id is not held: %v", err)
	}
}

// wantOver wants the update to be out of its queue, and leaves.
func wantOver(t *testing.T, e delivery.Entry, want outcome.Kind) {
	t.Helper()
	wantClosed(t, want.Reason, e.Over())
	wantRefused(t, e.Err(), want)
	e.Leave()
}

// finish ends an update with its first attempt.
func finish(e delivery.Entry, applied outcome.Applied) {
	e.End(delivery.End{Applied: applied})
	e.Leave()
}

// send begins the attempt and ends it with success.
func send(t *testing.T, what string, e delivery.Entry) {
	t.Helper()
	wantBegins(t, what, e)
	finish(e, outcome.Yes)
}

func wantClosed(t *testing.T, what string, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-within(t).Done():
		t.Fatalf("not in time: %s", what)
	}
}

func wantRefused(t *testing.T, err error, want outcome.Kind) {
	t.Helper()
	if !outcome.Is(err, want) {
		t.Errorf("the error is %v, want %s", err, want.Reason)
	}
}
