package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"golang.org/x/net/proxy"
)

// dial makes a connection to the host, through its proxy if it has one.
func (h *host) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, h.transport.ConnectTimeout, os.ErrDeadlineExceeded)
	defer cancel()
	c, err := h.reach(ctx)
	switch {
	case err != nil && h.proxy != nil:
		err = fmt.Errorf("%w: %w", ErrProxy, err)
	case err == nil && h.tls != nil:
		err = c.startTLS(ctx, h.tls)
	}
	if err == nil {
		return c, nil
	}
	c.close()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		<-ctx.Done() // Package net may detect the context's deadline earlier than the context.
	}
	return nil, cause(ctx, err)
}

// reach returns a connection that ends at the host, or at the proxy that reads
// plain requests for it. With an error, there may be one that is to be closed.
func (h *host) reach(ctx context.Context) (*conn, error) {
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", address(cmp.Or(h.proxy, h.base)))
	if err != nil {
		return nil, err
	}
	c := newConn(h, tcp)
	switch {
	case h.proxy == nil:
		return c, nil
	case h.proxy.Scheme == "https":
		err = c.startTLS(ctx, h.transport.tlsConfig(h.proxy))
	case isSOCKS(h.proxy):
		return c, c.connectBySOCKS(ctx)
	}
	if err == nil && h.tls != nil {
		err = c.connectByHTTP(ctx)
	}
	return c, err
}

func (c *conn) startTLS(ctx context.Context, cfg *tls.Config) error {
	secured := tls.Client(c.stream, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrTLSHandshake, err)
	}
	c.stream, c.limit.R = secured, secured
	return nil
}

// connectBySOCKS has the SOCKS5 proxy connect the stream with the host.
func (c *conn) connectBySOCKS(ctx context.Context) error {
	dialer, err := proxy.FromURL(c.host.proxy, dialled{c.stream})
	if err != nil {
		return err
	}
	_, err = dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", address(c.host.base))
	return err
}

// dialled is a dialer that returns an existing connection.
type dialled struct{ net.Conn }

// Dial implements proxy.Dialer.
func (d dialled) Dial(string, string) (net.Conn, error) { return d.Conn, nil }

// DialContext implements proxy.ContextDialer. Without it, x/net/proxy calls Dial on a
// goroutine that it leaves behind, with a data race, when ctx ends.
func (d dialled) DialContext(context.Context, string, string) (net.Conn, error) { return d.Conn, nil }

// connectByHTTP has the HTTP proxy connect the stream with the host.
func (c *conn) connectByHTTP(ctx context.Context) error {
	addr := address(c.host.base)
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n" + proxyAuthorization(c.host.proxy) + "\r\n"
	defer interruptAtEnd(ctx, c.stream)()
	if _, err := c.stream.Write([]byte(request)); err != nil {
		return err
	}
	response, err := c.readHeader(&http.Request{Method: http.MethodConnect}) //nolint:bodyclose // It has no body.
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the proxy answered %d", response.StatusCode)
	}
	return cmp.Or(err, ctx.Err())
}
