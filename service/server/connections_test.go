package server

import (
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/health/grpc_health_v1"

	"conferenced/service/sandbox"
	"conferenced/service/telemetry"
)

func connect(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// awaitClosed reads until the server closes the connection.
func awaitClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection is not closed: %v", err)
	}
}

// postOn makes a REST call and reports whether it used a connection again.
func postOn(t *testing.T, r *running) (reused bool) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { reused = got.Reused },
	})
	if got := callREST(t, ctx, r, muting(sandbox.AgentSID)); got.status != nil {
		t.Errorf("REST: %v", got.status)
	}
	return reused
}

func TestConnectionsAtTheLimit(t *testing.T) {
	r := build(t)
	for _, listener := range r.listeners {
		listener.limit = 2
	}
	r.run(t)
	postOn(t, r)
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	scrape(t, r)
	for _, addr := range []net.Addr{r.GRPC, r.HTTP, r.Admin} {
		silent := connect(t, addr)
		for range r.listeners[0].limit {
			connect(t, addr) // It takes the place of the oldest.
		}
		awaitClosed(t, silent)
	}
	if !postOn(t, r) {
		t.Error("the connection of an authenticated call was closed")
	}
	if got := callGRPC(t, t.Context(), r, muting(sandbox.AgentSID)); got.status != nil {
		t.Errorf("gRPC: %v", got.status)
	}
	if got := callGRPC(t, t.Context(), &running{conn: dial(t, r.GRPC.String())}, muting(sandbox.AgentSID)); got.status != nil {
		t.Errorf("gRPC on a new connection: %v", got.status)
	}
	awaitClosed(t, connect(t, r.GRPC)) // Both that are open have brought a call.
	moved := scrape(t, r)
	for series, least := range map[string]float64{
		`conferenced_connections_closed_total{listener="grpc",reason="oldest"}`:  2,
		`conferenced_connections_closed_total{listener="grpc",reason="limit"}`:   1,
		`conferenced_connections_closed_total{listener="http",reason="oldest"}`:  1,
		`conferenced_connections_closed_total{listener="admin",reason="oldest"}`: 1,
	} {
		if got := valueOf(moved, series); got < least {
			t.Errorf("%s is %v", series, got)
		}
	}
}

// failing is a listener whose first Accept fails.
type failing struct {
	net.Listener
	err error
}

func (f *failing) Accept() (net.Conn, error) {
	if err := f.err; err != nil {
		f.err = nil
		return nil, err
	}
	return f.Listener.Accept()
}

func TestAFailedAcceptIsLoggedAndCounted(t *testing.T) {
	r := build(t)
	for _, listener := range r.listeners {
		listener.Listener = &failing{listener.Listener, &net.OpError{Op: "accept", Err: syscall.EMFILE}}
	}
	r.run(t)
	if got := callGRPC(t, t.Context(), r, muting(sandbox.AgentSID)); got.status != nil {
		t.Errorf("gRPC: %v", got.status)
	}
	postREST(t, r)
	for _, name := range []string{"grpc", "http", "admin"} {
		series := `conferenced_accept_failures_total{listener="` + name + `"}`
		if got := valueOf(scrape(t, r), series); got != 1 {
			t.Errorf("%s is %v", series, got)
		}
	}
	lines := r.log.lines(t, "accepting a connection failed")
	if len(lines) != 3 || !strings.Contains(lines[0].text("cause"), "too many open files") {
		t.Errorf("%v", lines)
	}
}

// TestLoadOfIncompleteGRPCRequests sends more than the limit in requests that do not
// end.
func TestLoadOfIncompleteGRPCRequests(t *testing.T) {
	r := build(t)
	r.listeners[0].maxLoad = 20 * requestLoad
	r.run(t)
	const size = 60 << 10
	conn := newRawHTTP2(t, connect(t, r.GRPC))
	for range 20*requestLoad/size + 1 {
		conn.sendIncomplete(size, 16<<10)
	}
	awaitSeriesAtLeast(t, r, `conferenced_connections_closed_total{listener="grpc",reason="load"}`, 1)
	if got := callGRPC(t, t.Context(), r, muting(sandbox.AgentSID)); got.status != nil {
		t.Errorf("another caller's call: %v", got.status)
	}
}

