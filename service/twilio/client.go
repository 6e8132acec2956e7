package twilio

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"conferenced/service/twilio/wire"
)

// Config configures a [Client]. The zero Config is a good one. A zero duration
// means the default, a negative one no limit.
type Config struct {
	// DialTimeout limits the name lookup and the TCP handshake, and all that a
	// proxy does until the host is reached. Default 5 s.
	DialTimeout time.Duration
	// TLSHandshakeTimeout limits the TLS handshake. Default 5 s.
	TLSHandshakeTimeout time.Duration
	// AnswerTimeout limits the time from when a request has a connection to the
	// end of its answer. Default 30 s. A call's context usually ends earlier.
	AnswerTimeout time.Duration
	// IdleConnTimeout is how long an unused connection is kept. Default 50 s:
	// shorter than the 60 s after which load balancers commonly close it, so
	// that few requests meet a connection that is about to close.
	IdleConnTimeout time.Duration

	// MaxIdleConnsPerHost limits the unused connections kept to one host. It
	// should be no lower than the number of requests at a time. Default 512.
	MaxIdleConnsPerHost int
	// MaxAnswerBytes limits the body of an answer. Default 1 MiB.
	MaxAnswerBytes int64

	// UserAgent is the User-Agent header. Default "conferenced".
	UserAgent string
	// RootCAs verify the host's certificate. Default: the system's.
	RootCAs *x509.CertPool
	// Proxy chooses a host's proxy, once. Default [http.ProxyFromEnvironment]:
	// HTTPS_PROXY, HTTP_PROXY and NO_PROXY, read once.
	Proxy func(*http.Request) (*url.URL, error)
	// Header, if set, adds to the header of each request, given the context of
	// the call. What the client itself says there stays as it is.
	Header func(context.Context, http.Header)
}

// Client makes requests to Twilio. It follows no redirect, keeps no cookie and
// repeats no request of which a byte may have been written. It is safe for
// concurrent use and meant to be shared, since it keeps connections open.
type Client struct {
	pool   *wire.Pool
	agent  string
	header func(context.Context, http.Header)

	mu    sync.Mutex
	bases map[string]*url.URL // By base URL, which are as many as settings name.
}

// NewClient returns a client.
func NewClient(cfg Config) *Client {
	choose := cfg.Proxy
	if choose == nil {
		choose = http.ProxyFromEnvironment
	}
	return &Client{
		pool: wire.NewPool(wire.Config{
			DialTimeout:   limit(cfg.DialTimeout, 5*time.Second),
			TLSTimeout:    limit(cfg.TLSHandshakeTimeout, 5*time.Second),
			AnswerTimeout: limit(cfg.AnswerTimeout, 30*time.Second),
			IdleTimeout:   limit(cfg.IdleConnTimeout, 50*time.Second),
			MaxIdle:       cmp.Or(cfg.MaxIdleConnsPerHost, 512),
			MaxBody:       cmp.Or(cfg.MaxAnswerBytes, 1<<20),
			RootCAs:       cfg.RootCAs,
			Proxy:         choose,
		}),
		agent:  oneLine.Replace(cmp.Or(cfg.UserAgent, "conferenced")),
		header: cfg.Header,
		bases:  map[string]*url.URL{},
	}
}

// oneLine keeps a header's value from ending its line.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

func limit(d, byDefault time.Duration) time.Duration {
	return max(0, cmp.Or(d, byDefault))
}

// Pending is an update that was sent and whose answer has not been received. It
// is for one goroutine at a time.
type Pending interface {
	// Answer waits for Twilio's answer and returns it. The error is an [*Error],
	// [*AnswerError] or [*TransportError].
	Answer() (*Answer, error)
	// Resume makes it possible to call Answer again after the end of the context
	// has interrupted it, and from now on the end of this context does. It reports
	// false if there is no answer to come any more.
	Resume(context.Context) bool
	// Close must be called in the end. Without an answer it gives up the
	// connection.
	Close()
}

