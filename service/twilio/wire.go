package twilio

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

var (
	errSealed    = errors.New("connection given up")
	errHandshake = errors.New("TLS handshake failed")
)

// wire is a connection that counts the writes on it, so that it can be told
// whether a request went out. On https it wraps the TLS connection, so that
// handshakes and alerts do not count.
type wire struct {
	net.Conn
	writes atomic.Int64 // calls of Write so far, or sealed
}

const sealed = -1

// Write writes p, unless the wire was sealed.
func (w *wire) Write(p []byte) (int, error) {
	for {
		n := w.writes.Load()
		if n == sealed {
			return 0, errSealed
		}
		if w.writes.CompareAndSwap(n, n+1) {
			return w.Conn.Write(p)
		}
	}
}

// seal makes all further writes fail and reports true, provided that there
// were exactly writes of them so far. Otherwise it does nothing.
func (w *wire) seal(writes int64) bool { return w.writes.CompareAndSwap(writes, sealed) }

// exchange watches one RoundTrip to establish whether a byte of the request
// may have been written.
//
// net/http writes on a goroutine of its own, and may return from RoundTrip
// with an error at any point of that. So the question is settled rather than
// observed: if the connection saw no write since RoundTrip took it, it is
// sealed, and no byte can follow. If it saw one, the request counts as sent.
// A connection that is not a wire (HTTP/2, or TLS through a proxy) counts as
// written to as soon as RoundTrip has it.
//
// net/http repeats a request by itself when a reused connection turns out to
// be dead. For a POST without an Idempotency-Key header, which this package
// never sets, it does so only if it wrote nothing; see
// persistConn.shouldRetryRequest. Each repetition begins with GetConn, which
// settles the connection before it.
//
// A permit is asked when RoundTrip has a connection. If it is refused, the
// connection is sealed before anything is written.
type exchange struct {
	ctx    context.Context
	hooks  httptrace.ClientTrace
	denied error

	conn   *wire
	writes int64 // of conn, when RoundTrip got it
	reused bool
	wrote  bool
}

// watch returns an exchange and the context for the RoundTrip that it is to
// watch. net/http calls both hooks on the goroutine that called RoundTrip.
func watch(ctx context.Context) (*exchange, context.Context) {
	x := &exchange{ctx: ctx}
	x.hooks = httptrace.ClientTrace{GetConn: x.getConn, GotConn: x.gotConn}
	return x, httptrace.WithClientTrace(ctx, &x.hooks)
}

func (x *exchange) getConn(string) {
	x.settle()
	x.reused = false
}

func (x *exchange) gotConn(info httptrace.GotConnInfo) {
	x.reused = info.Reused
	conn, ok := info.Conn.(*wire)
	if !ok {
		x.wrote = true
		return
	}
	x.conn, x.writes = conn, conn.writes.Load()
	if x.denied = Permitted(x.ctx); x.denied != nil {
		x.settle()
	}
}

type permitKey struct{}

// WithPermit returns a context whose requests ask the permit once they have a
// connection, right before they are written; that may be much later than they
// were made. A request whose permit is an error is not sent, and that error is
// what its *TransportError wraps. HTTP/2 and connections through a proxy do not
// ask.
func WithPermit(ctx context.Context, permit func() error) context.Context {
	return context.WithValue(ctx, permitKey{}, permit)
}

// Permitted asks the context's permit, if there is one, as a Client does.
func Permitted(ctx context.Context) error {
	if permit, ok := ctx.Value(permitKey{}).(func() error); ok {
		return permit()
	}
	return nil
}

// settle gives the connection up, if there is one.
func (x *exchange) settle() {
	if x.conn != nil && !x.conn.seal(x.writes) {
		x.wrote = true
	}
	x.conn = nil
}

// sent reports whether a byte of the request may have been written. It is to
// be asked once RoundTrip has failed; from then on no further byte is.
func (x *exchange) sent() bool {
	x.settle()
	return x.wrote
}

// dialer makes wires.
type dialer struct {
	net              net.Dialer
	tls              *tls.Config
	handshakeTimeout time.Duration // 0: none
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.net.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: conn}, nil
}

func (d *dialer) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	conn, err := d.net.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	cfg := d.tls.Clone()
	cfg.ServerName = host
	secured := tls.Client(conn, cfg)
	if err := d.handshake(ctx, secured); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	return &wire{Conn: secured}, nil
}

func (d *dialer) handshake(ctx context.Context, conn *tls.Conn) error {
	if d.handshakeTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.handshakeTimeout)
		defer cancel()
	}
	return conn.HandshakeContext(ctx)
}
