package server

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service"
	"conferenced/service/gateway"
)

// Limits of requests and connections.
const (
	maxRequestBytes   = gateway.MaxBodyBytes // also of a message, decompressed
	maxHeaderBytes    = 64 << 10             // of the transports; see gateway.MaxHeaderBytes
	maxStreams        = 1000                 // per gRPC connection
	maxHTTP2Streams   = 100                  // per HTTP connection
	streamWorkers     = 64                   // goroutines that are kept for the next gRPC call
	readBufferBytes   = 8 << 10              // per gRPC connection
	handshakeTimeout  = 10 * time.Second
	minPing           = 5 * time.Second
	serverPing        = time.Minute
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeMargin       = 30 * time.Second // beyond MaxTimeout, to read the request and write the response
	idleTimeout       = 2 * time.Minute
	grpcIdleTimeout   = 5 * time.Minute
)

// compose builds the gRPC and HTTP servers in front of the service, with the same
// interceptors.
func (s *Server) compose() error {
	intercept, interceptMember, err := interceptors(s.cfg, s.metrics, s.refuseLate)
	if err != nil {
		return err
	}
	conferences := service.New(pinnedSettings, s.deliverer, chain(interceptMember))
	tlsConfig := s.cfg.Settings.TLSConfig()
	rest, err := gateway.New(conferences, chain(intercept), gateway.Config{
		CORSOrigins: s.cfg.CORSOrigins, Docs: !s.cfg.NoDocs, Logger: s.cfg.Logger,
		BearerTokens:     s.cfg.Settings.Current().Callers.TakesBearerTokens(),
		TrustedProxies:   s.cfg.TrustedProxies,
		Authenticate:     s.authenticateEarly,
		ReadTwilio:       conferences.ReadTwilio,
		Refused:          s.metrics.RefusedByGateway,
		Panicked:         s.metrics.Panicked,
		LastAnswer:       s.lastAnswer,
		LoopbackHostOnly: s.cfg.anonymous() && !s.cfg.AllowAnonymous,
	})
	if err != nil {
		return err
	}
	s.grpc = s.newGRPC(intercept, tlsConfig)
	s.registerServices(conferences)
	s.http = s.newHTTP(countRequests(rest))
	s.http.TLSConfig = tlsConfig
	s.http.ConnContext = s.connContext
	s.http.ConnState = s.handshakes("http").connState
	s.admin = s.newHTTP(s.adminPages())
	return nil
}

// newGRPC returns a gRPC server without services.
func (s *Server) newGRPC(intercept []interceptor, tlsConfig *tls.Config) *grpc.Server {
	if len(s.cfg.TrustedProxies) > 0 {
		intercept = append([]interceptor{{"peer", s.adoptForwarded}}, intercept...)
	}
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(chain(intercept)),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.StreamInterceptor(s.arrivals.limitStreams),
		grpc.InTapHandle(s.arrivals.begin),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.RPCDecompressor(shortGzip{}), //nolint:staticcheck // A registered one would decompress for clients too.
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ReadBufferSize(readBufferBytes),
		grpc.StaticStreamWindowSize(maxRequestBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: serverPing, MaxConnectionIdle: grpcIdleTimeout,
			MaxConnectionAge: s.cfg.MaxConnectionAge, MaxConnectionAgeGrace: s.cfg.MaxConnectionAgeGrace,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: minPing, PermitWithoutStream: true,
		}),
	}
	if tlsConfig != nil {
		options = append(options, grpc.Creds(loggingCredentials{credentials.NewTLS(tlsConfig), s.handshakes("grpc")}))
	}
	return grpc.NewServer(options...)
}

// registerServices registers ConferenceService, health and reflection with the gRPC server.
func (s *Server) registerServices(conferences conferencev1.ConferenceServiceServer) {
	desc := conferencev1.ConferenceService_ServiceDesc
	s.grpc.RegisterService(s.arrivals.withReceiving(desc), conferences)
	s.grpc.RegisterService(s.arrivals.withReceiving(grpc_health_v1.Health_ServiceDesc), healthService{s.health, s.ending.watches})
	if !s.cfg.NoReflection {
		reflection.Register(s.grpc)
	}
	s.health.SetServingStatus(desc.ServiceName, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
}

func (s *Server) handshakes(listener string) *handshakes {
	return &handshakes{s.cfg.Logger, s.metrics.Listener(listener)}
}

func (s *Server) newHTTP(handler http.Handler) *http.Server {
	return &http.Server{
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxHTTP2Streams},
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      s.cfg.MaxTimeout + writeMargin,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
	}
}
