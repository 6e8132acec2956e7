package twilio_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conferenced/service/twilio"
	"conferenced/service/twilio/wire/wiretest"
)

// peer is one connection as a host sees it.
type peer struct {
	net.Conn
	requests *bufio.Reader
}

// read reads a request with its body. It reports false at the connection's end.
func (p peer) read() (*http.Request, bool) {
	r, err := http.ReadRequest(p.requests)
	if err != nil {
		return nil, false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return r, err == nil
}

func (p peer) write(s string) { _, _ = io.WriteString(p.Conn, s) }

// accept answers with a participant.
func (p peer) accept() {
	p.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(connected), connected))
}

// reset closes the connection so that the other side gets a reset.
func (p peer) reset() {
	if c, ok := p.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = p.Close()
}

// listen serves each connection with handle, which owns it, until the test ends.
// It returns the base URL.
func listen(t testing.TB, handle func(peer)) string {
	t.Helper()
	return "http://" + wiretest.Listen(t, owning(handle))
}

func owning(handle func(peer)) func(net.Conn) {
	return func(conn net.Conn) { handle(peer{conn, bufio.NewReader(conn)}) }
}

// closedPort returns the address of a port that refuses connections.
func closedPort(t testing.TB) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	return listener.Addr().String()
}

func TestNothingIsSentWithoutAConnection(t *testing.T) {
	untrusted, _ := newTLSServer(t, answer(200, connected))
	noTLS := listen(t, func(p peer) { _, _ = p.read(); p.write("HTTP/1.1 400 Bad Request\r\n\r\n") })
	silent := listen(t, func(p peer) { _, _ = io.Copy(io.Discard, p) })
	refusing := closedPort(t)
	tests := []struct {
		name, baseURL string
		cfg           twilio.Config
		text          string
	}{
		{"connection refused", "http://" + refusing, twilio.Config{}, "connection refused"},
		{"no such name", "http://" + strings.Repeat("a", 64), twilio.Config{}, "name lookup failed"},
		{"a certificate that is not trusted", untrusted.URL, twilio.Config{}, "certificate not trusted"},
		{"a host without TLS", strings.Replace(noTLS, "http", "https", 1), twilio.Config{}, "TLS handshake failed"},
		{"a TLS handshake that takes too long", strings.Replace(silent, "http", "https", 1),
			twilio.Config{TLSHandshakeTimeout: time.Millisecond}, "timeout"},
		{"a proxy that refuses connections", "https://api.example",
			twilio.Config{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: refusing, User: url.UserPassword("u", "secret")})},
			"no connection through the proxy"},
		{"an unusable proxy setting", "https://api.example",
			twilio.Config{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("bad URL http://u:secret@proxy") }},
			"proxy setting not usable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cfg.Proxy == nil {
				tt.cfg.Proxy = http.ProxyURL(nil)
			}
			_, err := mute(t.Context(), newClient(t, tt.cfg), tt.baseURL)
			got := as[*twilio.TransportError](t, err)
			if got.Sent {
				t.Error("it counts as sent")
			}
			if want := "twilio: request not sent: " + tt.text; got.Error() != want {
				t.Errorf("text %q, want %q; cause %v", got, want, got.Err)
			}
			if isContextError(err) {
				t.Error("it looks like the end of the caller's context")
			}
			if strings.Contains(got.Err.Error(), "secret") {
				t.Errorf("the cause shows a password: %v", got.Err)
			}
		})
	}
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func TestALostAnswerCountsAsSent(t *testing.T) {
	tests := []struct {
		name   string
		answer func(peer)
		text   string
	}{
		{"a reset", func(p peer) { p.reset() }, "connection reset by peer"},
		{"a close", func(p peer) { _ = p.Close() }, "connection closed"},
		{"a cut status line", func(p peer) { p.write("HTTP/1.1 20") }, "connection closed"},
		{"a cut header", func(p peer) { p.write("HTTP/1.1 200 OK\r\nContent-Le") }, "connection closed"},
		{"another protocol", func(p peer) { p.write("220 smtp.example front desk\r\n") }, "connection failed"},
		{"an endless header", func(p peer) { p.write("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<20)) }, "connection failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var arrivals atomic.Int32
			baseURL := listen(t, func(p peer) {
				if _, ok := p.read(); ok {
					arrivals.Add(1)
					tt.answer(p)
				}
			})
			_, err := mute(t.Context(), newClient(t, twilio.Config{}), baseURL)
			got := as[*twilio.TransportError](t, err)
			if want := "twilio: no answer: " + tt.text; !got.Sent || got.Error() != want {
				t.Errorf("sent %v, text %q, want %q; cause %v", got.Sent, got, want, got.Err)
			}
			if isContextError(err) {
				t.Error("it looks like the end of the caller's context")
			}
			if arrivals.Load() != 1 {
				t.Errorf("%d requests arrived", arrivals.Load())
			}
		})
	}
}

func TestACutBodyKeepsItsStatus(t *testing.T) {
	cut := func(status string) func(peer) {
		return func(p peer) {
			if _, ok := p.read(); ok {
				p.write("HTTP/1.1 " + status + "\r\nTwilio-Request-Id: " + requestSID + "\r\nContent-Length: 1000\r\n\r\n{\"code\":1")
			}
		}
	}
	t.Run("2xx", func(t *testing.T) {
		_, err := mute(t.Context(), newClient(t, twilio.Config{}), listen(t, cut("200 OK")))
		got := as[*twilio.AnswerError](t, err)
		want := "twilio: answer 200: body cannot be read (request " + requestSID + ")"
		if got.HTTPStatus != 200 || got.Error() != want || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d, %v, %v", got.HTTPStatus, got, got.Err)
		}
	})
	t.Run("5xx", func(t *testing.T) {
		_, err := mute(t.Context(), newClient(t, twilio.Config{}), listen(t, cut("503 Unavailable")))
		if got := as[*twilio.Error](t, err); got.HTTPStatus != 503 || got.Code != 0 || got.RequestID != requestSID {
			t.Errorf("%+v", got)
		}
	})
}

