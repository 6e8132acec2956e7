package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/peer"

	"conferenced/service/telemetry"
)

// Bounds of one listener. Connections that have brought an authenticated call are
// bounded by their number alone.
const (
	// maxConnections is the maximum number of all connections of a listener, if the limit
	// of file descriptors allows so many.
	maxConnections = 1 << 18
	// maxUnauthenticated is the maximum number of connections without an authenticated call.
	maxUnauthenticated = 1024
	// maxUnauthenticatedLoad is the maximum sum of the loads of these connections, in
	// bytes. Their memory may be ten times that, if the bytes arrive in very small HTTP/2
	// frames.
	maxUnauthenticatedLoad = 12 << 20
	// requestLoad is the load of a request in progress, besides its bytes: a
	// goroutine, a stream and buffers.
	requestLoad = 8 << 10
	// maxWork is how much work a connection may cause without an authenticated call,
	// in units of some microseconds, and workRate how much more each second. Reads
	// that would cause more are delayed.
	maxWork, workRate = 1000, 50
	// A read is a unit of work, and so is each workBytes of it. A request is requestWork.
	workBytes, requestWork = 4 << 10, 10
	// writeBufferBytes is the size of a connection's write buffer in the kernel, which may
	// double it. It is what a client that does not read can hold there.
	writeBufferBytes = 32 << 10
)

// connections is a listener that bounds its connections. If too many connections have no
// authenticated call, it closes the oldest of them, and if their load is too high, the
// one with the highest load. At the limit of all connections, it closes the oldest one
// without an authenticated call, or, if there is none, the new connection.
type connections struct {
	net.Listener
	limit   int                                  // of all connections
	maxLoad int                                  // of the connections without an authenticated call
	maxWork int                                  // of each of them
	after   func(time.Duration) <-chan time.Time // time.After, except in tests
	logger  *slog.Logger
	metrics *telemetry.ListenerMetrics

	mu              sync.Mutex
	open            int
	unauthenticated map[*conn]struct{}
	load            int // of the unauthenticated connections
	draining        bool
}

func newConnections(l net.Listener, limit int, logger *slog.Logger, metrics *telemetry.ListenerMetrics) *connections {
	return &connections{
		Listener: l, limit: limit, maxLoad: maxUnauthenticatedLoad, maxWork: maxWork, after: time.After, logger: logger, metrics: metrics,
		unauthenticated: map[*conn]struct{}{},
	}
}

// Accept returns the next connection, a *conn. An error that the server will retry
// after, such as too many open files, is logged and counted.
func (l *connections) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				l.metrics.AcceptFailed()
				l.logger.Error("accepting a connection failed", "listener", l.Addr().String(), "cause", err)
			}
			return nil, err
		}
		if tcp, ok := accepted.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(writeBufferBytes) // It saves memory alone.
		}
		c := newConn(accepted, l)
		if l.add(c) {
			return c, nil
		}
		l.metrics.Closed("limit")
		_ = accepted.Close() // The connection is not used again.
	}
}

// add makes room for the connection. It returns false if there is none.
func (l *connections) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining {
		return false
	}
	if len(l.unauthenticated) >= maxUnauthenticated || l.open >= l.limit {
		oldest := l.choose(func(a, b *conn) bool { return a.opened.Before(b.opened) })
		if oldest == nil {
			return false
		}
		l.evict(oldest, "oldest")
	}
	l.open++
	l.unauthenticated[c] = struct{}{}
	return true
}

// choose returns the unauthenticated connection that comes first in the order, or nil.
func (l *connections) choose(before func(a, b *conn) bool) *conn {
	var first *conn
	for c := range l.unauthenticated {
		if first == nil || before(c, first) {
			first = c
		}
	}
	return first
}

func (l *connections) evict(c *conn, reason string) {
	l.metrics.Closed(reason)
	l.remove(c)
	c.stopPacing()
	_ = c.Conn.Close() // The connection is not used again.
}

// remove stops counting an open connection.
func (l *connections) remove(c *conn) {
	if !c.removed {
		c.removed = true
		l.open--
		l.removeUnauthenticated(c)
	}
}

// removeUnauthenticated takes a connection and its load out of the unauthenticated ones.
func (l *connections) removeUnauthenticated(c *conn) {
	l.load -= c.load
	c.load = 0
	delete(l.unauthenticated, c)
}

// addLoad adds n, which may be negative, to the load of a connection that is
// unauthenticated. If all of them then have too much, it closes the one with the most.
func (l *connections) addLoad(c *conn, n int) {
	if _, ok := l.unauthenticated[c]; !ok {
		return
	}
	c.load += n
	l.load += n
	if n > 0 && l.load > l.maxLoad {
		l.evict(l.choose(func(a, b *conn) bool { return a.load > b.load }), "load")
	}
}

