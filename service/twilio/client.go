package twilio

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Config configures a [Client]. The zero Config is a good one. A zero duration
// means the default, a negative one no limit.
type Config struct {
	// DialTimeout limits the name lookup and the TCP handshake. Default 5 s.
	DialTimeout time.Duration
	// TLSHandshakeTimeout limits the TLS handshake. Default 5 s.
	TLSHandshakeTimeout time.Duration
	// ResponseHeaderTimeout limits the wait for the answer's header once the
	// request is written. Default 30 s. A call's context usually ends earlier.
	ResponseHeaderTimeout time.Duration
	// IdleConnTimeout is how long an unused connection is kept. Default 50 s:
	// shorter than the 60 s after which load balancers commonly close it, so
	// that few requests meet a connection that is about to close.
	IdleConnTimeout time.Duration

	// MaxConnsPerHost limits the connections to one host, in use or not.
	// Default 0: no limit.
	MaxConnsPerHost int
	// MaxIdleConnsPerHost limits the unused connections kept to one host. It
	// should be no lower than the number of requests at a time. Default 512.
	MaxIdleConnsPerHost int
	// MaxAnswerBytes limits the body of an answer. Default 1 MiB.
	MaxAnswerBytes int64

	// UserAgent is the User-Agent header. Default "conferenced".
	UserAgent string
	// RootCAs verify the host's certificate. Default: the system's.
	RootCAs *x509.CertPool
	// Proxy chooses a request's proxy. Default [http.ProxyFromEnvironment]:
	// HTTPS_PROXY, HTTP_PROXY and NO_PROXY, read once.
	Proxy func(*http.Request) (*url.URL, error)
	// HTTP2 lets the host choose HTTP/2. Many requests share a connection
	// then, so a request counts as sent as soon as it has one; see
	// [TransportError].
	HTTP2 bool
	// Header, if set, adds to the header of each request, given the context of
	// the call. It must not change what is there.
	Header func(context.Context, http.Header)
}

// Client makes requests to Twilio. It follows no redirect, keeps no cookie and
// repeats no request of which a byte may have been written. It is safe for
// concurrent use and meant to be shared, since it keeps connections open.
type Client struct {
	transport      *http.Transport
	maxAnswerBytes int64
	userAgent      []string
	header         func(context.Context, http.Header)
}

// NewClient returns a client.
func NewClient(cfg Config) *Client {
	return &Client{
		transport:      newTransport(cfg),
		maxAnswerBytes: cmp.Or(cfg.MaxAnswerBytes, 1<<20),
		userAgent:      []string{cmp.Or(cfg.UserAgent, "conferenced")},
		header:         cfg.Header,
	}
}

// bufferBytes is the size of a connection's two buffers. A request and an
// answer of usual length fit in. The larger ones of net/http cost as much time,
// and 4 MiB more for 1,000 connections.
const bufferBytes = 2 << 10

