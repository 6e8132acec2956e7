package server

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// unusedGrace is how long a connection that has brought nothing yet may still do
// so when the others are being closed: an HTTP client is told why it is refused,
// and one of gRPC gets its GOAWAY. net/http would wait for five seconds, gRPC for
// handshakeTimeout.
const unusedGrace = time.Second

// unusedConns are connections that have brought nothing yet. HTTP clients often
// have some in store.
type unusedConns struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func newUnusedConns() *unusedConns { return &unusedConns{conns: map[net.Conn]struct{}{}} }

// note is an HTTP server's ConnState.
func (u *unusedConns) note(conn net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(u.conns, conn)
	case u.closed:
		go conn.Close() // Over TLS it may have to wait for its client.
	default:
		u.conns[conn] = struct{}{}
	}
}

// close closes all, and those that come later.
func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for conn := range u.conns {
		go conn.Close()
	}
}

// notingListener tells of connections that have not said anything yet.
type notingListener struct {
	net.Listener
	silent *unusedConns
}

func (l notingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	noting := &notingConn{Conn: conn, silent: l.silent}
	l.silent.note(noting, http.StateNew)
	return noting, nil
}

type notingConn struct {
	net.Conn
	silent *unusedConns
	spoken atomic.Bool
}

func (c *notingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.spoken.Load() { // Or it has ended, and is as little to be closed.
		c.spoken.Store(true)
		c.silent.note(c, http.StateActive)
	}
	return n, err
}