func TestOddStatuses(t *testing.T) {
	tests := []struct {
		name, answer string
		status       int
	}{
		{"a change of protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 101},
		{"a status below all", "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n", 99},
		{"a status above all", "HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n", 999},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			baseURL := listen(t, func(p peer) {
				if _, ok := p.read(); ok {
					p.write(tt.answer)
					_, _ = p.read() // Until the client closes.
				}
			})
			_, err := mute(t.Context(), newClient(t, twilio.Config{}), baseURL)
			if got := as[*twilio.AnswerError](t, err); got.HTTPStatus != tt.status || got.Reason != "unexpected status" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestInterimAnswersAreSkipped(t *testing.T) {
	baseURL := listen(t, func(p peer) {
		for _, ok := p.read(); ok; _, ok = p.read() {
			p.write("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
			p.accept()
		}
	})
	if _, err := mute(t.Context(), newClient(t, twilio.Config{}), baseURL); err != nil {
		t.Error(err)
	}
}

func TestARequestLostOnAReusedConnectionIsNotRepeated(t *testing.T) {
	endings := map[string]func(peer){
		"a close": func(p peer) { _ = p.Close() },
		"a reset": func(p peer) { p.reset() },
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			var arrivals atomic.Int32
			baseURL := listen(t, func(p peer) {
				for _, ok := p.read(); ok; _, ok = p.read() {
					if arrivals.Add(1) > 1 {
						end(p)
						return
					}
					p.accept()
				}
			})
			client := newClient(t, twilio.Config{})
			if _, err := mute(t.Context(), client, baseURL); err != nil {
				t.Fatal(err)
			}
			_, err := mute(t.Context(), client, baseURL)
			if got := as[*twilio.TransportError](t, err); !got.Sent || !got.Reused {
				t.Errorf("%+v", got)
			}
			if arrivals.Load() != 2 {
				t.Errorf("%d requests arrived for 2 calls", arrivals.Load())
			}
		})
	}
}

func TestAConnectionClosedWhileIdleCostsNoError(t *testing.T) {
	closed := make(chan struct{}, 1)
	baseURL := listen(t, func(p peer) {
		if _, ok := p.read(); !ok {
			return
		}
		p.accept()
		_ = p.Conn.(*net.TCPConn).CloseWrite()
		closed <- struct{}{}
		if r, ok := p.read(); ok { // The client closes its side as soon as it notices.
			t.Errorf("%s was sent on a connection that was closed", r.URL)
		}
	})
	client := newClient(t, twilio.Config{})
	for range 10 {
		if _, err := mute(t.Context(), client, baseURL); err != nil {
			t.Fatal(err)
		}
		<-closed
	}
}

// TestARaceWithClosingConnections makes calls to a host that closes many
// connections at the very moment at which they are used again.
func TestARaceWithClosingConnections(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			host := newFickleHost(t, scheme == "https")
			client := newClient(t, host.cfg)
			const callers, calls = 8, 250
			var answered, lost atomic.Int32
			var group sync.WaitGroup
			for caller := range callers {
				group.Go(func() {
					for i := range calls {
						label := fmt.Sprintf("%d-%d", caller, i)
						_, err := update(t.Context(), client, testAccount(host.url), testPath(label), everything())
						host.check(t, label, err)
						if err == nil {
							answered.Add(1)
						} else {
							lost.Add(1)
						}
					}
				})
			}
			group.Wait()
			t.Logf("%d answered, %d lost after sending", answered.Load(), lost.Load())
		})
	}
}

