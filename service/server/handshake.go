package server

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"

	"google.golang.org/grpc/credentials"

	"conferenced/service/clientaddr"
	"conferenced/service/telemetry"
)

// handshakes logs and counts the failed TLS handshakes of a listener.
type handshakes struct {
	logger  *slog.Logger
	metrics *telemetry.ListenerMetrics
}

// failed records a handshake's error, unless the client disconnected or was silent.
func (h *handshakes) failed(client net.Addr, err error) {
	op, ok := errors.AsType[*net.OpError](err)
	if errors.Is(err, io.EOF) || ok && (op.Op == "read" || op.Op == "write") {
		return
	}
	reason := "other"
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		reason = "client_certificate"
	}
	h.logger.Warn("TLS handshake failed", "reason", reason, "client", clientaddr.Host(client), "cause", err)
	h.metrics.HandshakeFailed(reason)
}

// connState is net/http's hook: a connection keeps the error of its handshake.
func (h *handshakes) connState(conn net.Conn, state http.ConnState) {
	if secured, ok := conn.(*tls.Conn); ok && state == http.StateClosed {
		if err := secured.Handshake(); err != nil {
			h.failed(conn.RemoteAddr(), err)
		}
	}
}

// loggingCredentials are credentials of gRPC whose failed handshakes are recorded.
type loggingCredentials struct {
	credentials.TransportCredentials
	*handshakes
}

// ServerHandshake implements credentials.TransportCredentials.
func (c loggingCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := c.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		c.failed(conn.RemoteAddr(), err)
	}
	return secured, info, err
}
