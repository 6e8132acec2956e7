package wire_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"conferenced/service/twilio/wire"
	"conferenced/service/twilio/wire/wiretest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is one connection as a host sees it.
type peer struct {
	net.Conn
	requests *bufio.Reader
}

// received is a request as it arrived.
type received struct {
	method, target, host, body string
	header                     http.Header
}

// read reads a request. It reports false at the connection's end.
func (p peer) read() (*received, bool) {
	r, err := http.ReadRequest(p.requests)
	if err != nil {
		return nil, false
	}
	body, err := io.ReadAll(r.Body)
	return &received{r.Method, r.RequestURI, r.Host, string(body), r.Header}, err == nil
}

func (p peer) write(s string) { _, _ = io.WriteString(p.Conn, s) }

// wait returns when the client has closed the connection.
func (p peer) wait() { _, _ = io.Copy(io.Discard, p.requests) }

// ok is an answer with that body.
func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// answerAll answers each request with the same bytes.
func answerAll(answer string) func(peer) {
	return func(p peer) {
		for _, more := p.read(); more; _, more = p.read() {
			p.write(answer)
		}
	}
}

// listen serves each connection with handle until the test ends.
func listen(t testing.TB, handle func(peer)) (addr string) {
	t.Helper()
	return wiretest.Listen(t, func(conn net.Conn) { handle(peer{conn, bufio.NewReader(conn)}) })
}

// hostTLS has a certificate for 127.0.0.1 and example.com, and roots trust it.
var hostTLS, roots = credentials()

func credentials() (*tls.Config, *x509.CertPool) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &tls.Config{Certificates: server.TLS.Certificates}, roots
}

// secured speaks TLS before handle does. The records that are written leave
// together, before the next is read.
func secured(handle func(peer)) func(peer) {
	return func(p peer) {
		conn := tls.Server(&batch{Conn: p.Conn}, hostTLS)
		defer conn.Close()
		if conn.Handshake() == nil {
			handle(peer{conn, bufio.NewReader(conn)})
		}
	}
}

// batch writes what was written at once when it reads or is closed.
type batch struct {
	net.Conn
	held []byte
}

func (b *batch) Write(p []byte) (int, error) {
	b.held = append(b.held, p...)
	return len(p), nil
}

func (b *batch) Read(p []byte) (int, error) {
	b.flush()
	return b.Conn.Read(p)
}

// SetWriteDeadline does nothing, as nothing is written when TLS sets it.
func (b *batch) SetWriteDeadline(time.Time) error { return nil }

func (b *batch) Close() error {
	b.flush()
	return b.Conn.Close()
}

func (b *batch) flush() {
	if len(b.held) > 0 {
		_, _ = b.Conn.Write(b.held)
		b.held = nil
	}
}

// each runs the test with a plain host and with one of TLS.
func each(t *testing.T, handle func(peer), test func(t *testing.T, base *url.URL)) {
	t.Run("http", func(t *testing.T) { test(t, parse(t, "http://"+listen(t, handle))) })
	t.Run("https", func(t *testing.T) { test(t, parse(t, "https://"+listen(t, secured(handle)))) })
}

func parse(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// newPool returns a pool whose connections are closed with the test. Without
// other settings it has no time limits and no proxy.
func newPool(t testing.TB, cfg wire.Config) *wire.Pool {
	if cfg.RootCAs == nil {
		cfg.RootCAs = roots
	}
	if cfg.Proxy == nil {
		cfg.Proxy = http.ProxyURL(nil)
	}
	if cfg.MaxIdle == 0 {
		cfg.MaxIdle = 8
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 1 << 20
	}
	pool := wire.NewPool(cfg)
	t.Cleanup(pool.CloseIdle)
	return pool
}

func get(t testing.TB, pool *wire.Pool, base *url.URL) *wire.Conn {
	t.Helper()
	conn, err := pool.Get(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

var simple = &wire.Request{Path: []byte("/path?a=b"), Header: []byte("X: y\r\n"), Body: []byte("form=1")}

// outcome is what became of an exchange.
type outcome struct {
	used    bool
	status  int
	body    string
	bodyErr error
	err     error // Of Send or Receive.
}

// exchange makes one with the simple request.
func exchange(ctx context.Context, conn *wire.Conn) outcome {
	defer conn.Close()
	if err := conn.Send(ctx, simple); err != nil {
		return outcome{used: conn.Used(), err: err}
	}
	a, err := conn.Receive()
	if err != nil {
		return outcome{used: conn.Used(), err: err}
	}
	return outcome{conn.Used(), a.Status, string(a.Body), a.BodyErr, nil}
}

// post makes an exchange with the simple request, which must succeed.
func post(t testing.TB, pool *wire.Pool, base *url.URL) outcome {
	t.Helper()
	got := exchange(t.Context(), get(t, pool, base))
	if got.err != nil || got.bodyErr != nil {
		t.Fatalf("error %v, body %v", got.err, got.bodyErr)
	}
	return got
}

// kept says whether the next exchange would be on a connection used before.
func kept(t testing.TB, pool *wire.Pool, base *url.URL) bool {
	t.Helper()
	conn := get(t, pool, base)
	defer conn.Close()
	return conn.Used()
}

func chunked(s string) string {
	return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(s), s) + "0\r\n\r\n"
}

// long is longer than the buffers, and one packet.
var long = strings.Repeat("long ", 2_000)
