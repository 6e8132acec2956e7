// Package wire makes HTTP/1.1 requests over connections that are kept for the
// next one, and knows of each whether a byte of it was written.
//
// It writes and reads on the goroutine that makes the request, where net/http
// leaves that to two others and has to be asked afterwards what they did. So the
// answer is exact, and a request costs no switch between goroutines: a seventh
// less CPU for a whole call of the service. HTTP's grammar of answers is
// net/http's.
package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Config configures a [Pool]. A duration of 0 is no limit.
type Config struct {
	// DialTimeout limits the name lookup and the TCP handshake, and all that a
	// proxy does until the host is reached; TLSTimeout the TLS handshake;
	// AnswerTimeout an exchange, once Get has a connection, to the end of the
	// answer.
	DialTimeout, TLSTimeout, AnswerTimeout time.Duration
	// IdleTimeout is how long an unused connection is kept, MaxIdle how many are
	// kept to one host.
	IdleTimeout time.Duration
	MaxIdle     int
	// MaxBody limits the body of an answer, in bytes.
	MaxBody int64
	// RootCAs verify hosts' certificates; nil: the system's.
	RootCAs *x509.CertPool
	// Proxy chooses the proxy of a host, once. It may be of http, https, socks5
	// or socks5h; a nil URL: none.
	Proxy func(*http.Request) (*url.URL, error)
}

// The kinds of errors that others do not name.
var (
	ErrHost         = errors.New("the host's name is not usable")
	ErrHandshake    = errors.New("TLS handshake failed")
	ErrProxy        = errors.New("no connection through the proxy")
	ErrProxySetting = errors.New("proxy setting not usable")
	ErrBodyTooLong  = errors.New("the answer's body is longer than the limit")
	ErrHeadTooLong  = errors.New("the answer's header is longer than the limit")
	ErrNoHTTP       = errors.New("the answer is not HTTP")
	ErrNoAnswer     = errors.New("there is no answer to come")
)

// Pool keeps connections. It is safe for concurrent use.
type Pool struct {
	cfg   Config
	tls   *tls.Config
	mu    sync.Mutex
	hosts map[origin]*host
}

// origin is what connections are kept by.
type origin struct{ scheme, host string }

// NewPool returns a pool without connections.
func NewPool(cfg Config) *Pool {
	return &Pool{
		cfg:   cfg,
		tls:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		hosts: map[origin]*host{},
	}
}

// Get returns a connection to the host for one exchange, a used one if there is
// any. The base is http or https and an authority. Nothing is written to it yet.
// Close must be called on it.
func (p *Pool) Get(ctx context.Context, base *url.URL) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h, err := p.host(base)
	if err != nil {
		return nil, err
	}
	if c := h.take(); c != nil {
		return c, nil
	}
	return h.dial(ctx)
}

// CloseIdle closes the connections that nobody uses.
func (p *Pool) CloseIdle() {
	for _, h := range p.known() {
		h.closeIdle(func(*Conn) bool { return true })
	}
}

func (p *Pool) known() []*host {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.hosts))
}

// host returns what is kept of a host. There are as many as settings name.
func (p *Pool) host(base *url.URL) (*host, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := origin{base.Scheme, base.Host}
	if h := p.hosts[key]; h != nil {
		return h, nil
	}
	written, err := inASCII(base)
	if err != nil {
		return nil, err
	}
	proxy, err := p.proxy(base)
	if err != nil {
		return nil, ErrProxySetting // The cause may hold the proxy's password.
	}
	h := newHost(p, written, proxy)
	p.hosts[key] = h
	return h, nil
}

// proxy returns the host's proxy, or nil if it has none.
func (p *Pool) proxy(base *url.URL) (*url.URL, error) {
	proxy, err := p.cfg.Proxy(&http.Request{Method: http.MethodPost, URL: base, Header: http.Header{}})
	if err != nil || proxy == nil {
		return nil, err
	}
	if !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) {
		return nil, ErrProxySetting
	}
	return inASCII(proxy)
}

// inASCII returns the URL with the host as HTTP and the DNS write it.
func inASCII(u *url.URL) (*url.URL, error) {
	host, err := httpguts.PunycodeHostPort(u.Host)
	if err != nil || u.Hostname() == "" || !httpguts.ValidHostHeader(host) {
		return nil, ErrHost
	}
	written := *u
	written.Host = host
	return &written, nil
}