// Send sends the update to the participant at p, with the credentials of a, which
// must not be changed after that. Both must name the same account. It returns as
// soon as the update is written. Its error is a [*TransportError] or
// [*RequestError], and then nothing was sent. A context without a deadline is
// allowed; only Config's limits apply then.
func (c *Client) Send(ctx context.Context, a *Account, p *ParticipantPath, u *ParticipantUpdate) (Pending, error) {
	base, err := c.base(a.BaseURL)
	if err != nil {
		return nil, &RequestError{Reason: "the account's base URL is not usable"}
	}
	if err := p.check(a.SID); err != nil {
		return nil, err
	}
	r := requests.Get().(*request)
	defer requests.Put(r)
	r.write(a, p, u, c.agent)
	if c.header != nil {
		r.add(ctx, c.header)
	}
	conn, err := c.send(ctx, base, &r.Request)
	if err != nil {
		return nil, err
	}
	return &pending{ctx: ctx, conn: conn, account: a}, nil
}

// base returns the base URL, which is parsed once.
func (c *Client) base(text string) (*url.URL, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if base := c.bases[text]; base != nil {
		return base, nil
	}
	base, err := parseBaseURL(text)
	if err == nil {
		c.bases[text] = base
	}
	return base, err
}

// CloseIdleConnections closes the connections that no request uses.
func (c *Client) CloseIdleConnections() { c.pool.CloseIdle() }

// request is room for a request, which is used for one after the other.
type request struct{ wire.Request }

var requests = sync.Pool{New: func() any { return new(request) }}

func (r *request) write(a *Account, p *ParticipantPath, u *ParticipantUpdate, agent string) {
	r.Path = p.AppendURL(r.Path[:0])
	r.Body = u.AppendForm(r.Body[:0])
	h := r.Header[:0]
	h = append(h, "User-Agent: "...)
	h = append(h, agent...)
	h = append(h, "\r\nAccept: application/json\r\nAuthorization: "...)
	h = appendBasicAuth(h, a.Username, a.Password)
	h = append(h, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"...)
	r.Header = h
}

// ours are the header's lines that no function may add to.
var ours = map[string]bool{
	"Accept": true, "Authorization": true, "Connection": true, "Content-Length": true, "Content-Type": true, "Host": true,
	"Proxy-Authorization": true, "Trailer": true, "Transfer-Encoding": true, "User-Agent": true,
}

// add adds what the function adds to the header.
func (r *request) add(ctx context.Context, more func(context.Context, http.Header)) {
	header := http.Header{}
	more(ctx, header)
	if len(header) == 0 {
		return
	}
	lines := bytes.NewBuffer(r.Header)
	_ = header.WriteSubset(lines, ours) // A buffer takes all, and no line ends early.
	r.Header = lines.Bytes()
}

// appendBasicAuth appends the Authorization header's value of RFC 7617.
func appendBasicAuth(dst []byte, username string, password Secret) []byte {
	plain := make([]byte, 0, 128)
	plain = append(append(append(plain, username...), ':'), password.reveal()...)
	return base64.StdEncoding.AppendEncode(append(dst, "Basic "...), plain)
}

// send returns the connection that the request was sent on, once its permit is
// given.
//
// A used connection may turn out to be dead. As long as nothing was written to
// it, that is no failure of the request, and another is tried. Each round
// consumes one connection of the pool, so the rounds end.
func (c *Client) send(ctx context.Context, base *url.URL, r *wire.Request) (*wire.Conn, error) {
	for {
		conn, err := c.pool.Get(ctx, base)
		if err != nil {
			return nil, &TransportError{Err: cause(ctx, err)}
		}
		denied := Permitted(ctx)
		if denied == nil {
			if err = conn.Send(ctx, r); err == nil {
				return conn, nil
			}
		}
		used := conn.Used()
		conn.Close()
		switch {
		case denied != nil:
			return nil, &TransportError{Reused: used, Err: denied}
		case !used || ctx.Err() != nil:
			return nil, &TransportError{Reused: used, Err: cause(ctx, err)}
		}
	}
}
