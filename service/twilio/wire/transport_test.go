package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// wantNotSent checks that nothing was sent because of the error want.
func wantNotSent(t *testing.T, err, want error) {
	t.Helper()
	if got, is := errors.AsType[*Error](err); !is || got.Sent || !errors.Is(err, want) {
		t.Errorf("error %+v, want one that was not sent because of %v", err, want)
	}
}

// TestNothingIsSentWithoutAPermit uses a new and an idle connection, each of which
// then serves the next request.
func TestNothingIsSentWithoutAPermit(t *testing.T) {
	each(t, answerAll(ok("body")), func(t *testing.T, base *url.URL) {
		transport := newTransport(t)
		refusal := errors.New("no permit")
		for range 2 {
			_, err := exchange(t.Context(), transport, base, func() error { return refusal })
			wantNotSent(t, err, refusal)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err = exchange(ctx, transport, base, func() error { t.Error("the permit is asked for nothing"); return nil })
			wantNotSent(t, err, context.Canceled)
			if got := post(t, transport, base); !got.Reused {
				t.Error("the connection was not kept")
			}
		}
	})
}

// TestContextThatEndsDuringThePermit checks that Sent is correct, whether or not a
// byte was written.
func TestContextThatEndsDuringThePermit(t *testing.T) {
	each(t, answerAll(ok("body")), func(t *testing.T, base *url.URL) {
		transport := newTransport(t)
		for range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := exchange(ctx, transport, base, func() error { go cancel(); return nil })
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			post(t, transport, base)
			cancel()
			post(t, transport, base)
		}
	})
}

func TestContextInterruptsAnExchange(t *testing.T) {
	arrived := make(chan struct{})
	handle := func(p peer) {
		p.read()
		arrived <- struct{}{}
		p.wait()
	}
	each(t, handle, func(t *testing.T, base *url.URL) {
		left := errors.New("the caller left")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-arrived; cancel(left) }()
		_, err := exchange(ctx, newTransport(t), base, nil)
		if !wasSent(err) || !errors.Is(err, left) {
			t.Errorf("error %+v, want one that was sent, and the cause", err)
		}
	})
}

func wasSent(err error) bool {
	failed, is := errors.AsType[*Error](err)
	return is && failed.Sent
}

func TestExchangeTimeout(t *testing.T) {
	each(t, func(p peer) { p.read(); p.wait() }, func(t *testing.T, base *url.URL) {
		transport := newTransport(t)
		var err error
		// On a busy machine a short timeout may pass before the request is written.
		for timeout := 20 * time.Millisecond; timeout < 10*time.Second && !wasSent(err); timeout *= 2 {
			transport.ExchangeTimeout = timeout
			_, err = exchange(t.Context(), transport, base, nil)
		}
		if !wasSent(err) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %+v", err)
		}
	})
}

// TestConnectionIsUsedAfterItsDeadline: the deadline of an exchange is not that of the
// next one.
func TestConnectionIsUsedAfterItsDeadline(t *testing.T) {
	each(t, answerAll(ok("")), func(t *testing.T, base *url.URL) {
		transport := newTransport(t)
		_ = post(t, transport, base).conn.stream.SetDeadline(time.Unix(1, 0))
		if !post(t, transport, base).Reused {
			t.Error("the connection is not used again")
		}
	})
}

func TestContextInterruptsABody(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("the caller left")
	base := parse(t, "http://"+listen(t, func(p peer) {
		p.read()
		p.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbody")
		cancel(left)
		p.wait()
	}))
	got, err := exchange(ctx, newTransport(t), base, nil)
	switch { // The end of the context may overtake the header.
	case err == nil && got.StatusCode == 200 && errors.Is(got.BodyErr, left):
	case err != nil && errors.Is(err, left):
	default:
		t.Errorf("%+v, %v", got, err)
	}
}

// large is a request that exceeds the socket's buffers, so that writing it blocks
// until the host reads.
var large = &Request{Method: "POST", Path: "/", Body: []byte(strings.Repeat("x", 32<<20))}

func TestPartOfARequestCountsAsSent(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	stall := func(p peer) {
		_, _ = p.requests.ReadByte()
		arrived <- struct{}{}
		<-release
	}
	each(t, stall, func(t *testing.T, base *url.URL) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		_, err := newTransport(t).RoundTrip(ctx, base, large, nil)
		if !wasSent(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("error %+v", err)
		}
		release <- struct{}{}
	})
}

// TestEarlyResponseIsRead although the host closes the connection without having
// read the request.
func TestEarlyResponseIsRead(t *testing.T) {
	refuse := func(p peer) {
		if _, err := http.ReadRequest(p.requests); err == nil {
			p.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge")
		}
	}
	each(t, refuse, func(t *testing.T, base *url.URL) {
		transport := newTransport(t)
		got, err := transport.RoundTrip(t.Context(), base, large, nil)
		if err != nil || got.StatusCode != 413 || string(got.Body) != "large" {
			t.Fatalf("%+v, %v", got, err)
		}
		got.Close(true)
		if len(idle(t, transport, base)) != 0 {
			t.Error("the connection is kept, with half a request on it")
		}
	})
}

