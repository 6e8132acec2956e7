package server

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc/keepalive"

	"conferenced/service/invalid"
)

// minConnectionAge is the minimum of MaxConnectionAge. With less, clients would only
// connect.
const minConnectionAge = time.Millisecond

// checkAges returns an error if a connection's age could end a call before the call's
// deadline.
func (c *Config) checkAges() error {
	if c.MaxConnectionAge == 0 {
		return nil
	}
	if c.MaxConnectionAge < minConnectionAge {
		return invalid.Fieldf("server.MaxConnectionAge", "must be 0 or at least %v, not %v", minConnectionAge, c.MaxConnectionAge)
	}
	if c.MaxConnectionAgeGrace < c.MaxTimeout {
		return invalid.Fieldf("server.MaxConnectionAgeGrace", "must be at least the maximum of deadlines, %v, or calls would be ended before their deadlines", c.MaxTimeout)
	}
	return nil
}

// keepaliveOf returns the ages and pings of gRPC connections. For gRPC too, 0 is no
// limit.
func keepaliveOf(cfg Config) keepalive.ServerParameters {
	return keepalive.ServerParameters{
		Time: serverPing, MaxConnectionIdle: grpcIdleTimeout, MaxConnectionAge: cfg.MaxConnectionAge, MaxConnectionAgeGrace: cfg.MaxConnectionAgeGrace,
	}
}

type oldFromKey struct{}

// connContext returns the context of an HTTP connection. It has the time from which
// the connection is old: MaxConnectionAge from now, give or take a tenth as in gRPC,
// so that connections that were opened together do not end together.
func (s *Server) connContext(ctx context.Context, opened net.Conn) context.Context {
	if secured, ok := opened.(*tls.Conn); ok {
		opened = secured.NetConn()
	}
	if c, ok := opened.(*conn); ok {
		ctx = withConn(ctx, c)
	}
	age := s.cfg.MaxConnectionAge
	if age == 0 {
		return ctx
	}
	age += time.Duration((rand.Float64() - 0.5) / 5 * float64(age))
	return context.WithValue(ctx, oldFromKey{}, time.Now().Add(age))
}

// lastAnswer reports whether the connection closes after the response to this request.
func (s *Server) lastAnswer(r *http.Request) bool {
	if s.ending.parting.Load() {
		return true
	}
	oldFrom, ages := r.Context().Value(oldFromKey{}).(time.Time)
	return ages && !time.Now().Before(oldFrom)
}
