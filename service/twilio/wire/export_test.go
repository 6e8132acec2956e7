package wire

import (
	"net"
	"net/url"
	"time"
)

// Adopt returns a connection to the host that was made elsewhere.
func (p *Pool) Adopt(base *url.URL, conn net.Conn) (*Conn, error) {
	h, err := p.host(base)
	if err != nil {
		return nil, err
	}
	s := newSocket(conn)
	c := newConn(h, s, s)
	c.begin(time.Now())
	return c, nil
}

// Idle is the number of unused connections to the host.
func (p *Pool) Idle(base *url.URL) int {
	h, _ := p.host(base)
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.idle)
}

// Age is what the timer calls.
func (p *Pool) Age(base *url.URL) {
	h, _ := p.host(base)
	h.age()
}