func TestConnectionsThatCannotBeMade(t *testing.T) {
	withTLS := func(cfg func(*tls.Config)) string {
		server := hostTLS.Clone()
		cfg(server)
		return "https://" + listen(t, func(p peer) { _ = tls.Server(p.Conn, server).Handshake() })
	}
	good := withTLS(func(*tls.Config) {})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(good, "https://"))
	silent := "https://" + listen(t, func(p peer) { p.wait() })
	tests := []struct {
		name, base string
		configure  func(*Transport)
		want       error
	}{
		{"a closed port", "http://127.0.0.1:1", nil, syscall.ECONNREFUSED},
		{"an old version of TLS", withTLS(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), nil, ErrTLSHandshake},
		{"a certificate for another name", "https://localhost:" + port, nil, ErrTLSHandshake},
		{"a certificate that is not trusted", good, func(t *Transport) { t.RootCAs = x509.NewCertPool() }, ErrTLSHandshake},
		{"no TLS", "https://" + listen(t, func(p peer) { p.write("HTTP/1.1 400 Bad Request\r\n\r\n"); p.wait() }), nil, ErrTLSHandshake},
		{"nothing", silent, func(t *Transport) { t.ConnectTimeout = time.Millisecond }, os.ErrDeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			transport := newTransport(t)
			if tt.configure != nil {
				tt.configure(transport)
			}
			_, err := exchange(t.Context(), transport, parse(t, tt.base), nil)
			wantNotSent(t, err, tt.want)
		})
	}
	t.Run("the end of the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		base := parse(t, "https://"+listen(t, func(p peer) { cancel(); p.wait() }))
		_, err := exchange(ctx, newTransport(t), base, nil)
		wantNotSent(t, err, context.Canceled)
	})
}

func TestIdleConnectionsAreBounded(t *testing.T) {
	const calls = 4
	var arrived, closed sync.WaitGroup
	arrived.Add(calls)
	closed.Add(calls)
	base := parse(t, "http://"+listen(t, func(p peer) {
		defer closed.Done()
		p.read()
		arrived.Done()
		arrived.Wait()
		p.write(ok(""))
		p.wait()
	}))
	transport := newTransport(t)
	transport.MaxIdlePerHost = 2
	var running sync.WaitGroup
	for range calls {
		running.Go(func() { post(t, transport, base) })
	}
	running.Wait()
	if got := len(idle(t, transport, base)); got != 2 {
		t.Errorf("%d idle connections, want 2", got)
	}
	transport.CloseIdleConnections()
	closed.Wait()
}

// TestIdleConnectionsExpire and are closed without another request.
func TestIdleConnectionsExpire(t *testing.T) {
	closed := make(chan struct{})
	base := parse(t, "http://"+listen(t, func(p peer) { answerAll(ok(""))(p); closed <- struct{}{} }))
	transport := newTransport(t)
	transport.IdleTimeout = time.Millisecond
	for range 3 {
		post(t, transport, base)
		<-closed
	}
	transport = newTransport(t)
	transport.IdleTimeout = time.Nanosecond
	for range 3 {
		if got := post(t, transport, base); got.Reused {
			t.Error("an expired connection was used")
		}
		<-closed
	}
}

// TestHostThatClosesConnections makes calls to a host that closes many connections
// at the moment at which they are used again. Each request arrives at most once,
// and what is reported of it is true.
func TestHostThatClosesConnections(t *testing.T) {
	var arrivals sync.Map // Path -> *atomic.Int32
	count := func(path string) *atomic.Int32 {
		n, _ := arrivals.LoadOrStore(path, new(atomic.Int32))
		return n.(*atomic.Int32)
	}
	var answers atomic.Int32
	handle := func(p peer) {
		for r, more := p.read(); more; r, more = p.read() {
			count(r.target).Add(1)
			p.write(ok(r.target))
			if answers.Add(1)%2 == 0 {
				for range rand.IntN(50) {
					runtime.Gosched()
				}
				return
			}
		}
	}
	each(t, handle, func(t *testing.T, base *url.URL) {
		transport := newTransport(t)
		var callers sync.WaitGroup
		for caller := range 8 {
			callers.Go(func() {
				for i := range 50 {
					path := fmt.Sprintf("/%s/%d/%d", base.Scheme, caller, i)
					r, err := transport.RoundTrip(t.Context(), base, &Request{Method: "POST", Path: path}, nil)
					arrived := count(path).Load()
					if err != nil {
						if lost, is := errors.AsType[*Error](err); !is || !lost.Sent || arrived > 1 {
							t.Errorf("%s arrived %d times: %+v", path, arrived, err)
						}
						continue
					}
					r.Close(true)
					if arrived != 1 || string(r.Body) != path {
						t.Errorf("%s arrived %d times, response %q", path, arrived, r.Body)
					}
				}
			})
		}
		callers.Wait()
	})
}