// fickleHost closes every other connection soon after an answer.
type fickleHost struct {
	url      string
	cfg      twilio.Config
	arrivals sync.Map // participant -> *atomic.Int32
}

func newFickleHost(t testing.TB, secure bool) *fickleHost {
	host := &fickleHost{}
	var answers atomic.Int32
	handle := func(p peer) {
		for r, ok := p.read(); ok; r, ok = p.read() {
			host.count(r).Add(1)
			p.accept()
			if answers.Add(1)%2 == 0 {
				for range rand.IntN(50) {
					runtime.Gosched()
				}
				return
			}
		}
	}
	if !secure {
		host.url = listen(t, handle)
		return host
	}
	server, roots := newTLSServer(t, nil)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: server.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	wiretest.Serve(t, listener, owning(handle))
	host.url, host.cfg = "https://"+listener.Addr().String(), twilio.Config{RootCAs: roots}
	return host
}

func (h *fickleHost) count(r *http.Request) *atomic.Int32 {
	label := strings.TrimSuffix(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], ".json")
	n, _ := h.arrivals.LoadOrStore(label, new(atomic.Int32))
	return n.(*atomic.Int32)
}

// check checks what the client said of a call against what arrived.
func (h *fickleHost) check(t *testing.T, label string, err error) {
	var arrived int32
	if n, ok := h.arrivals.Load(label); ok {
		arrived = n.(*atomic.Int32).Load()
	}
	var lost *twilio.TransportError
	switch {
	case arrived > 1:
		t.Errorf("%s arrived %d times", label, arrived)
	case err == nil && arrived != 1:
		t.Errorf("%s was answered but did not arrive", label)
	case err != nil && !errors.As(err, &lost):
		t.Errorf("%s: %v", label, err)
	case err != nil && !lost.Sent:
		t.Errorf("%s: a dead connection was not replaced: %v", label, err)
	}
}

