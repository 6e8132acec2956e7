package twilio

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"sync"
	"time"

	"conferenced/service/twilio/wire"
)

const (
	connectTimeout = 5 * time.Second
	// idleTimeout is less than the 60 s after which load balancers commonly close an
	// idle connection, so that few requests are sent on a connection that is closing.
	idleTimeout    = 50 * time.Second
	maxIdlePerHost = 1000 // The default maximum of an account's attempts in flight.
	maxAnswerBytes = 1 << 20
	maxListBytes   = 4 << 20 // 1,000 resources of 4 KiB; Twilio's have about 1 KiB.
)

// Config configures a [Client]. Its zero value is ready for use.
type Config struct {
	// AnswerTimeout limits the time from the permit (see [Client.Do]) to the end of the
	// answer. The default is 30 s.
	AnswerTimeout time.Duration
	// RootCAs verify the certificates of hosts and proxies. Default: the system's.
	RootCAs *x509.CertPool
	// Proxy returns a host's proxy. It is called once for each host. Default
	// [http.ProxyFromEnvironment].
	Proxy func(*http.Request) (*url.URL, error)
	// Traceparent, if not nil, returns the W3C traceparent of a request with that context;
	// "" for none.
	Traceparent func(context.Context) string
}

// Client makes requests to Twilio over kept-alive connections. It does not follow
// redirects, does not keep cookies, and does not repeat a request of which a byte was
// written. It is safe for concurrent use.
type Client struct {
	transport wire.Transport

	traceparent func(context.Context) string

	mu    sync.Mutex
	bases map[string]*url.URL // The parsed base URLs of accounts.
}

// NewClient returns a client.
func NewClient(cfg Config) *Client {
	c := &Client{
		transport: wire.Transport{
			ConnectTimeout: connectTimeout, ExchangeTimeout: cmp.Or(cfg.AnswerTimeout, 30*time.Second),
			IdleTimeout: idleTimeout, MaxIdlePerHost: maxIdlePerHost,
			MaxBodyBytes: maxAnswerBytes, RootCAs: cfg.RootCAs, Proxy: http.ProxyFromEnvironment,
		},
		traceparent: cfg.Traceparent,
		bases:       map[string]*url.URL{},
	}
	if cfg.Proxy != nil {
		c.transport.Proxy = cfg.Proxy
	}
	return c
}

// Do makes the request with the credentials of a, which must be of the account in its
// path. Its error is an [*Error], [*AnswerError], [*TransportError] or
// [*RequestError].
//
// A permit that is not nil is called once there is a connection, right before the
// request is written. After its error nothing is sent, and it is the cause of the
// [*TransportError].
func (c *Client) Do(ctx context.Context, a *Account, r *Request, permit func() error) (*Answer, error) {
	base, err := c.base(a.BaseURL)
	if err != nil {
		return nil, &RequestError{Reason: "the account's base URL is not usable"}
	}
	if err := r.check(a.SID); err != nil {
		return nil, err
	}
	response, err := c.transport.RoundTrip(ctx, base, c.encode(ctx, a, r), permit)
	if err != nil {
		return nil, newTransportError(err)
	}
	answer, err := readAnswer(response, a, r)
	response.Close(!isForeign(err))
	return answer, err
}

// base parses a base URL, once. Their number is bounded by the settings.
func (c *Client) base(text string) (*url.URL, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.bases[text]; known != nil {
		return known, nil
	}
	base, err := parseBaseURL(text)
	if err != nil {
		return nil, err
	}
	c.bases[text] = base
	return base, nil
}

func (c *Client) encode(ctx context.Context, a *Account, r *Request) *wire.Request {
	header := append(make([]byte, 0, 320), "User-Agent: conferenced\r\nAccept: application/json\r\nAuthorization: Basic "...)
	header = append(appendCredentials(header, a), "\r\n"...)
	w := &wire.Request{Method: r.Operation.Method(), Path: r.target()}
	if r.Operation == UpdateParticipant {
		header = append(header, "Content-Type: application/x-www-form-urlencoded\r\n"...)
		w.Body = AppendForm(make([]byte, 0, 128), r.Change)
	}
	if r.Operation.isList() {
		w.MaxBodyBytes = maxListBytes
	}
	if c.traceparent != nil {
		if value := c.traceparent(ctx); value != "" {
			header = append(header, "Traceparent: "+value+"\r\n"...)
		}
	}
	w.Header = header
	return w
}

// appendCredentials appends the credentials of basic authentication (RFC 7617).
func appendCredentials(dst []byte, a *Account) []byte {
	return base64.StdEncoding.AppendEncode(dst, []byte(a.Username+":"+a.Password.reveal()))
}

// CloseIdleConnections closes the connections that no request uses.
func (c *Client) CloseIdleConnections() { c.transport.CloseIdleConnections() }
