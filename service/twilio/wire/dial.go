package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/proxy"
)

// dial makes a connection to the host, through its proxy if it has one.
func (h *host) dial(ctx context.Context) (*Conn, error) {
	s, stream, err := h.reach(ctx)
	if err != nil {
		return nil, err
	}
	if h.tls != nil {
		secured := tls.Client(stream, h.tls)
		if err := h.handshake(ctx, secured); err != nil {
			_ = s.Close()
			return nil, fmt.Errorf("%w: %w", ErrHandshake, err)
		}
		stream = secured
	}
	c := newConn(h, s, stream)
	c.begin(time.Now())
	return c, nil
}

// reach returns a socket, and the stream on it that ends at the host, or at the
// proxy that takes plain requests for it.
func (h *host) reach(ctx context.Context) (*socket, net.Conn, error) {
	dialer := &net.Dialer{Timeout: h.pool.cfg.DialTimeout}
	if h.proxy == nil {
		tcp, err := dialer.DialContext(ctx, "tcp", h.addr)
		if err != nil {
			return nil, nil, err
		}
		s := newSocket(tcp)
		return s, s, nil
	}
	ctx, cancel := within(ctx, h.pool.cfg.DialTimeout)
	defer cancel()
	through := h.reachByHTTP
	if !isHTTP(h.proxy) {
		through = h.reachBySOCKS
	}
	s, stream, err := through(ctx, dialer)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrProxy, err)
	}
	return s, stream, nil
}

// within is a context with that limit, if it is one.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// reachBySOCKS has the proxy connect a socket with the host.
func (h *host) reachBySOCKS(ctx context.Context, dialer *net.Dialer) (*socket, net.Conn, error) {
	var auth *proxy.Auth
	if h.proxy.User != nil {
		password, _ := h.proxy.User.Password()
		auth = &proxy.Auth{User: h.proxy.User.Username(), Password: password}
	}
	first := &noting{Dialer: dialer}
	socks, err := proxy.SOCKS5("tcp", address(h.proxy), auth, first)
	if err != nil {
		return nil, nil, err
	}
	if _, err := socks.(proxy.ContextDialer).DialContext(ctx, "tcp", h.addr); err != nil {
		return nil, nil, err
	}
	s := newSocket(first.conn)
	return s, s, nil
}

// noting is a dialer that remembers the connection that it made.
type noting struct {
	*net.Dialer
	conn net.Conn
}

// DialContext is proxy.ContextDialer's.
func (d *noting) DialContext(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	d.conn, err = d.Dialer.DialContext(ctx, network, addr)
	return d.conn, err
}

// reachByHTTP returns a socket to the proxy and the stream on it.
func (h *host) reachByHTTP(ctx context.Context, dialer *net.Dialer) (*socket, net.Conn, error) {
	tcp, err := dialer.DialContext(ctx, "tcp", address(h.proxy))
	if err != nil {
		return nil, nil, err
	}
	s := newSocket(tcp)
	stream, err := h.tunnel(ctx, s)
	if err != nil {
		_ = s.Close()
		return nil, nil, err
	}
	return s, stream, nil
}

// tunnel returns the stream to the host through an HTTP proxy that was dialled.
// Plain requests need none: the proxy reads them.
func (h *host) tunnel(ctx context.Context, s *socket) (stream net.Conn, err error) {
	stream = s
	if h.proxy.Scheme == "https" {
		cfg := h.pool.tls.Clone()
		cfg.ServerName = h.proxy.Hostname()
		secured := tls.Client(s, cfg)
		if err := h.handshake(ctx, secured); err != nil {
			return nil, err
		}
		stream = secured
	}
	if h.tls == nil {
		return stream, nil
	}
	return stream, connect(ctx, stream, h.addr, h.proxy)
}

// connect has the proxy connect the stream with the address. Its error quotes
// nothing that the proxy sent.
func connect(ctx context.Context, stream net.Conn, addr string, via *url.URL) error {
	g := watch(ctx, stream)
	status, err := askForTunnel(stream, addr, via)
	switch {
	case !g.end():
		return ctx.Err()
	case err != nil:
		return err
	case status != http.StatusOK:
		return fmt.Errorf("the proxy answered %d", status)
	}
	return nil
}

func askForTunnel(stream net.Conn, addr string, via *url.URL) (status int, err error) {
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n" + proxyAuthorization(via) + "\r\n"
	if _, err := stream.Write([]byte(request)); err != nil {
		return 0, err
	}
	limited := &bounded{from: stream, left: maxHead}
	in := bufio.NewReaderSize(limited, bufferBytes)
	answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // It has none.
	if err != nil {
		return 0, limited.fault()
	}
	if answer.StatusCode == http.StatusOK && in.Buffered() > 0 {
		return 0, ErrNoHTTP // Hosts do not speak first.
	}
	return answer.StatusCode, nil
}

func (h *host) handshake(ctx context.Context, conn *tls.Conn) error {
	ctx, cancel := within(ctx, h.pool.cfg.TLSTimeout)
	defer cancel()
	return conn.HandshakeContext(ctx)
}
