package server

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"conferenced/service/call"
	"conferenced/service/outcome"
)

// ending is the progress of a shutdown.
type ending struct {
	// parting says that each HTTP connection closes after its next response.
	parting atomic.Bool
	// closing is the time by which all connections must be closed; nil until the first
	// is closed.
	closing atomic.Pointer[time.Time]
	// watches is done when the health watches end.
	watches    context.Context
	endWatches context.CancelFunc
	after      func(time.Duration) <-chan time.Time // time.After, except in tests
}

func newEnding() ending {
	watches, end := context.WithCancel(context.Background())
	return ending{watches: watches, endWatches: end, after: time.After}
}

// unusedGrace is how long a drain waits for the first byte of a new connection. A
// client that sends something then learns why it is refused.
const unusedGrace = time.Second

// drain shuts the server down without losing a call.
//
// First, health reports NOT_SERVING. For the drain delay, calls on old and on new
// connections are served while load balancers take note, and each HTTP connection
// closes after its next response. Then the listeners close, gRPC connections get a
// GOAWAY, and calls in flight finish. Admin closes last. Calls that have not finished
// within the shutdown timeout, which starts after the delay, are ended.
//
// The delay is skipped if serving has failed.
func (s *Server) drain(withDelay bool) {
	s.ending.parting.Store(true)
	s.ready.Store(false)
	s.health.Shutdown()
	s.cfg.Logger.Info("draining", "delay", s.cfg.DrainDelay, "timeout", s.cfg.ShutdownTimeout)
	if withDelay && s.cfg.DrainDelay > 0 {
		<-s.ending.after(s.cfg.DrainDelay)
	}
	end := time.Now().Add(s.cfg.ShutdownTimeout)
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	s.ending.closing.Store(&end) // before any connection is closed; see refuseLate
	forced := s.shutAPI(ctx)
	forced = s.deliverer.Wait(ctx) != nil || forced
	forced = s.shutHTTP(ctx, s.admin) || forced
	if forced {
		s.cfg.Logger.Warn("the shutdown timeout passed: calls in flight were ended")
	}
}

// shutAPI shuts gRPC and HTTP down at the same time, so that neither accepts calls
// while the other one finishes its own.
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

// closeUnused closes connections on which nothing arrives within unusedGrace, unless
// the servers end before. GracefulStop would wait for the handshakes of such
// connections before it sends the others a GOAWAY.
func (s *Server) closeUnused(shut <-chan struct{}) {
	select {
	case <-s.ending.after(unusedGrace):
		s.listeners[0].drain()
		s.listeners[1].drain()
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

// refuseLate returns an error for a call that begins while connections are closed.
//
// It refuses every HTTP call: net/http closes a connection that it considers idle,
// although a request may just have arrived, and its response would be lost. So a
// client whose connection closes without a response knows that nothing was done.
//
// Over gRPC, the GOAWAY says which calls are served. Calls that arrive before it reaches
// the client are served, except for calls with a deadline after the shutdown timeout,
// which might be ended in progress.
func (s *Server) refuseLate(ctx context.Context) error {
	end := s.ending.closing.Load()
	if end == nil {
		return nil
	}
	deadline, bounded := ctx.Deadline()
	if call.From(ctx).Protocol == call.GRPC && bounded && !deadline.After(*end) {
		return nil
	}
	return errShuttingDown
}

var errShuttingDown = outcome.ShuttingDown.Err(outcome.Facts{})
