package wire

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"
)

// host is one scheme and authority, and the connections to it that are unused.
type host struct {
	pool  *Pool
	addr  string      // host:port
	tls   *tls.Config // nil: plain HTTP
	proxy *url.URL    // nil: none
	// start begins a request's first line, up to the path, and middle is what is
	// between that and the rest of the header.
	start, middle string

	mu    sync.Mutex
	idle  []*Conn // The one used last is the last.
	aging *time.Timer
}

func newHost(p *Pool, base, proxy *url.URL) *host {
	h := &host{pool: p, addr: address(base), proxy: proxy, start: "POST "}
	h.middle = " HTTP/1.1\r\nHost: " + base.Host + "\r\n"
	if base.Scheme == "https" {
		h.tls = p.tls.Clone()
		h.tls.ServerName = base.Hostname()
		return h
	}
	if isHTTP(proxy) { // It is told where the request goes, and who asks.
		h.start += "http://" + base.Host
		h.middle += proxyAuthorization(proxy)
	}
	return h
}

// address is the host:port of a URL.
func address(u *url.URL) string {
	standard := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), standard[u.Scheme]))
}

func isHTTP(proxy *url.URL) bool {
	return proxy != nil && (proxy.Scheme == "http" || proxy.Scheme == "https")
}

// proxyAuthorization is the header line for a proxy whose URL has a user, or "".
func proxyAuthorization(proxy *url.URL) string {
	if proxy.User == nil {
		return ""
	}
	password, _ := proxy.User.Password()
	credentials := base64.StdEncoding.EncodeToString([]byte(proxy.User.Username() + ":" + password))
	return "Proxy-Authorization: Basic " + credentials + "\r\n"
}

// keep keeps the connection for the next exchange.
func (h *host) keep(c *Conn) {
	if !h.push(c) {
		_ = c.conn.Close() // It has served its turn.
	}
}

// push reports false if there are enough unused connections.
func (h *host) push(c *Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.idle) >= h.pool.cfg.MaxIdle {
		return false
	}
	c.idleSince = time.Now()
	h.idle = append(h.idle, c)
	if h.aging == nil {
		h.plan()
	}
	return true
}

// take returns the connection that was used last, of those that are still good,
// or nil.
func (h *host) take() *Conn {
	now := time.Now()
	for c := h.pop(); c != nil; c = h.pop() {
		c.begin(now)
		if !h.isOld(c, now) && c.alive() {
			return c
		}
		_ = c.conn.Close() // The host has closed it, or spoke unasked.
	}
	return nil
}

func (h *host) pop() *Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := len(h.idle) - 1
	if last < 0 {
		return nil
	}
	c := h.idle[last]
	h.idle[last], h.idle = nil, h.idle[:last]
	return c
}

// isOld says whether the connection has been unused for too long. It may be
// before age comes, as that may be late.
func (h *host) isOld(c *Conn, now time.Time) bool {
	timeout := h.pool.cfg.IdleTimeout
	return timeout > 0 && now.Sub(c.idleSince) >= timeout
}

// age closes what was not used for too long, and comes again for the rest.
func (h *host) age() {
	now := time.Now()
	h.closeIdle(func(c *Conn) bool { return h.isOld(c, now) })
}

// closeIdle closes the unused connections that are to end; those that were not
// used for longer are asked about first.
func (h *host) closeIdle(ends func(*Conn) bool) {
	for _, c := range h.remove(ends) {
		_ = c.conn.Close() // Nobody waits for what comes of it.
	}
}

func (h *host) remove(ends func(*Conn) bool) []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for n < len(h.idle) && ends(h.idle[n]) {
		n++
	}
	removed := slices.Clone(h.idle[:n])
	h.idle = slices.Delete(h.idle, 0, n)
	h.plan()
	return removed
}

// plan has age come when the first of the unused connections is too old, and at
// no other time.
func (h *host) plan() {
	if h.aging != nil {
		h.aging.Stop()
		h.aging = nil
	}
	if timeout := h.pool.cfg.IdleTimeout; timeout > 0 && len(h.idle) > 0 {
		h.aging = time.AfterFunc(time.Until(h.idle[0].idleSince.Add(timeout)), h.age)
	}
}
