// Package server composes the service and runs it: its listeners, the steps of
// every call, and its start and end.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service"
	"conferenced/service/delivery"
	"conferenced/service/delivery/redisstore"
	"conferenced/service/gateway"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

// Bounds of what a client may send and hold open.
const (
	maxRequestBytes   = 64 << 10
	maxHeaderBytes    = 16 << 10
	maxStreams        = 2048
	streamWorkers     = 64 // Goroutines that are kept for the next call over gRPC.
	handshakeTimeout  = 10 * time.Second
	minPing           = 10 * time.Second
	serverPing        = time.Minute
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeMargin       = 30 * time.Second // Beyond MaxTimeout, for reading the request and writing the answer.
	idleTimeout       = 2 * time.Minute
	flushTimeout      = 5 * time.Second
)

// Config is what a server is made of.
type Config struct {
	// GRPCAddr, HTTPAddr and AdminAddr are host:port; port 0 picks a free one.
	GRPCAddr, HTTPAddr, AdminAddr string
	// Settings are the accounts, the callers, the policy and the certificates.
	Settings *settings.Live
	// AllowAnonymous serves callers that are not authenticated on addresses that
	// are not loopback too.
	AllowAnonymous bool
	// Upstream is how Twilio is reached.
	Upstream twilio.Config
	// Delivery is how updates get there.
	Delivery delivery.Config
	// Redis shares the state of the delivery with other replicas, unless it has no
	// URL.
	Redis redisstore.Config
	// CORSOrigins are the origins whose pages may call over REST.
	CORSOrigins []string
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// NoReflection and NoDocs switch off what describes the API.
	NoReflection, NoDocs bool
	// Audit takes a record of every call; nil: there is no audit. Run closes it.
	// AuditFailOpen lets calls through whose record cannot be written.
	Audit         *telemetry.AuditSink
	AuditFailOpen bool
	// DefaultTimeout is the deadline of a call that has none. A later deadline than
	// MaxTimeout from the start of the call is brought forward to that. MaxTimeout is
	// at least DefaultTimeout, which it is if it is 0.
	DefaultTimeout, MaxTimeout time.Duration
	// DrainDelay is how long everything is still served after Run is told to end
	// and health says so. ShutdownTimeout bounds the time that Run takes to end
	// after that.
	DrainDelay, ShutdownTimeout time.Duration
	// MaxConnectionAge is how long clients may keep a connection of gRPC or HTTP,
	// give or take a tenth; then they are told to make another. 0: for ever. What is
	// under way is finished; over gRPC it is cut off after MaxConnectionAgeGrace,
	// which is at least MaxTimeout.
	MaxConnectionAge, MaxConnectionAgeGrace time.Duration
	// Logger takes all that is logged. Its level can be changed by admin if
	// telemetry.NewLogger made it.
	Logger *slog.Logger
	// Tracing makes the spans; nil: there are none. The server closes it when it
	// ends.
	Tracing *telemetry.Tracing
	// Version is the program's, for the metrics.
	Version string
}

// Server is a service that is bound to its addresses.
type Server struct {
	// GRPC, HTTP and Admin are the addresses bound, with their real ports.
	GRPC, HTTP, Admin net.Addr

	cfg       Config
	listeners []net.Listener // gRPC, HTTP, admin
	grpc      *grpc.Server
	http      *http.Server
	admin     *http.Server
	health    *health.Server
	started   atomic.Bool
	ready     atomic.Bool
	ending    ending
	unused    *unusedConns // Of http.
	silent    *unusedConns // Of grpc.
	client    *twilio.Client
	deliverer *delivery.Deliverer
	metrics   *telemetry.Metrics
	shared    *redisstore.Store // nil: the state is in memory.
}

