package wire_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"conferenced/service/twilio/wire"

	"github.com/google/go-cmp/cmp"
)

// TestTheWholeRequest as it is written, byte by byte.
func TestTheWholeRequest(t *testing.T) {
	arrived := make(chan string, 1)
	addr := listen(t, func(p peer) {
		b := make([]byte, 4096)
		n, _ := p.Read(b)
		arrived <- string(b[:n])
		p.write(ok(""))
		p.wait()
	})
	post(t, newPool(t, wire.Config{}), parse(t, "http://"+addr))
	want := "POST /path?a=b HTTP/1.1\r\nHost: " + addr + "\r\nX: y\r\nContent-Length: 6\r\n\r\nform=1"
	if got := <-arrived; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTheAnswer(t *testing.T) {
	tests := []struct {
		name, answer string
		status       int
		body         string
		header       http.Header
	}{
		{"a length", ok("body"), 200, "body", http.Header{"Content-Length": {"4"}}},
		{"chunks", chunked(long), 200, long, http.Header{}},
		{"chunks with extensions", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0;c\r\n\r\n", 200, "x", http.Header{}},
		{"the end of the connection", "HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n" + long, 404, long, http.Header{"A": {"b"}}},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nbody", 200, "body", http.Header{}},
		{"no reason", "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", 500, "", http.Header{"Content-Length": {"0"}}},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", http.Header{}},
		{"interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + ok("body"), 200, "body", http.Header{"Content-Length": {"4"}}},
		{"a change of protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbytes", 101, "",
			http.Header{"Connection": {"Upgrade"}, "Upgrade": {"x"}}},
		{"a body as long as the limit", ok(strings.Repeat("x", 200_000)), 200, strings.Repeat("x", 200_000), http.Header{"Content-Length": {"200000"}}},
		{"chunks as long as the limit", chunked(strings.Repeat("x", 200_000)), 200, strings.Repeat("x", 200_000), http.Header{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := func(p peer) { _, _ = p.read(); p.write(tt.answer) }
			each(t, answer, func(t *testing.T, base *url.URL) {
				conn := sent(t.Context(), t, newPool(t, wire.Config{MaxBody: 200_000}), base)
				defer conn.Close()
				got, err := conn.Receive()
				if err != nil {
					t.Fatal(err)
				}
				if got.Status != tt.status || string(got.Body) != tt.body || got.BodyErr != nil {
					t.Errorf("%d, %q, %v", got.Status, got.Body, got.BodyErr)
				}
				if diff := cmp.Diff(tt.header, got.Header); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestAnAnswerThatIsNone: its error quotes nothing of it.
func TestAnAnswerThatIsNone(t *testing.T) {
	tests := []struct {
		name, answer string
		want         error
	}{
		{"nothing", "", io.EOF},
		{"a cut line", "HTTP/1.1 200 secr", io.ErrUnexpectedEOF},
		{"a cut header", "HTTP/1.1 200 OK\r\nA: secret", io.ErrUnexpectedEOF},
		{"only an interim answer", "HTTP/1.1 100 Continue\r\n\r\n", io.ErrUnexpectedEOF},
		{"another protocol", "220 secret.example ESMTP\r\n\r\n", wire.ErrNoHTTP},
		{"a status that is no number", "HTTP/1.1 2xx secret\r\n\r\n", wire.ErrNoHTTP},
		{"a header without a colon", "HTTP/1.1 200 OK\r\nsecret\r\n\r\n", wire.ErrNoHTTP},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", wire.ErrNoHTTP},
		{"a length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n", wire.ErrNoHTTP},
		{"a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", wire.ErrNoHTTP},
		{"another encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: secret\r\n\r\n", wire.ErrNoHTTP},
		{"two encodings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", wire.ErrNoHTTP},
		{"an endless line", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("secret", 20_000), wire.ErrHeadTooLong},
		{"endless lines", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: secret\r\n", 20_000), wire.ErrHeadTooLong},
		{"endless interim answers", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20_000), wire.ErrHeadTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := func(p peer) { _, _ = p.read(); p.write(tt.answer) }
			each(t, answer, func(t *testing.T, base *url.URL) {
				got := exchange(t.Context(), get(t, newPool(t, wire.Config{}), base))
				if !errors.Is(got.err, tt.want) {
					t.Errorf("%+v, want the error %v", got, tt.want)
				}
				if strings.Contains(got.err.Error(), "secr") {
					t.Errorf("%q quotes the answer", got.err)
				}
			})
		})
	}
}

func TestABodyThatIsNotWhole(t *testing.T) {
	const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	tests := []struct {
		name, answer string
		want         error // nil: any.
	}{
		{"a cut body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", io.ErrUnexpectedEOF},
		{"a cut chunk", chunks + "5\r\nbody", io.ErrUnexpectedEOF},
		{"no last chunk", chunks + "4\r\nbody\r\n", io.ErrUnexpectedEOF},
		{"no end of the trailers", chunks + "4\r\nbody\r\n0\r\n", nil},
		{"a chunk whose length is no number", chunks + "4\r\nbody\r\nx\r\n", nil},
		{"a chunk longer than its length", chunks + "4\r\nbody!\r\n0\r\n\r\n", nil},
		{"a body over the limit", ok("body" + long), wire.ErrBodyTooLong},
		{"chunks over the limit", chunks + "4\r\nbody\r\n" + strings.Repeat("1\r\nx\r\n", 10_000), wire.ErrBodyTooLong},
		{"a body without end", "HTTP/1.1 200 OK\r\n\r\nbody" + strings.Repeat("x", 1<<20), wire.ErrBodyTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := func(p peer) { _, _ = p.read(); p.write(tt.answer) }
			each(t, answer, func(t *testing.T, base *url.URL) {
				pool := newPool(t, wire.Config{MaxBody: int64(len(long))})
				got := exchange(t.Context(), get(t, pool, base))
				if got.err != nil || got.status != 200 || !strings.HasPrefix(got.body, "body") {
					t.Errorf("%+v", got)
				}
				if got.bodyErr == nil || tt.want != nil && !errors.Is(got.bodyErr, tt.want) {
					t.Errorf("error %v, want %v", got.bodyErr, tt.want)
				}
				if pool.Idle(base) != 0 {
					t.Error("the connection is kept")
				}
			})
		})
	}
}

// TestWhatHappensOnAnUnusedConnection is noticed before it is used again.
func TestWhatHappensOnAnUnusedConnection(t *testing.T) {
	tests := []struct {
		name string
		do   func(peer)
	}{
		{"it is closed", func(p peer) { _ = p.Close() }},
		{"half of it is closed", func(p peer) { _ = p.Conn.(interface{ CloseWrite() error }).CloseWrite(); p.wait() }},
		{"the host says that it has timed out", func(p peer) { p.write("HTTP/1.1 408 Request Timeout\r\n\r\n"); p.wait() }},
		{"the host says something else", func(p peer) { p.write("\r\n"); p.wait() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answered, act := make(chan struct{}), make(chan struct{})
			handle := func(p peer) {
				if _, more := p.read(); !more {
					return
				}
				p.write(ok("body"))
				if conn, is := p.Conn.(*tls.Conn); is {
					conn.NetConn().(*batch).flush()
				}
				answered <- struct{}{}
				<-act
				tt.do(p)
			}
			each(t, handle, func(t *testing.T, base *url.URL) {
				pool := newPool(t, wire.Config{})
				go func() { <-answered }()
				post(t, pool, base)
				if !kept(t, pool, base) {
					t.Error("the connection is not kept while nothing happens")
				}
				act <- struct{}{}
				eventually(t, func() bool { return pool.Idle(base) == 0 || !kept(t, pool, base) })
			})
		})
	}
}

// eventually waits for what the system brings about.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !is() {
		if ctx.Err() != nil {
			t.Fatal("it does not happen")
		}
		runtime.Gosched()
	}
}

func TestHostsAreNamedAsHTTPDoes(t *testing.T) {
	addr := listen(t, answerAll(ok("")))
	_, port, _ := net.SplitHostPort(addr)
	tests := []struct{ base, host, connect string }{
		{"http://api.example", "api.example", "api.example:80"},
		{"http://API.Example:8080", "API.Example:8080", "API.Example:8080"},
		{"http://bücher.example:81", "xn--bcher-kva.example:81", "xn--bcher-kva.example:81"},
		{"http://[::1]", "[::1]", "[::1]:80"},
		{"http://[2001:db8::1]:" + port, "[2001:db8::1]:" + port, "[2001:db8::1]:" + port},
		{"http://192.0.2.1", "192.0.2.1", "192.0.2.1:80"},
	}
	for _, tt := range tests {
		t.Run(tt.base, func(t *testing.T) {
			socks := newSOCKS(t, "", "", addr)
			requests := make(chan *received, 1)
			socks.to = listen(t, func(p peer) {
				r, _ := p.read()
				requests <- r
				p.write(ok(""))
				p.wait()
			})
			post(t, newPool(t, wire.Config{Proxy: http.ProxyURL(socks.url())}), parse(t, tt.base))
			if got := <-requests; got.host != tt.host {
				t.Errorf("Host: %s, want %s", got.host, tt.host)
			}
			if got := <-socks.asked; got != tt.connect {
				t.Errorf("a connection to %s, want %s", got, tt.connect)
			}
		})
	}
}

func TestHostsThatHaveNoName(t *testing.T) {
	for _, host := range []string{"", ":80", "a\r\nX: y", "a b", "a/b", "a\x00"} {
		_, err := newPool(t, wire.Config{}).Get(t.Context(), &url.URL{Scheme: "http", Host: host})
		if !errors.Is(err, wire.ErrHost) {
			t.Errorf("%q: error %v", host, err)
		}
	}
}

func TestHandshakesThatFail(t *testing.T) {
	old := func(p peer) {
		cfg := hostTLS.Clone()
		cfg.MaxVersion = tls.VersionTLS11
		cfg.MinVersion = tls.VersionTLS10
		_ = tls.Server(p.Conn, cfg).Handshake()
	}
	good := func(p peer) { _ = tls.Server(p.Conn, hostTLS).Handshake() }
	silent := func(p peer) { p.wait() }
	plain := func(p peer) { p.write("HTTP/1.1 400 Bad Request\r\n\r\n"); p.wait() }
	distrust := wire.Config{RootCAs: x509.NewCertPool()}
	tests := []struct {
		name   string
		handle func(peer)
		host   string
		cfg    wire.Config
	}{
		{"an old version", old, "127.0.0.1", wire.Config{}},
		{"a certificate for another name", good, "localhost", wire.Config{}},
		{"a certificate that is not trusted", good, "127.0.0.1", distrust},
		{"no TLS", plain, "127.0.0.1", wire.Config{}},
		{"nothing", silent, "127.0.0.1", wire.Config{TLSTimeout: time.Millisecond}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			closed := make(chan struct{})
			_, port, _ := net.SplitHostPort(listen(t, func(p peer) {
				defer close(closed)
				tt.handle(p)
				p.wait()
			}))
			_, err := newPool(t, tt.cfg).Get(t.Context(), parse(t, "https://"+net.JoinHostPort(tt.host, port)))
			if !errors.Is(err, wire.ErrHandshake) {
				t.Errorf("error %v", err)
			}
			<-closed
		})
	}
}

// TestNoMoreIsKeptThanAsked: neither connections nor one that nobody can use.
func TestNoMoreIsKeptThanAsked(t *testing.T) {
	base := parse(t, "http://"+listen(t, answerAll(ok(""))))
	pool := newPool(t, wire.Config{MaxIdle: 2})
	var conns []*wire.Conn
	for range 4 {
		conns = append(conns, get(t, pool, base))
	}
	for _, conn := range conns {
		conn.Close() // Unused, and as good as before.
	}
	if got := pool.Idle(base); got != 2 {
		t.Errorf("%d connections are kept, want 2", got)
	}
	if got := post(t, pool, base); got.used {
		t.Error("a connection that was never used counts as used")
	}
	pool.CloseIdle()
	if got := pool.Idle(base); got != 0 {
		t.Errorf("%d connections are kept after all were closed", got)
	}
}