// TestLoadOfUnreadHTTP2Answers begins many requests whose answers cannot be written.
func TestLoadOfUnreadHTTP2Answers(t *testing.T) {
	files, trusted := tlsFiles(t)
	for _, path := range []string{"/openapi.json", "/docs", "/unknown"} {
		t.Run(path, func(t *testing.T) {
			r := build(t, func(s *setup) { s.Settings = withFiles(t, s.Settings, files) })
			r.listeners[1].maxLoad = 20 * requestLoad
			r.run(t)
			conn := newRawHTTP2(t, dialTLS(t, r.HTTP, trusted, nil), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			for range 21 {
				conn.headers(true, ":method", "GET", ":scheme", "https", ":authority", r.HTTP.String(), ":path", path)
			}
			awaitSeriesAtLeast(t, r, `conferenced_connections_closed_total{listener="http",reason="load"}`, 1)
		})
	}
}

// TestLoadOfUnreadGRPCAnswers makes calls and does not read the answers, which repeat
// the name of the service.
func TestLoadOfUnreadGRPCAnswers(t *testing.T) {
	r := build(t)
	r.listeners[0].maxLoad, r.listeners[0].maxWork = 50*requestLoad, 1<<30
	r.run(t)
	conn := newRawHTTP2(t, connect(t, r.GRPC))
	method := "/" + strings.Repeat("a", 4<<10) + "/Method"
	for until := time.Now().Add(patience); valueOf(scrape(t, r), `conferenced_connections_closed_total{listener="grpc",reason="load"}`) == 0; {
		if time.Now().After(until) {
			t.Fatal("the connection was not closed")
		}
		for range 10 {
			conn.beginCall(method, true)
		}
	}
}

// TestWorkWithoutAnAuthenticatedCall delays the reads of such a connection, until it
// brings one.
func TestWorkWithoutAnAuthenticatedCall(t *testing.T) {
	r := build(t)
	now := make(chan time.Time)
	r.listeners[0].maxWork = 3 * requestWork
	r.listeners[0].after = func(time.Duration) <-chan time.Time { return now }
	r.run(t)
	check := func(client grpc_health_v1.HealthClient) error {
		_, err := client.Check(t.Context(), new(grpc_health_v1.HealthCheckRequest))
		return err
	}
	client := grpc_health_v1.NewHealthClient(r.conn)
	done := make(chan error, 10)
	for range cap(done) {
		go func() { done <- check(client) }()
	}
	awaitSeriesAtLeast(t, r, `conferenced_connection_reads_delayed_total{listener="grpc"}`, 1)
	if err := check(grpc_health_v1.NewHealthClient(dial(t, r.GRPC.String()))); err != nil {
		t.Errorf("another connection: %v", err)
	}
	for finished := 0; finished < cap(done); {
		select {
		case now <- time.Time{}:
		case err := <-done:
			finished++
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// TestAuthenticationEndsDelays reads on when a call on the connection is authenticated.
func TestAuthenticationEndsDelays(t *testing.T) {
	server, client := net.Pipe()
	l := newConnections(nil, 1, nil, telemetry.NewMetrics("", "").Listener("grpc"))
	l.maxWork = 1
	delayed := make(chan struct{})
	l.after = func(time.Duration) <-chan time.Time { close(delayed); return nil }
	c := newConn(server, l)
	l.add(c)
	go func() { _, _ = io.WriteString(client, "abc") }()
	read := make(chan error)
	go func() { _, err := io.ReadFull(iotest.OneByteReader(c), make([]byte, 3)); read <- err }()
	await(t, delayed, "a delay")
	c.setAuthenticated()
	if err := await(t, read, "the reads"); err != nil {
		t.Error(err)
	}
}

func awaitSeriesAtLeast(t *testing.T, r *running, series string, least float64) {
	t.Helper()
	for until := time.Now().Add(patience); valueOf(scrape(t, r), series) < least; {
		if time.Now().After(until) {
			t.Fatalf("%s stays below %v", series, least)
		}
	}
}

// TestASilentConnectionInADrain is closed after its grace, so that the other clients of
// gRPC get their GOAWAY.
func TestASilentConnectionInADrain(t *testing.T) {
	for _, listener := range []string{"grpc", "http"} {
		t.Run(listener, func(t *testing.T) {
			r := build(t)
			over := make(chan time.Time)
			r.ending.after = func(got time.Duration) <-chan time.Time {
				if got != unusedGrace {
					t.Errorf("a grace of %v", got)
				}
				return over
			}
			r.run(t)
			addr := map[string]net.Addr{"grpc": r.GRPC, "http": r.HTTP}[listener]
			silent := connect(t, addr)
			conn := connectHTTP2(t, r.GRPC) // Connections are accepted in their order.
			if listener == "http" {
				postREST(t, r)
			}
			r.stop()
			over <- time.Time{}
			awaitClosed(t, silent)
			conn.awaitGoAway(t)
		})
	}
}
