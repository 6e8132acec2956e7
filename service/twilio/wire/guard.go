package wire

import (
	"context"
	"net"
	"sync"
	"time"
)

// guard interrupts what is under way on a connection when a context ends.
type guard struct {
	conn net.Conn
	stop func() bool
	mu   sync.Mutex
	over bool
}

func watch(ctx context.Context, conn net.Conn) *guard {
	g := &guard{conn: conn}
	g.stop = context.AfterFunc(ctx, g.interrupt)
	return g
}

// interrupt makes reads and writes fail, those under way too.
func (g *guard) interrupt() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		_ = g.conn.SetDeadline(time.Unix(1, 0)) // It fails on what is closed.
	}
}

// end ends the guarding: from then on the connection is not touched. It reports
// false if the context has ended before.
func (g *guard) end() bool {
	if g.stop() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	return false
}
