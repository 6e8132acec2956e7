package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// rawHTTP2 is a client's HTTP/2 connection that can break the rules of gRPC.
type rawHTTP2 struct {
	*http2.Framer
	addr   string
	stream uint32
}

func newRawHTTP2(t *testing.T, conn net.Conn, settings ...http2.Setting) *rawHTTP2 {
	t.Helper()
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	c := &rawHTTP2{Framer: http2.NewFramer(conn, conn), addr: conn.RemoteAddr().String()}
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.stream = ^uint32(0)
	if err := c.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return c
}

// headers begins a stream. Errors of the connection, which the server may close, are
// seen by the test when it reads.
func (c *rawHTTP2) headers(end bool, pairs ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(pairs); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	c.stream += 2
	_ = c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: c.stream, BlockFragment: block.Bytes(), EndStream: end, EndHeaders: true,
	})
}

// sendIncomplete begins an update and sends the first bytes of its message in frames.
func (c *rawHTTP2) sendIncomplete(size, frame int) { c.sendIncompleteTo(updateMethod, size, frame) }

func (c *rawHTTP2) sendIncompleteTo(method string, size, frame int) {
	c.beginCall(method, false)
	message := make([]byte, size)
	binary.BigEndian.PutUint32(message[1:], uint32(size)) // One byte more than is sent.
	for len(message) > 0 {
		n := min(frame, len(message))
		if c.WriteData(c.stream, false, message[:n]) != nil {
			return
		}
		message = message[n:]
	}
}

// beginCall sends the headers of a call over gRPC.
func (c *rawHTTP2) beginCall(method string, end bool) {
	c.headers(end, ":method", "POST", ":scheme", "http", ":authority", c.addr, ":path", method,
		"content-type", "application/grpc")
}

// awaitStatus returns the gRPC status of the stream.
func (c *rawHTTP2) awaitStatus(t *testing.T, stream uint32) string {
	t.Helper()
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		headers, ok := frame.(*http2.MetaHeadersFrame)
		if !ok || headers.StreamID != stream {
			continue
		}
		for _, field := range headers.Fields {
			if field.Name == "grpc-status" {
				return field.Value
			}
		}
	}
}

// connectHTTP2 opens a connection that the server has accepted.
func connectHTTP2(t *testing.T, addr net.Addr) *rawHTTP2 {
	t.Helper()
	c := newRawHTTP2(t, connect(t, addr))
	if err := c.WritePing(false, [8]byte{}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := frame.(*http2.PingFrame); ok {
			return c
		}
	}
}

func (c *rawHTTP2) awaitGoAway(t *testing.T) (code http2.ErrCode, words string) {
	t.Helper()
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("the connection ended without a word: %v", err)
		}
		if away, ok := frame.(*http2.GoAwayFrame); ok {
			return away.ErrCode, string(away.DebugData())
		}
	}
}

