package server

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"conferenced/service/call"
	"conferenced/service/outcome"
)

// ending is how far the end of a server has come.
type ending struct {
	// parting: each HTTP answer is its connection's last.
	parting atomic.Bool
	// closing is set when connections begin to be closed, to the time by which
	// all have to be.
	closing atomic.Pointer[time.Time]
	// watches is done when those of health are to end.
	watches    context.Context
	endWatches context.CancelFunc
	after      func(time.Duration) <-chan time.Time // time.After, but in tests.
}

func newEnding() ending {
	watches, end := context.WithCancel(context.Background())
	return ending{watches: watches, endWatches: end, after: time.After}
}

// drain ends the server from outside in, so that no call is lost.
//
// First, health says so. For the drain delay all goes on as before, new
// connections too, while whoever balances the calls gets to know; but each HTTP
// answer is its connection's last. Then the listeners are closed, gRPC's
// connections get a GOAWAY, and what is under way is finished; admin is last. What
// has not ended by the shutdown timeout, which begins after the delay, is cut off.
//
// Without patience there is no delay: serving has failed already.
func (s *Server) drain(patient bool) {
	s.ending.parting.Store(true)
	s.serving(false)
	s.cfg.Logger.Info("draining", "delay", s.cfg.DrainDelay, "timeout", s.cfg.ShutdownTimeout)
	if patient && s.cfg.DrainDelay > 0 {
		<-s.ending.after(s.cfg.DrainDelay)
	}
	end := time.Now().Add(s.cfg.ShutdownTimeout)
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	s.ending.closing.Store(&end) // Before any connection is closed: see refuseLate.
	forced := s.shutAPI(ctx)
	forced = s.deliverer.Wait(ctx) != nil || forced
	forced = s.shutHTTP(ctx, s.admin) || forced
	if forced {
		s.cfg.Logger.Warn("the shutdown timeout passed: calls under way were cut off")
	}
}

// shutAPI ends gRPC and HTTP, both at once: neither takes new calls while the
// other finishes its own.
func (s *Server) shutAPI(ctx context.Context) (forced bool) {
	s.ending.endWatches()
	var both sync.WaitGroup
	var forcedHTTP, forcedGRPC bool
	both.Go(func() { forcedHTTP = s.shutHTTP(ctx, s.http) })
	both.Go(func() { forcedGRPC = s.stopGRPC(ctx) })
	shut := make(chan struct{})
	go s.closeUnused(shut)
	both.Wait()
	close(shut)
	return forcedHTTP || forcedGRPC
}

// closeUnused closes connections that bring nothing, unless all are closed before
// that. Those of HTTP would only keep the server; for the handshakes of those of
// gRPC it would wait before it tells the others.
func (s *Server) closeUnused(shut <-chan struct{}) {
	select {
	case <-s.ending.after(unusedGrace):
		s.unused.close()
		s.silent.close()
	case <-shut:
	}
}

func (s *Server) shutHTTP(ctx context.Context, server *http.Server) (forced bool) {
	if server.Shutdown(ctx) == nil {
		return false
	}
	_ = server.Close()
	return true
}

func (s *Server) stopGRPC(ctx context.Context) (forced bool) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.grpc.GracefulStop()
	}()
	select {
	case <-stopped:
		return false
	case <-ctx.Done():
		s.grpc.Stop()
		<-stopped
		return true
	}
}

// refuseLate refuses calls that begin when the connections are being closed,
// before anything is done for them.
//
// Over HTTP that is every one: net/http closes connections which it takes for
// idle although a request may just have come in, and the answer would be lost. So
// a connection that ends unanswered in a drain means that nothing was done.
//
// Over gRPC a GOAWAY tells each client exactly which of its calls are still
// served. Those that crossed it are, unless their deadlines lie beyond the
// shutdown timeout: they might be cut off halfway.
func (s *Server) refuseLate(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	end := s.ending.closing.Load()
	if end == nil {
		return handler(ctx, request)
	}
	deadline, bounded := ctx.Deadline()
	if call.From(ctx).Protocol == call.GRPC && bounded && !deadline.After(*end) {
		return handler(ctx, request)
	}
	return nil, errShuttingDown
}

var errShuttingDown = outcome.ShuttingDown.Err(outcome.Facts{})
