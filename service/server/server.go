// Package server composes the service and runs it: its listeners, the interceptors of
// every call, its start and its shutdown.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"conferenced/service/call"
	"conferenced/service/delivery"
	"conferenced/service/delivery/redisstore"
	"conferenced/service/invalid"
	"conferenced/service/outcome"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

// Config holds the options of a server.
type Config struct {
	// GRPCAddr, HTTPAddr and AdminAddr are host:port; port 0 picks a free one.
	GRPCAddr, HTTPAddr, AdminAddr string
	// AdminPublic allows an AdminAddr that is not a loopback address.
	AdminPublic bool
	// Settings are the accounts, the callers, the policy and the certificates.
	Settings *settings.Live
	// AllowAnonymous serves unauthenticated callers also on addresses that are not
	// loopback.
	AllowAnonymous bool
	// Upstream configures the client of Twilio.
	Upstream twilio.Config
	// Delivery configures queues, retries, limits and the breaker.
	Delivery delivery.Config
	// Redis is where replicas share the state of delivery. Without a URL the state is
	// in memory.
	Redis redisstore.Config
	// CORSOrigins are the origins whose web pages may call the REST API.
	CORSOrigins []string
	// TrustedProxies are the networks whose X-Forwarded-For is trusted.
	TrustedProxies []netip.Prefix
	// NoReflection switches gRPC reflection off, and NoDocs /docs,
	// /openapi.json and /conference_service.proto.
	NoReflection, NoDocs bool
	// Audit takes a record of every call; nil: there is no audit. Run closes it. With
	// AuditFailOpen, calls whose record cannot be written proceed.
	Audit         *telemetry.AuditSink
	AuditFailOpen bool
	// DefaultTimeout is the timeout of a call without a deadline. MaxTimeout is the maximum
	// timeout of other calls, or DefaultTimeout if that is more.
	DefaultTimeout, MaxTimeout time.Duration
	// DrainDelay is how long calls are served after the end of Run's context, while
	// health reports NOT_SERVING. ShutdownTimeout bounds the rest of the shutdown.
	DrainDelay, ShutdownTimeout time.Duration
	// MaxConnectionAge is the age, give or take a tenth, at which a gRPC or HTTP
	// connection is closed gracefully; 0: never. Calls in flight continue, over gRPC
	// for at most MaxConnectionAgeGrace, which is at least MaxTimeout.
	MaxConnectionAge, MaxConnectionAgeGrace time.Duration
	// Logger is the logger of the service. Admin can change its level if it is one of
	// telemetry.NewLogger.
	Logger *slog.Logger
	// LogCall writes the line of each call instead of Logger, if it is set. It is called
	// for the calls that Logger would log.
	LogCall func(*call.Call, *outcome.Error)
	// Tracing records the spans; nil: none. Run and Close close it.
	Tracing *telemetry.Tracing
	// Version and Revision are those of the program, for the log and the metrics.
	Version, Revision string
}

// Server is a service whose addresses are bound.
type Server struct {
	// GRPC, HTTP and Admin are the bound addresses, with the ports in use.
	GRPC, HTTP, Admin net.Addr

	cfg       Config
	listeners []*connections // gRPC, HTTP, admin
	grpc      *grpc.Server
	http      *http.Server
	admin     *http.Server
	health    *health.Server
	started   atomic.Bool
	ready     atomic.Bool
	ending    ending
	arrivals  *arrivals
	client    *twilio.Client
	deliverer *delivery.Deliverer
	metrics   *telemetry.Metrics
	shared    *redisstore.Store // nil: the state is in memory
}

