package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc/keepalive"
)

// minConnectionAge is the least that a connection may be given: with less,
// clients would do nothing but connect.
const minConnectionAge = time.Millisecond

// checkAges returns an error if a call could be cut off by the age of its
// connection although its deadline has not passed.
func (c *Config) checkAges() error {
	if c.MaxConnectionAge == 0 {
		return nil
	}
	if c.MaxConnectionAge < minConnectionAge {
		return fmt.Errorf("MaxConnectionAge is %v, want 0 or at least %v", c.MaxConnectionAge, minConnectionAge)
	}
	if c.MaxConnectionAgeGrace < c.MaxTimeout {
		return errors.New("MaxConnectionAgeGrace is less than MaxTimeout: calls would be cut off")
	}
	return nil
}

// keepaliveOf are the pings of gRPC and the age of its connections. For gRPC 0
// is no limit, too.
func keepaliveOf(cfg Config) keepalive.ServerParameters {
	return keepalive.ServerParameters{
		Time: serverPing, MaxConnectionAge: cfg.MaxConnectionAge, MaxConnectionAgeGrace: cfg.MaxConnectionAgeGrace,
	}
}

type oldFromKey struct{}

// age puts down, in the context of an HTTP connection, from when on it is old:
// up to a tenth sooner or later than the age says, as in gRPC, for connections
// that were made together not to end together.
func (s *Server) age(ctx context.Context, _ net.Conn) context.Context {
	age := s.cfg.MaxConnectionAge
	if age == 0 {
		return ctx
	}
	age += time.Duration((rand.Float64() - 0.5) / 5 * float64(age))
	return context.WithValue(ctx, oldFromKey{}, time.Now().Add(age))
}

// lastAnswer says whether the answer to the request is the last one of its
// connection.
func (s *Server) lastAnswer(r *http.Request) bool {
	if s.ending.parting.Load() {
		return true
	}
	oldFrom, ages := r.Context().Value(oldFromKey{}).(time.Time)
	return ages && !time.Now().Before(oldFrom)
}
