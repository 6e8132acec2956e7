// Package wire makes HTTP/1.1 requests over pooled connections, one request at a
// time on each, and reports exactly whether any byte of a request was written.
//
// It exists because net/http cannot report that: http.Transport writes on another
// goroutine, so after the end of a context or a broken connection it is not known
// whether a byte was written. Here the calling goroutine writes and reads, and the
// bytes are counted at the TCP socket. It also takes a third less CPU and memory than
// net/http with a goroutine for each attempt.
//
// What is not about connections is left to libraries: net/http parses responses,
// golang.org/x/net/proxy speaks SOCKS5. Redirects, cookies, compression, HTTP/2,
// streamed bodies and repeating a request that was sent are out of scope.
package wire

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Kinds of errors. No error text of this package contains a credential, or data that
// a host sent.
var (
	ErrProxySetting = errors.New("proxy setting not usable")
	ErrProxy        = errors.New("no connection through the proxy")
	ErrTLSHandshake = errors.New("TLS handshake failed")
	ErrUnsolicited  = errors.New("data came before the request was sent")
	ErrMalformed    = errors.New("the response is not HTTP")
	ErrTooLarge     = errors.New("the response is larger than the limit")
)

// Transport makes requests and keeps idle connections. All fields but RootCAs
// must be set, and not be changed after the first use. It is safe for concurrent
// use.
type Transport struct {
	// ConnectTimeout limits name lookup, TCP, proxy and TLS of a new connection
	// together, and ExchangeTimeout the time from the permit to the end of the response.
	// After either, the error is [os.ErrDeadlineExceeded].
	ConnectTimeout, ExchangeTimeout time.Duration
	// IdleTimeout is how long an idle connection is kept, MaxIdlePerHost how many
	// are kept for each host.
	IdleTimeout    time.Duration
	MaxIdlePerHost int
	// MaxBodyBytes limits the body of a response, unless the request has a limit.
	MaxBodyBytes int64
	// RootCAs verify the certificates of hosts and proxies. Nil: the system's.
	RootCAs *x509.CertPool
	// Proxy returns the proxy for a host (http, https, socks5 or socks5h), or nil
	// for none. It is called once for each host.
	Proxy func(*http.Request) (*url.URL, error)

	mu    sync.Mutex
	hosts map[authority]*host
}

// Request is a request. Method, Path and Header are sent as they are.
type Request struct {
	Method string // Not HEAD or CONNECT.
	Path   string // The escaped path, and the query if there is one.
	Header []byte // Lines that end in CRLF, without Host and Content-Length.
	Body   []byte // nil means no body; for a POST it is an empty one.
	// MaxBodyBytes limits the body of the response; 0 means the transport's limit.
	MaxBodyBytes int64
}

// Response is a response that was read. Close must be called once.
type Response struct {
	StatusCode int
	Header     http.Header
	Body       []byte // The bytes of the body that were read.
	BodyErr    error  // The error after which the body is incomplete; nil if it is complete.
	Reused     bool   // Whether the connection was idle before.

	conn     *conn
	reusable bool
}

// Close makes the connection idle if reuse is true and the response allows it, and
// closes the connection otherwise.
func (r *Response) Close(reuse bool) {
	if reuse && r.reusable {
		r.conn.host.put(r.conn)
	} else {
		r.conn.close()
	}
}

// Error is the reason why there is no response.
type Error struct {
	Sent   bool // Whether any byte of the request was written to the TCP socket.
	Reused bool // Whether the connection had been idle before.
	// Err is the permit's error, the cause of the context's end, one of the kinds
	// above, or an error of net or crypto/tls.
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// RoundTrip sends the request to the host of base, which is http or https and an
// authority in ASCII, and reads the response. The end of the context interrupts it.
// Its error is an [*Error].
//
// A permit that is not nil is called once there is a connection, right before the
// request is written. Its error ends the exchange with nothing sent.
//
// Data that a host sent before the request is never the response. An idle connection
// on which that happened, or that the host has closed, is replaced if nothing was
// written, and the permit is called again.
func (t *Transport) RoundTrip(
	ctx context.Context, base *url.URL, r *Request, permit func() error,
) (*Response, error) {
	h, err := t.host(base)
	if err != nil {
		return nil, &Error{Err: err}
	}
	message, maxBody := h.encode(r), cmp.Or(r.MaxBodyBytes, t.MaxBodyBytes)
	for { // Each iteration but the last removes a connection from the pool.
		c, err := h.get(ctx)
		if err != nil {
			return nil, &Error{Err: err}
		}
		reused := c.reused
		if err = context.Cause(ctx); err == nil && permit != nil {
			err = permit()
		}
		if err != nil {
			h.put(c)
			return nil, &Error{Reused: reused, Err: err}
		}
		response, sent, err := c.roundTrip(ctx, message, maxBody)
		if err == nil {
			return response, nil
		}
		c.close()
		if sent || !reused || ctx.Err() != nil {
			return nil, &Error{Sent: sent, Reused: reused, Err: err}
		}
	}
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.hosts {
		h.closeIdle(0)
	}
}

// authority identifies a host.
type authority struct{ scheme, host string }

// host returns the host of base. The number of hosts is bounded by the settings.
func (t *Transport) host(base *url.URL) (*host, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := authority{base.Scheme, base.Host}
	if h := t.hosts[key]; h != nil {
		return h, nil
	}
	proxy, err := t.Proxy(&http.Request{Method: http.MethodPost, URL: base, Header: http.Header{}})
	if err != nil || proxy != nil && (proxy.Hostname() == "" || defaultPorts[proxy.Scheme] == "") {
		return nil, ErrProxySetting // The cause may contain the proxy's password.
	}
	if t.hosts == nil {
		t.hosts = map[authority]*host{}
	}
	t.hosts[key] = newHost(t, base, proxy)
	return t.hosts[key], nil
}