// New returns a server with its three addresses bound. It serves from Run on. With an
// error, New has released everything. A server that is not run must be closed.
func New(cfg Config) (*Server, error) {
	cfg.MaxTimeout = max(cfg.MaxTimeout, cfg.DefaultTimeout)
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Upstream.Traceparent = cfg.Tracing.Traceparent
	s := &Server{
		cfg: cfg, health: health.NewServer(), client: twilio.NewClient(cfg.Upstream),
		ending: newEnding(),
	}
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	s.deliverer = delivery.New(cfg.Delivery, s.client, store, cfg.Logger)
	s.initMetrics()
	if err = s.compose(); err == nil {
		err = s.bind()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// initMetrics creates the metrics and registers them with the sources of their events.
func (s *Server) initMetrics() {
	s.metrics = telemetry.NewMetrics(s.cfg.Version, s.cfg.Revision)
	s.arrivals = newArrivals(s.metrics)
	s.deliverer.Observe(s.metrics.Observer(s.cfg.Tracing))
	s.metrics.CountLog(s.cfg.Logger)
	s.metrics.CountAudit(s.cfg.Audit)
	if s.shared != nil {
		s.shared.Observe(s.metrics.SharedState(func() bool { return s.shared.State().Up }))
	}
	s.metrics.ObserveState(s.deliverer, s.cfg.Settings)
}

// store returns the store of delivery's state: in memory, or in Redis.
func (s *Server) store() (delivery.Store, error) {
	if s.cfg.Redis.URL == "" {
		return delivery.NewMemory(s.cfg.Delivery.Bounds), nil
	}
	var err error
	s.shared, err = redisstore.Dial(s.cfg.Redis, s.cfg.Delivery.Bounds, s.cfg.Logger)
	return s.shared, err
}

func (s *Server) closeStore() {
	if s.shared != nil {
		s.shared.Close()
	}
}

// Reload reloads the settings from their files and reopens the audit file. Errors are
// logged, and the settings and the file that were in use stay in use.
func (s *Server) Reload() {
	_ = s.cfg.Settings.Reload() // It logs its error.
	if s.cfg.Audit == nil {
		return
	}
	if err := s.cfg.Audit.Reopen(); err != nil {
		s.cfg.Logger.Error("reopening the audit file failed", "cause", err)
	}
}

// bind binds the three addresses.
func (s *Server) bind() error {
	for i, bound := range []*net.Addr{&s.GRPC, &s.HTTP, &s.Admin} {
		a := s.cfg.addresses()[i]
		listener, err := net.Listen("tcp", a.text)
		if err != nil {
			return invalid.Field(a.field, err)
		}
		s.listeners = append(s.listeners, newConnections(
			listener, connectionLimit(), s.cfg.Logger, s.metrics.Listener(a.name)))
		*bound = listener.Addr()
		if err := s.cfg.checkExposure(a, *bound); err != nil { // Its name may resolve to another address by now.
			return invalid.Field(a.field, err)
		}
	}
	if s.cfg.AllowAnonymous && s.cfg.anonymous() {
		s.cfg.Logger.Warn("callers are not authenticated: every client that reaches this service may change any conference",
			"grpc", s.GRPC.String(), "http", s.HTTP.String())
	}
	return nil
}

// Close releases the addresses and everything else of a server that has not run, and
// will not.
func (s *Server) Close() {
	s.ending.endWatches()
	s.closeTracing()
	s.closeStore()
	if s.grpc != nil {
		s.grpc.Stop()
	}
	for _, listener := range s.listeners {
		_ = listener.Close() // It has no connections.
	}
}

// Run serves until the context is done. It then serves for the drain delay, finishes
// the calls in flight within the shutdown timeout, and returns nil. It returns an error
// if serving fails.
func (s *Server) Run(ctx context.Context) error {
	s.health.Resume() // before the first health check
	s.ready.Store(true)
	s.started.Store(true)
	group, failed := errgroup.WithContext(ctx)
	group.Go(s.serveGRPC)
	group.Go(func() error { return serveHTTP(s.http, s.listeners[1]) })
	group.Go(func() error { return serveHTTP(s.admin, s.listeners[2]) })
	group.Go(func() error { return s.cfg.Settings.Watch(failed) })
	s.logServing()
	group.Go(func() error {
		<-failed.Done()
		s.drain(ctx.Err() != nil)
		return nil
	})
	err := group.Wait()
	if s.cfg.Audit != nil {
		err = errors.Join(err, s.cfg.Audit.Close())
	}
	s.client.CloseIdleConnections()
	s.closeStore()
	s.closeTracing()
	telemetry.ControlOf(s.cfg.Logger).Flush()
	s.cfg.Logger.Info("stopped")
	return err
}

// serveGRPC serves until the server is stopped.
func (s *Server) serveGRPC() error {
	err := s.grpc.Serve(s.listeners[0])
	if errors.Is(err, grpc.ErrServerStopped) { // The server was stopped before it served.
		return nil
	}
	return err
}

// serveHTTP serves until the server is shut down, over TLS if that is configured.
func serveHTTP(server *http.Server, listener net.Listener) error {
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// logServing logs the addresses and what a reader of the log needs to know about the
// configuration.
func (s *Server) logServing() {
	set := s.cfg.Settings.Current()
	redis := "none"
	if s.cfg.Redis.URL != "" {
		redis = s.cfg.Redis.Address()
	}
	s.cfg.Logger.Info("serving",
		"grpc", s.GRPC.String(), "http", s.HTTP.String(), "admin", s.Admin.String(),
		"version", s.cfg.Version, "tls", set.Certificate != nil, "callers", strings.Join(set.Callers.Kinds(), ","),
		"accounts", set.Accounts.Len(), "redis", redis)
}

const flushTimeout = 5 * time.Second

// closeTracing exports the remaining spans. It takes no longer than flushTimeout, nor than
// the rest of the shutdown timeout or a second.
func (s *Server) closeTracing() {
	timeout := flushTimeout
	if end := s.ending.closing.Load(); end != nil {
		timeout = min(timeout, max(time.Until(*end), time.Second))
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.cfg.Tracing.Close(ctx); err != nil {
		s.cfg.Logger.Warn("exporting the last spans failed", "cause", err)
	}
}