func TestCancelWhileWaiting(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			arrived := make(chan struct{})
			wait := func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(arrived)
				<-r.Context().Done()
			}
			server, roots := newTLSServer(t, wait)
			if scheme == "http" {
				server = newServer(t, wait)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-arrived; cancel() }()
			_, err := mute(ctx, newClient(t, twilio.Config{RootCAs: roots}), server.URL)
			if got := as[*twilio.TransportError](t, err); !got.Sent || got.Error() != "twilio: no answer: context canceled" {
				t.Errorf("sent %v, %v", got.Sent, got)
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cause %v", err)
			}
		})
	}
}

func TestCancelWhileDialling(t *testing.T) {
	dialled := make(chan struct{})
	baseURL := listen(t, func(p peer) { // Never answers the TLS handshake.
		close(dialled)
		_, _ = io.Copy(io.Discard, p)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-dialled; cancel() }()
	_, err := mute(ctx, newClient(t, twilio.Config{}), strings.Replace(baseURL, "http", "https", 1))
	if got := as[*twilio.TransportError](t, err); got.Sent || got.Error() != "twilio: request not sent: context canceled" {
		t.Errorf("sent %v, %v", got.Sent, got)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cause %v", err)
	}
}

func TestCancelBeforeTheCall(t *testing.T) {
	server := newServer(t, answer(200, connected))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("a cause of the caller's own"))
	_, err := mute(ctx, newClient(t, twilio.Config{}), server.URL)
	if got := as[*twilio.TransportError](t, err); got.Sent || !errors.Is(err, context.Canceled) {
		t.Errorf("sent %v, %v", got.Sent, err)
	}
}

func TestCancelWhileReadingTheBody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	_, err := mute(ctx, newClient(t, twilio.Config{}), server.URL)
	var unread *twilio.AnswerError
	var lost *twilio.TransportError
	switch { // The cancellation may overtake the header.
	case errors.As(err, &unread):
	case errors.As(err, &lost) && lost.Sent:
	default:
		t.Errorf("error %v", err)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cause %v", err)
	}
}

// expiring is a context whose deadline passes when the test says so.
type expiring struct {
	context.Context
	passed chan struct{}
}

func (c expiring) Done() <-chan struct{} { return c.passed }

func (c expiring) Err() error {
	select {
	case <-c.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestTheCallersDeadlineIsToldFromOurOwnTimeouts(t *testing.T) {
	tests := []struct {
		name string
		cfg  twilio.Config
		end  func(expiring)
		want bool // whether the caller's deadline passed
		text string
	}{
		{"the caller's deadline", twilio.Config{}, func(c expiring) { close(c.passed) }, true, "context deadline exceeded"},
		{"our timeout", twilio.Config{AnswerTimeout: time.Millisecond}, func(expiring) {}, false, "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := expiring{t.Context(), make(chan struct{})}
			server := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				tt.end(ctx)
				<-r.Context().Done()
			})
			_, err := mute(ctx, newClient(t, tt.cfg), server.URL)
			got := as[*twilio.TransportError](t, err)
			if want := "twilio: no answer: " + tt.text; !got.Sent || got.Error() != want {
				t.Errorf("sent %v, text %q, want %q", got.Sent, got, want)
			}
			if errors.Is(err, context.DeadlineExceeded) != tt.want {
				t.Errorf("%v claims to be the caller's deadline: %v", got.Err, !tt.want)
			}
			var timeout interface{ Timeout() bool }
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%v is no timeout", got.Err)
			}
		})
	}
}