func newTransport(cfg Config) *http.Transport {
	d := &dialer{
		net:              net.Dialer{Timeout: limit(cfg.DialTimeout, 5*time.Second)},
		tls:              &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		handshakeTimeout: limit(cfg.TLSHandshakeTimeout, 5*time.Second),
	}
	t := &http.Transport{
		Proxy:                  proxy(cfg.Proxy),
		DialContext:            d.dial,
		TLSClientConfig:        d.tls,
		TLSHandshakeTimeout:    d.handshakeTimeout,
		ResponseHeaderTimeout:  limit(cfg.ResponseHeaderTimeout, 30*time.Second),
		IdleConnTimeout:        limit(cfg.IdleConnTimeout, 50*time.Second),
		MaxConnsPerHost:        cfg.MaxConnsPerHost,
		MaxIdleConnsPerHost:    cmp.Or(cfg.MaxIdleConnsPerHost, 512),
		MaxResponseHeaderBytes: 64 << 10,
		WriteBufferSize:        bufferBytes,
		ReadBufferSize:         bufferBytes,
		DisableCompression:     true, // An answer is one packet either way.
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(cfg.HTTP2)
	if !cfg.HTTP2 { // net/http speaks HTTP/2 on its own TLS connections only.
		t.DialTLSContext = d.dialTLS
	}
	return t
}

func limit(d, byDefault time.Duration) time.Duration {
	return max(0, cmp.Or(d, byDefault))
}

var errProxy = errors.New("proxy setting not usable")

// proxy hides the errors of choose, which may hold the proxy's password.
func proxy(choose func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	if choose == nil {
		choose = http.ProxyFromEnvironment
	}
	return func(r *http.Request) (*url.URL, error) {
		u, err := choose(r)
		if err != nil {
			return nil, errProxy
		}
		return u, nil
	}
}

// UpdateParticipant sends the update to the participant at p, with the
// credentials of a, and returns Twilio's answer. Both must name the same
// account. The error is an [*Error], [*AnswerError], [*TransportError] or
// [*RequestError]. A context without a deadline is allowed; only Config's
// limits apply then.
func (c *Client) UpdateParticipant(ctx context.Context, a Account, p ParticipantPath, u *ParticipantUpdate) (*Answer, error) {
	x, watched := watch(ctx)
	req, err := c.newRequest(watched, a, p, u)
	if err != nil {
		return nil, err
	}
	if c.header != nil {
		c.header(ctx, req.Header)
	}
	resp, err := c.send(req, x)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return c.receive(ctx, resp, x.reused)
}

// CloseIdleConnections closes the connections that no request uses.
func (c *Client) CloseIdleConnections() { c.transport.CloseIdleConnections() }

// The values of these headers are shared by all requests; net/http only reads
// them.
var (
	acceptJSON = []string{"application/json"}
	formType   = []string{"application/x-www-form-urlencoded"}
)

// newRequest returns the request, the Body of which comes from GetBody. net/http
// uses that too, to repeat the request when a connection proves dead.
func (c *Client) newRequest(ctx context.Context, a Account, p ParticipantPath, u *ParticipantUpdate) (*http.Request, error) {
	if err := p.check(a.SID); err != nil {
		return nil, err
	}
	target, err := parseBaseURL(a.BaseURL)
	if err != nil {
		return nil, &RequestError{Reason: "the account's base URL is not usable"}
	}
	p.setPath(target)
	form := u.AppendForm(nil)
	req := http.Request{
		Method: http.MethodPost,
		URL:    target,
		Header: http.Header{
			"Accept":        acceptJSON,
			"Authorization": {basicAuth(a.Username, a.Password)},
			"Content-Type":  formType,
			"User-Agent":    c.userAgent,
		},
		GetBody:       func() (io.ReadCloser, error) { return newBody(form), nil },
		ContentLength: int64(len(form)),
	}
	return req.WithContext(ctx), nil
}

// basicAuth returns the Authorization header of RFC 7617.
func basicAuth(username string, password Secret) string {
	plain := make([]byte, 0, 128)
	plain = append(append(append(plain, username...), ':'), password.reveal()...)
	header := append(make([]byte, 0, 256), "Basic "...)
	return string(base64.StdEncoding.AppendEncode(header, plain))
}

func newBody(form []byte) io.ReadCloser {
	if len(form) == 0 {
		return http.NoBody
	}
	return io.NopCloser(bytes.NewReader(form))
}

// send makes the request, which x watches.
//
// A reused connection may turn out to be dead. As long as nothing was written
// to it, that is no failure of the request, and the next one is tried. net/http
// does the same, but not if the connection closes between its leaving the pool
// and the first write. Each round consumes one connection of the pool, so the
// rounds end.
func (c *Client) send(req *http.Request, x *exchange) (*http.Response, error) {
	for {
		req.Body, _ = req.GetBody()
		resp, err := c.transport.RoundTrip(req)
		if err == nil {
			return resp, nil
		}
		if x.denied != nil && !x.sent() {
			return nil, &TransportError{Reused: x.reused, Err: x.denied}
		}
		if x.sent() || !x.reused || x.ctx.Err() != nil {
			return nil, &TransportError{Sent: x.wrote, Reused: x.reused, Err: cause(x.ctx, err)}
		}
		x.reused = false
		req = req.WithContext(req.Context()) // net/http may still hold the one before.
	}
}

// receive reads the answer to its end, so that its connection can be used
// again.
func (c *Client) receive(ctx context.Context, resp *http.Response, reused bool) (*Answer, error) {
	id := requestID(resp.Header)
	fail := func(reason string, err error) (*Answer, error) {
		return nil, &AnswerError{HTTPStatus: resp.StatusCode, RequestID: id, Reused: reused, Reason: reason, Err: err}
	}
	if resp.StatusCode < 200 { // 101: the rest of the connection is no body.
		return fail("unexpected status", nil)
	}
	b := bodies.Get().(*body)
	defer b.release()
	err := b.read(resp, c.maxAnswerBytes)
	switch status := resp.StatusCode; {
	case status >= 600:
		return fail("unexpected status", nil)
	case status >= 400:
		return nil, newError(resp, b.Bytes(), reused)
	case status >= 300:
		return fail("redirect not followed", nil)
	case err != nil:
		return fail("body cannot be read", cause(ctx, err))
	}
	participant, err := DecodeParticipant(b.Bytes())
	if err != nil {
		return fail("body is not a participant", err)
	}
	return &Answer{Participant: *participant, HTTPStatus: resp.StatusCode, RequestID: id, Reused: reused}, nil
}

var errTooLong = errors.New("twilio: the answer's body is longer than the limit")

// body is the body of an answer. It is used for one answer after the other, so
// nothing that is kept may be a part of it.
type body struct {
	bytes.Buffer
	from io.LimitedReader
}

var bodies = sync.Pool{New: func() any { return new(body) }}

// read reads the body to its end, but no more than limit bytes. When it fails,
// b holds what it read.
func (b *body) read(resp *http.Response, limit int64) error {
	if n := resp.ContentLength; 0 < n && n <= limit {
		b.Grow(int(n) + bytes.MinRead) // Room to see the end without growing.
	}
	b.from = io.LimitedReader{R: resp.Body, N: limit + 1}
	n, err := b.ReadFrom(&b.from)
	if err == nil && n > limit {
		err = errTooLong
	}
	return err
}

// release gives b back, unless it became large.
func (b *body) release() {
	if b.Cap() > 64<<10 {
		return
	}
	b.Reset()
	b.from.R = nil
	bodies.Put(b)
}