// New builds the server and binds its three addresses. Nothing is served before
// Run; what New returns an error for has been released. A server that is not run
// must be closed.
func New(cfg Config) (*Server, error) {
	cfg.MaxTimeout = max(cfg.MaxTimeout, cfg.DefaultTimeout)
	if err := errors.Join(cfg.Delivery.Validate(), cfg.checkAges()); err != nil {
		return nil, err
	}
	cfg.Upstream.Header = cfg.Tracing.Header
	s := &Server{
		cfg: cfg, health: health.NewServer(), client: twilio.NewClient(cfg.Upstream),
		ending: newEnding(), unused: newUnusedConns(), silent: newUnusedConns(),
	}
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	s.deliverer = delivery.New(cfg.Delivery, s.client, store, cfg.Logger)
	s.measure()
	for _, step := range []func() error{s.compose, s.bind, s.checkExposure} {
		if err := step(); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// measure makes the metrics, and makes them told of what happens.
func (s *Server) measure() {
	s.metrics = telemetry.NewMetrics(s.cfg.Version)
	s.deliverer.Observe(s.metrics.Observer(s.cfg.Tracing))
	s.metrics.CountLog(s.cfg.Logger)
	s.metrics.CountAudit(s.cfg.Audit)
	if s.shared != nil {
		s.shared.Observe(s.metrics.SharedState(func() bool { return s.shared.State().Up }))
	}
	s.metrics.Tell(telemetry.Sources{
		Lanes: s.deliverer.Lanes,
		Stats: s.deliverer.Stats,
		Reloads: func() telemetry.Reloads {
			status := s.cfg.Settings.Status()
			return telemetry.Reloads{
				Worked: status.Reloads, Failed: status.Failures,
				LoadedAt: status.LoadedAt, Failing: status.LastError != "",
			}
		},
	})
}

// store is where the delivery keeps its state.
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

// Reload reads the settings' files anew and opens the audit file anew. What is
// wrong is logged, and what was in force stays.
func (s *Server) Reload() {
	_ = s.cfg.Settings.Reload() // Logged there.
	if s.cfg.Audit == nil {
		return
	}
	if err := s.cfg.Audit.Reopen(); err != nil {
		s.cfg.Logger.Error("the audit file was not opened anew", "cause", err)
	}
}

// compose puts the service behind gRPC and REST, with the same steps on the way.
func (s *Server) compose() error {
	steps, err := interceptors(s.cfg, s.metrics, s.refuseLate)
	if err != nil {
		return err
	}
	desc := conferencev1.ConferenceService_ServiceDesc
	conferences := service.New(pinnedSettings, s.deliverer)
	tlsConfig := s.cfg.Settings.TLSConfig()

	s.grpc = newGRPC(chain(append([]interceptor{{"peer", s.adoptForwarded}}, steps...)), s.cfg, tlsConfig)
	s.grpc.RegisterService(readable(desc), conferences)
	grpc_health_v1.RegisterHealthServer(s.grpc, healthService{s.health, s.ending.watches})
	if !s.cfg.NoReflection {
		reflection.Register(s.grpc)
	}
	s.health.SetServingStatus(desc.ServiceName, grpc_health_v1.HealthCheckResponse_NOT_SERVING)

	rest, err := gateway.New(conferences, chain(steps), gateway.Config{
		MaxBodyBytes: maxRequestBytes, CORSOrigins: s.cfg.CORSOrigins, Docs: !s.cfg.NoDocs, Logger: s.cfg.Logger,
		TrustedProxies:   s.cfg.TrustedProxies,
		Authenticate:     s.authenticateEarly,
		Refused:          s.metrics.RefusedByGateway,
		Panicked:         s.metrics.Panicked,
		LastAnswer:       s.lastAnswer,
		LoopbackHostOnly: !s.cfg.Settings.Current().Callers.Authenticating() && !s.cfg.AllowAnonymous,
	})
	if err != nil {
		return err
	}
	s.http = s.newHTTP(rest)
	s.http.TLSConfig = tlsConfig
	s.http.ConnContext = s.age
	s.http.ConnState = s.unused.note
	s.admin = s.newHTTP(s.adminPages())
	return nil
}

func newGRPC(way grpc.UnaryServerInterceptor, cfg Config, tlsConfig *tls.Config) *grpc.Server {
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(way),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.KeepaliveParams(keepaliveOf(cfg)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: minPing, PermitWithoutStream: true,
		}),
	}
	if tlsConfig != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(tlsConfig)))
	}
	return grpc.NewServer(options...)
}

func (s *Server) newHTTP(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      s.cfg.MaxTimeout + writeMargin,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
	}
}

func (s *Server) bind() error {
	for _, a := range []struct {
		name, addr string
		bound      *net.Addr
	}{
		{"gRPC", s.cfg.GRPCAddr, &s.GRPC},
		{"HTTP", s.cfg.HTTPAddr, &s.HTTP},
		{"admin", s.cfg.AdminAddr, &s.Admin},
	} {
		listener, err := net.Listen("tcp", a.addr)
		if err != nil {
			return fmt.Errorf("%s address: %w", a.name, err)
		}
		s.listeners = append(s.listeners, listener)
		*a.bound = listener.Addr()
	}
	return nil
}

// Close gives back what a server holds that never ran, its addresses among it. Run
// must not be called then.
func (s *Server) Close() {
	s.ending.endWatches()
	s.closeTracing()
	s.closeStore()
	if s.grpc != nil {
		s.grpc.Stop()
	}
	for _, listener := range s.listeners {
		_ = listener.Close() // Nothing was served from it.
	}
}

// Run serves until the context is done, then drains: after the drain delay calls
// under way are finished, within the shutdown timeout, and it returns nil. It
// returns an error when serving fails.
func (s *Server) Run(ctx context.Context) error {
	s.serving(true) // Before anybody can ask.
	s.started.Store(true)
	group, failed := errgroup.WithContext(ctx)
	serveHTTP := func(server *http.Server, listener net.Listener) func() error {
		return func() error {
			serve := server.Serve
			if server.TLSConfig != nil {
				serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
			}
			if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		}
	}
	group.Go(func() error {
		// Stopped before it began to serve is stopped as well.
		if err := s.grpc.Serve(notingListener{s.listeners[0], s.silent}); !errors.Is(err, grpc.ErrServerStopped) {
			return err
		}
		return nil
	})
	group.Go(serveHTTP(s.http, s.listeners[1]))
	group.Go(serveHTTP(s.admin, s.listeners[2]))
	group.Go(func() error { return s.cfg.Settings.Watch(failed) })
	s.cfg.Logger.Info("serving",
		"grpc", s.GRPC.String(), "http", s.HTTP.String(), "admin", s.Admin.String())
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

// closeTracing sends the remaining spans. A collector that stalls does not delay the
// end beyond the shutdown timeout, or a second.
func (s *Server) closeTracing() {
	timeout := flushTimeout
	if end := s.ending.closing.Load(); end != nil {
		timeout = min(timeout, max(time.Until(*end), time.Second))
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.cfg.Tracing.Close(ctx); err != nil {
		s.cfg.Logger.Warn("traces: a part of them is lost", "cause", err)
	}
}

func (s *Server) serving(yes bool) {
	if !yes {
		s.ready.Store(false)
		s.health.Shutdown()
		return
	}
	s.health.Resume()
	s.ready.Store(true)
}