// drain closes the connections on which nothing has arrived yet, and every connection
// that is accepted later. gRPC and net/http would wait seconds for their first byte.
func (l *connections) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
	for c := range l.unauthenticated {
		c.stopPacing()
		if !c.used {
			l.remove(c)
			_ = c.Conn.Close()
		}
	}
}

// conn is a connection of a client.
type conn struct {
	net.Conn
	listener      *connections
	opened        time.Time
	authenticated atomic.Bool
	received      atomic.Int64 // bytes

	work       *rate.Limiter
	unpaced    chan struct{} // closed when reads are no longer delayed
	stopPacing func()        // closes unpaced

	// Under the listener's lock.
	removed  bool
	used     bool  // a byte has arrived
	requests int   // in progress
	load     int   // of the requests, and the bytes that arrived since there was no request
	writing  bool  // a write is in progress
	answered []int // loads of requests that end when that write returns
}

func newConn(accepted net.Conn, l *connections) *conn {
	c := &conn{
		Conn: accepted, listener: l, opened: time.Now(),
		work: rate.NewLimiter(workRate, l.maxWork), unpaced: make(chan struct{}),
	}
	c.stopPacing = sync.OnceFunc(func() { close(c.unpaced) })
	return c
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if !c.authenticated.Load() {
		c.pace()
	}
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	if c.authenticated.Load() {
		return n, err
	}
	c.work.ReserveN(time.Now(), min(n/workBytes, c.work.Burst()))
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	c.used = true
	if c.requests == 0 {
		l.addLoad(c, -c.load)
	}
	l.addLoad(c, n)
	return n, err
}

// pace delays a read of a connection that causes too much work.
func (c *conn) pace() {
	delay := c.work.Reserve().Delay()
	if delay == 0 {
		return
	}
	c.listener.metrics.ReadDelayed()
	select {
	case <-c.listener.after(delay):
	case <-c.unpaced:
	}
}

// Write implements net.Conn. The load of requests that end during the write remains until
// it returns, since their answers may wait for it.
func (c *conn) Write(p []byte) (int, error) {
	if c.authenticated.Load() {
		return c.Conn.Write(p)
	}
	c.setWriting(true)
	defer c.setWriting(false)
	return c.Conn.Write(p)
}

func (c *conn) setWriting(yes bool) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.writing = yes
	for _, load := range c.answered {
		c.endRequest(load)
	}
	c.answered = c.answered[:0]
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.remove(c)
	c.listener.mu.Unlock()
	c.stopPacing()
	return c.Conn.Close()
}

// begin counts a request in progress, whose load is size more than requestLoad. It
// returns the function that ends it, to be called once.
func (c *conn) begin(size int) (end func()) {
	if c.authenticated.Load() {
		return func() {}
	}
	c.work.ReserveN(time.Now(), min(requestWork, c.work.Burst()))
	load := requestLoad + size
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.requests++
	c.listener.addLoad(c, load)
	return func() {
		c.listener.mu.Lock()
		defer c.listener.mu.Unlock()
		if c.writing {
			c.answered = append(c.answered, load)
		} else {
			c.endRequest(load)
		}
	}
}

// endRequest ends a request with that load. The caller holds the listener's lock.
func (c *conn) endRequest(load int) {
	c.requests--
	c.listener.addLoad(c, -load)
	if c.requests == 0 {
		c.listener.addLoad(c, -c.load)
	}
}

// setAuthenticated records that an authenticated call arrived.
func (c *conn) setAuthenticated() {
	if c.authenticated.Swap(true) {
		return
	}
	c.stopPacing()
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.listener.removeUnauthenticated(c)
}

// connAddr is a client's address, with the connection: a gRPC context has the address
// alone.
type connAddr struct {
	net.Addr
	conn *conn
}

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return connAddr{c.Conn.RemoteAddr(), c} }

type connKey struct{}

func withConn(ctx context.Context, c *conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a call, or nil if the listener is not a *connections.
func connOf(ctx context.Context) *conn {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		return c
	}
	if r := arrivalOf(ctx); r != nil { // An interceptor may have replaced the peer.
		return r.conn
	}
	if from, ok := peer.FromContext(ctx); ok {
		if addr, ok := from.Addr.(connAddr); ok {
			return addr.conn
		}
	}
	return nil
}

// countRequests counts the HTTP requests in progress of unauthenticated connections,
// until their answers are written.
func countRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := connOf(r.Context())
		if c == nil || c.authenticated.Load() {
			next.ServeHTTP(w, r)
			return
		}
		defer c.begin(0)()
		next.ServeHTTP(w, r)
		if r.ProtoMajor == 2 { // Its answer may wait for the client's window.
			_ = http.NewResponseController(w).Flush() // It fails if the client has disconnected.
		}
	})
}
