package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// host is one scheme and authority, and the idle connections to it.
type host struct {
	transport   *Transport
	base, proxy *url.URL    // proxy is nil if there is none.
	tls         *tls.Config // nil: plain HTTP.
	// target precedes the path in the request line. header is the rest of that line and
	// the first lines of the header.
	target, header string

	mu     sync.Mutex
	idle   []*conn     // In the order in which they became idle.
	expiry *time.Timer // Set unless idle is empty.
}

func newHost(t *Transport, base, proxy *url.URL) *host {
	h := &host{transport: t, base: base, proxy: proxy}
	h.expiry = time.AfterFunc(t.IdleTimeout, func() { h.closeIdle(t.IdleTimeout) })
	h.header = " HTTP/1.1\r\nHost: " + base.Host + "\r\n"
	switch {
	case base.Scheme == "https":
		h.tls = t.tlsConfig(base)
	case proxy != nil && !isSOCKS(proxy): // The proxy reads the request itself.
		h.target = "http://" + base.Host
		h.header += proxyAuthorization(proxy)
	}
	return h
}

func (t *Transport) tlsConfig(u *url.URL) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.RootCAs, ServerName: u.Hostname()}
}

var defaultPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// address returns the host:port of a URL.
func address(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPorts[u.Scheme]))
}

func isSOCKS(proxy *url.URL) bool { return proxy.Scheme == "socks5" || proxy.Scheme == "socks5h" }

// proxyAuthorization returns the header line for the user of the proxy's URL, or
// "" if it has none.
func proxyAuthorization(proxy *url.URL) string {
	if proxy.User == nil {
		return ""
	}
	password, _ := proxy.User.Password()
	user := []byte(proxy.User.Username() + ":" + password)
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString(user) + "\r\n"
}

// encode returns the bytes of the request.
func (h *host) encode(r *Request) []byte {
	b := make([]byte, 0, len(h.target)+len(r.Path)+len(h.header)+len(r.Header)+len(r.Body)+64)
	b = append(append(b, r.Method...), ' ')
	b = append(append(b, h.target...), r.Path...)
	b = append(append(b, h.header...), r.Header...)
	if r.Body != nil || r.Method == http.MethodPost {
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(r.Body)), 10), "\r\n"...)
	}
	return append(append(b, "\r\n"...), r.Body...)
}

// get returns the connection that became idle last, or a new one.
func (h *host) get(ctx context.Context) (*conn, error) {
	h.mu.Lock()
	last := len(h.idle) - 1
	if last < 0 || time.Since(h.idle[last].idleSince) >= h.transport.IdleTimeout {
		h.mu.Unlock()
		return h.dial(ctx)
	}
	defer h.mu.Unlock()
	c := h.idle[last]
	h.idle = slices.Delete(h.idle, last, last+1)
	return c, nil
}

// put makes the connection idle, or closes it if there are enough.
func (h *host) put(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.idle) >= h.transport.MaxIdlePerHost {
		c.close()
		return
	}
	c.idleSince, c.reused = time.Now(), true
	h.idle = append(h.idle, c)
	if len(h.idle) == 1 {
		h.expiry.Reset(h.transport.IdleTimeout)
	}
}

// closeIdle closes the connections that have been idle for that long.
func (h *host) closeIdle(age time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.idle) > 0 && time.Since(h.idle[0].idleSince) >= age {
		h.idle[0].close()
		h.idle = slices.Delete(h.idle, 0, 1)
	}
	if len(h.idle) > 0 {
		h.expiry.Reset(h.transport.IdleTimeout - time.Since(h.idle[0].idleSince))
	}
}
