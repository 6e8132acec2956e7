package server

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"conferenced/service/invalid"
)

// minConnectionAge is the minimum of MaxConnectionAge. With less, clients would do
// nothing but reconnect.
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
	return invalid.Unless(c.MaxConnectionAgeGrace >= c.MaxTimeout, "server.MaxConnectionAgeGrace",
		"must be at least the maximum of deadlines, %v, or calls would be ended before their deadlines", c.MaxTimeout)
}

type closeFromKey struct{}

// connContext returns the context of an HTTP connection, with the connection and the
// time from which it is to be closed. That is MaxConnectionAge from now, give or take a
// tenth as in gRPC, so that connections that were opened together do not close together.
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
	return context.WithValue(ctx, closeFromKey{}, time.Now().Add(age))
}

// lastAnswer reports whether the connection closes after the response to this request.
func (s *Server) lastAnswer(r *http.Request) bool {
	if s.ending.parting.Load() {
		return true
	}
	closeFrom, ok := r.Context().Value(closeFromKey{}).(time.Time)
	return ok && !time.Now().Before(closeFrom)
}