func dialTLS(t *testing.T, addr net.Addr, trusted *x509.CertPool, certificate *tls.Certificate) *tls.Conn {
	t.Helper()
	config := &tls.Config{RootCAs: trusted, NextProtos: []string{"h2"}, ServerName: "127.0.0.1"}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	conn := tls.Client(connect(t, addr), config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestAGRPCRequestThatDoesNotArrive(t *testing.T) {
	for _, method := range []string{
		updateMethod, grpc_health_v1.Health_Check_FullMethodName, grpc_health_v1.Health_Watch_FullMethodName,
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	} {
		t.Run(method, func(t *testing.T) {
			r := build(t)
			r.arrivals.timeout, r.arrivals.interval = time.Millisecond, time.Millisecond
			r.run(t)
			conn := newRawHTTP2(t, connect(t, r.GRPC))
			conn.sendIncompleteTo(method, 1000, 1000)
			if code := conn.awaitStatus(t, 1); code != "4" {
				t.Errorf("status %s", code)
			}
			want := map[string]float64{`conferenced_grpc_streams_refused_total{reason="timeout"}`: 1}
			if method == updateMethod {
				want[`conferenced_unauthenticated_calls_total{code="DeadlineExceeded",protocol="grpc"}`] = 1
				r.log.awaitLine(t, "call")
			}
			for series := range want {
				awaitSeries(t, r, series, 1)
			}
			wantValues(t, r, want)
		})
	}
}

// TestACallIsLongerThanItsArrival: only the arrival of a request is timed.
func TestACallIsLongerThanItsArrival(t *testing.T) {
	held := newHolds()
	r := start(t, held.setup)
	done := held.begin(t, r, bothWays[0], sandbox.AgentSID)
	r.arrivals.mu.Lock()
	r.arrivals.timeout = time.Millisecond
	r.arrivals.mu.Unlock()
	conn := newRawHTTP2(t, connect(t, r.GRPC))
	conn.sendIncomplete(1000, 1000)
	conn.awaitStatus(t, 1) // The call began before.
	close(held.let)
	checkDone(t, r, done, sandbox.AgentSID)
}

// TestTooMuchArrives ends the requests that do not arrive on the connection that has
// sent the most, on which a call was authenticated.
func TestTooMuchArrives(t *testing.T) {
	r := build(t)
	r.arrivals.limit = 50 << 10
	r.run(t)
	most, least := newRawHTTP2(t, connect(t, r.GRPC)), newRawHTTP2(t, connect(t, r.GRPC))
	for _, conn := range []*rawHTTP2{most, least} {
		conn.beginCall(updateMethod, false)
		if err := conn.WriteData(conn.stream, true, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		conn.awaitStatus(t, conn.stream)
	}
	least.sendIncomplete(100, 100)
	for range 2 {
		most.sendIncomplete(50<<10, 10<<10)
	}
	if code := most.awaitStatus(t, most.stream); code != "4" {
		t.Errorf("status %s", code)
	}
	if got := callGRPC(t, t.Context(), r, muting(sandbox.AgentSID)); got.status != nil {
		t.Errorf("another caller's call: %v", got.status)
	}
	awaitArriving(t, r, 1)
	wantValues(t, r, map[string]float64{`conferenced_grpc_streams_refused_total{reason="displaced"}`: 2})
}

func awaitArriving(t *testing.T, r *running, want int) {
	t.Helper()
	for until := time.Now().Add(patience); ; {
		r.arrivals.mu.Lock()
		got := r.arrivals.awaited.Len()
		r.arrivals.mu.Unlock()
		if got == want {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d requests arrive, want %d", got, want)
		}
	}
}

func TestArrivalsAreForgotten(t *testing.T) {
	r := start(t)
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	conn := connect(t, r.GRPC)
	newRawHTTP2(t, conn).sendIncomplete(1000, 1000)
	awaitArriving(t, r, 1)
	conn.Close()
	awaitArriving(t, r, 0)
	watchHealth(t, r, serviceName)
	awaitArriving(t, r, 0)
}

func TestTooManyStreamingCalls(t *testing.T) {
	r := start(t)
	r.arrivals.streams.Store(maxOpenStreams)
	watch, err := grpc_health_v1.NewHealthClient(r.conn).Watch(t.Context(), new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v", err)
	}
	wantValues(t, r, map[string]float64{`conferenced_grpc_streams_refused_total{reason="streams"}`: 1})
}

// TestMetadataLimit refuses one call and serves the others of its connection.
func TestMetadataLimit(t *testing.T) {
	r := start(t)
	held := func(size int) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "x-large", strings.Repeat("a", size))
	}
	tooLarge := &refusal{kind: outcome.RequestTooLarge, detail: "its metadata is larger than 16 KiB"}
	for range 3 {
		for _, size := range []int{17 << 10, 40 << 10, 63 << 10} {
			tooLarge.check(t, callGRPC(t, held(size), r, muting(sandbox.AgentSID)))
		}
		for _, size := range []int{0, 15 << 10} {
			if got := callGRPC(t, held(size), r, muting(sandbox.AgentSID)); got.status != nil {
				t.Errorf("%d bytes: %v", size, got.status)
			}
		}
	}
	if got := len(r.log.lines(t, "call")); got != 15 {
		t.Errorf("%d calls are logged", got)
	}
	if got := valueOf(scrape(t, r), `conferenced_connections_closed_total{listener="grpc",reason="load"}`); got != 0 {
		t.Errorf("%v connections were closed", got)
	}
}

// TestHeaderLimitOverHTTP2 refuses one request and serves the others of its connection.
func TestHeaderLimitOverHTTP2(t *testing.T) {
	files, trusted := tlsFiles(t)
	r := start(t, func(s *setup) { s.Settings = withFiles(t, s.Settings, files) })
	client := newHTTP2Client(t, r, trusted)
	for size, want := range map[int]int{0: 200, 15 << 10: 200, 17 << 10: 413, 60 << 10: 413} {
		if got := client.post(t, "X-Large", strings.Repeat("a", size)); got != want {
			t.Errorf("%d bytes: HTTP status %d, want %d", size, got, want)
		}
	}
	if client.connections != 1 {
		t.Errorf("%d connections", client.connections)
	}
}

// TestPings: clients commonly send one every 10 s, give or take.
func TestPings(t *testing.T) {
	if minPing > 9*time.Second {
		t.Errorf("the least time between pings is %v", minPing)
	}
}
