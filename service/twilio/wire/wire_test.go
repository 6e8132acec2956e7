package wire

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
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"conferenced/service/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// peer is the host's end of a connection.
type peer struct {
	net.Conn
	requests *bufio.Reader
}

// received is a request as it arrived.
type received struct {
	method, target, host, body string
	header                     http.Header
}

// read reads a request. It reports false at the end of the connection.
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

// answerAll answers each request with the same bytes.
func answerAll(answer string) func(peer) {
	return func(p peer) {
		for _, ok := p.read(); ok; _, ok = p.read() {
			p.write(answer)
		}
	}
}

// answerOnce answers one request and leaves the connection open.
func answerOnce(answer string) func(peer) {
	return func(p peer) {
		if _, ok := p.read(); ok {
			p.write(answer)
			p.wait()
		}
	}
}

// listen serves each connection with handle, which owns it, until the test ends.
func listen(t testing.TB, handle func(peer)) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			running.Go(func() {
				defer stop()
				defer conn.Close()
				handle(peer{conn, bufio.NewReader(conn)})
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
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

// secured starts TLS before handle.
func secured(handle func(peer)) func(peer) {
	return func(p peer) {
		conn := tls.Server(p.Conn, hostTLS)
		if conn.Handshake() == nil {
			handle(peer{conn, bufio.NewReader(conn)})
		}
	}
}

// each runs the test with a plain host and with one of TLS.
func each(t *testing.T, handle func(peer), test func(t *testing.T, base *url.URL)) {
	t.Helper()
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

// newTransport returns a transport without a proxy whose connections are closed
// with the test.
func newTransport(t testing.TB) *Transport {
	transport := &Transport{
		ConnectTimeout: time.Minute, ExchangeTimeout: time.Minute, IdleTimeout: time.Minute, MaxIdlePerHost: 8, MaxBodyBytes: 1 << 20, RootCAs: roots,
		Proxy: http.ProxyURL(nil),
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

var simple = &Request{Method: "POST", Path: "/path?a=b", Header: []byte("X: y\r\n"), Body: []byte("form=1")}

// exchange sends the simple request.
func exchange(ctx context.Context, transport *Transport, base *url.URL, permit func() error) (*Response, error) {
	r, err := transport.RoundTrip(ctx, base, simple, permit)
	if err == nil {
		r.Close(true)
	}
	return r, err
}

// post sends the simple request, which must succeed.
func post(t testing.TB, transport *Transport, base *url.URL) *Response {
	t.Helper()
	r, err := exchange(context.Background(), transport, base, nil)
	if err != nil || r.BodyErr != nil {
		t.Fatalf("%+v, error %v", r, err)
	}
	return r
}

// idle returns the idle connections to the host.
func idle(t testing.TB, transport *Transport, base *url.URL) []*conn {
	t.Helper()
	h, err := transport.host(base)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*conn(nil), h.idle...)
}

// ok is a response with that body.
func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func chunked(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

// long is longer than the read buffer, and than one packet.
var long = strings.Repeat("long ", 2_000)