func TestErrorTextsHoldNoCredentialURLOrLabel(t *testing.T) {
	reflect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Twilio-Request-Id", r.Header.Get("Authorization"))
			w.Header().Set("Location", r.URL.String())
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"message":%q,"more_info":%q}`, r.Header.Get("Authorization")+" test-token "+r.RequestURI, "https://x/?"+r.RequestURI)
		}
	}
	baseURLs := map[string]string{
		"an error":        newServer(t, reflect(400)).URL,
		"a redirect":      newServer(t, reflect(302)).URL,
		"no participant":  newServer(t, reflect(200)).URL,
		"no connection":   "http://" + closedPort(t),
		"not even a host": "http://" + accountSID + ":test-token@jane-doe/",
		"no HTTP": listen(t, func(p peer) {
			if r, ok := p.read(); ok {
				p.write(r.Header.Get("Authorization") + r.RequestURI + "\r\n\r\n")
			}
		}),
	}
	for name, baseURL := range baseURLs {
		t.Run(name, func(t *testing.T) {
			_, err := update(t.Context(), newClient(t, twilio.Config{}), testAccount(baseURL), testPath("jane-doe"), everything())
			if err == nil {
				t.Fatal("no error")
			}
			for _, private := range []string{"test-token", "Basic", "QUMw", "jane-doe", "://", "2010-04-01", accountSID} {
				if strings.Contains(err.Error(), private) {
					t.Errorf("%q shows %q", err, private)
				}
			}
			var answered *twilio.Error
			if errors.As(err, &answered) && (strings.Contains(answered.Message, "test-token") || strings.Contains(answered.Message, "QUMw")) {
				t.Errorf("the message shows a credential: %q", answered.Message)
			}
		})
	}
}

func BenchmarkUpdateParticipant(b *testing.B) {
	server := httptest.NewServer(answer(200, connected))
	defer server.Close()
	client := newClient(b, twilio.Config{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mute(b.Context(), client, server.URL); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNothingIsSentWithoutAPermit: it is asked when there is a connection, a new
// one or one that was used before, and not a byte is written if it is refused.
func TestNothingIsSentWithoutAPermit(t *testing.T) {
	var bytes atomic.Int64
	baseURL := listen(t, func(p peer) {
		p.requests = bufio.NewReader(io.TeeReader(p.Conn, counter{&bytes}))
		for _, ok := p.read(); ok; _, ok = p.read() {
			p.accept()
		}
	})
	client := newClient(t, twilio.Config{})
	gone := errors.New("gone")
	var refuse error
	ctx := twilio.WithPermit(t.Context(), func() error { return refuse })
	for range 2 {
		refuse = gone
		_, err := mute(ctx, client, baseURL)
		if got := as[*twilio.TransportError](t, err); got.Sent || !errors.Is(err, gone) {
			t.Errorf("%+v, want one that was not sent, for want of a permit", got)
		}
		if n := bytes.Swap(0); n != 0 {
			t.Errorf("%d bytes arrived", n)
		}
		refuse = nil
		if _, err := mute(ctx, client, baseURL); err != nil {
			t.Error(err)
		}
		bytes.Store(0)
	}
	if twilio.Permitted(t.Context()) != nil {
		t.Error("a context without a permit has none")
	}
}

// counter counts what is written to it.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// TestARefusedPermitKeepsTheConnection for the next update.
func TestARefusedPermitKeepsTheConnection(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			var connections atomic.Int32
			server := httptest.NewUnstartedServer(answer(200, connected))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			cfg := twilio.Config{RootCAs: x509.NewCertPool()}
			if scheme == "https" {
				server.StartTLS()
				cfg.RootCAs.AddCert(server.Certificate())
			} else {
				server.Start()
			}
			t.Cleanup(server.Close)
			client := newClient(t, cfg)
			refused := twilio.WithPermit(t.Context(), func() error { return errors.New("gone") })
			for _, ctx := range []context.Context{refused, refused, t.Context(), refused, t.Context()} {
				_, err := mute(ctx, client, server.URL)
				if ctx != refused {
					if err != nil {
						t.Error(err)
					}
				} else if got := as[*twilio.TransportError](t, err); got.Sent {
					t.Errorf("%+v", got)
				}
			}
			if got := connections.Load(); got != 1 {
				t.Errorf("%d connections", got)
			}
		})
	}
}
