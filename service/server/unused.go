package server

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// unusedGrace is how long a connection that has brought no request yet may still
// do so when the others are being closed, to be told why it is refused. net/http
// would wait for five seconds.
const unusedGrace = time.Second

// unusedConns are the connections of an HTTP server that have brought no request
// yet. HTTP clients often have some in store.
type unusedConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func newUnusedConns() *unusedConns { return &unusedConns{conns: map[net.Conn]struct{}{}} }

// note is the server's ConnState.
func (u *unusedConns) note(conn net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state == http.StateNew {
		u.conns[conn] = struct{}{}
		return
	}
	delete(u.conns, conn)
}

func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for conn := range u.conns {
		go conn.Close() // It may wait for TLS, and then tells note.
	}
}
