package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

// serving are the flags of the commands that serve.
type serving struct {
	GRPCAddr  string `name:"grpc-addr" env:"CONFERENCED_GRPC_ADDR" default:"127.0.0.1:50051" placeholder:"HOST:PORT" help:"Where gRPC is served (${default}). Port 0 picks a free one, here and below."`
	HTTPAddr  string `name:"http-addr" env:"CONFERENCED_HTTP_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where REST, /docs and /openapi.json are served (${default})."`
	AdminAddr string `env:"CONFERENCED_ADMIN_ADDR" default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"Where health, metrics, profiles and the log level are served (${default})."`

	LogLevel  string `env:"CONFERENCED_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"What is logged: ${enum} (${default}). PUT /loglevel on the admin address changes it."`
	LogFormat string `env:"CONFERENCED_LOG_FORMAT" default:"text" enum:"text,json" help:"How it is logged: ${enum} (${default})."`

	CORSOrigin []string `name:"cors-origin" env:"CONFERENCED_CORS_ORIGIN" placeholder:"ORIGIN" help:"An origin whose pages may call over REST, such as https://app.example.com; * for all. Several are separated by commas. None by default."`

	DefaultTimeout  time.Duration `env:"CONFERENCED_DEFAULT_TIMEOUT" default:"10s" help:"The deadline of a call that has none (${default})."`
	MaxTimeout      time.Duration `env:"CONFERENCED_MAX_TIMEOUT" default:"60s" help:"The latest deadline of a call (${default}); callers' later ones are brought forward to it."`
	DrainDelay      time.Duration `env:"CONFERENCED_DRAIN_DELAY" default:"0s" help:"How long everything is still served after SIGTERM or SIGINT, while health says that it will not be (${default}). A second signal ends it at once."`
	ShutdownTimeout time.Duration `env:"CONFERENCED_SHUTDOWN_TIMEOUT" default:"30s" help:"How long calls under way may take to end after that (${default})."`

	MaxConnectionAge      time.Duration `env:"CONFERENCED_MAX_CONNECTION_AGE" default:"30m" help:"How long a client may keep a connection, give or take a tenth, until it is told to make another (${default}); 0: for ever."`
	MaxConnectionAgeGrace time.Duration `env:"CONFERENCED_MAX_CONNECTION_AGE_GRACE" default:"5m" help:"How long calls under way on such a connection of gRPC may still take (${default}); at least --max-timeout."`

	Securing   securing   `embed:"" group:"Who may call:"`
	Delivering delivering `embed:"" group:"How updates are delivered:"`
	Sharing    sharing    `embed:"" group:"How replicas share their state:"`
}

// Validate is called by kong.
func (s *serving) Validate() error {
	var errs []error
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"--default-timeout", s.DefaultTimeout},
		{"--shutdown-timeout", s.ShutdownTimeout},
		{"--attempt-timeout", s.Delivering.AttemptTimeout},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s: must be more than 0", d.flag))
		}
	}
	return errors.Join(append(errs, s.checkEnds(), s.Delivering.check())...)
}

// checkEnds checks the flags by which connections and the process end.
func (s *serving) checkEnds() error {
	var errs []error
	if s.MaxTimeout < s.DefaultTimeout {
		errs = append(errs, errors.New("--max-timeout: must be at least --default-timeout"))
	}
	if s.DrainDelay < 0 {
		errs = append(errs, errors.New("--drain-delay: must not be less than 0"))
	}
	if s.MaxConnectionAge != 0 && s.MaxConnectionAge < time.Second {
		errs = append(errs, errors.New("--max-connection-age: must be 0 or at least 1s"))
	}
	if s.MaxConnectionAge != 0 && s.MaxConnectionAgeGrace < s.MaxTimeout {
		errs = append(errs, errors.New("--max-connection-age-grace: must be at least --max-timeout, or calls would be cut off"))
	}
	return errors.Join(errs...)
}

// config is the flags as the server takes them.
func (s *serving) config(ctx context.Context, base settings.Base, auditLog string, log io.Writer) (server.Config, error) {
	logger, err := telemetry.NewLogger(log, s.LogLevel, s.LogFormat)
	if err != nil {
		return server.Config{}, usageError{err}
	}
	cfg := server.Config{
		GRPCAddr: s.GRPCAddr, HTTPAddr: s.HTTPAddr, AdminAddr: s.AdminAddr,
		Upstream:        twilio.Config{AttemptTimeout: s.Delivering.AttemptTimeout},
		Delivery:        s.Delivering.config(),
		CORSOrigins:     s.CORSOrigin,
		DefaultTimeout:  s.DefaultTimeout,
		MaxTimeout:      s.MaxTimeout,
		DrainDelay:      s.DrainDelay,
		ShutdownTimeout: s.ShutdownTimeout,
		Logger:          logger,
		Version:         programVersion(),

		MaxConnectionAge: s.MaxConnectionAge, MaxConnectionAgeGrace: s.MaxConnectionAgeGrace,
	}
	if err := s.Securing.apply(&cfg, base, auditLog); err != nil {
		return server.Config{}, err
	}
	if cfg.Redis, err = s.Sharing.config(); err != nil {
		return server.Config{}, err
	}
	if cfg.Tracing, err = telemetry.NewTracing(ctx, cfg.Version, logger); err != nil {
		return server.Config{}, usageError{err}
	}
	return cfg, nil
}

// serve serves until the context is done, and reads the settings anew on SIGHUP.
func serve(ctx context.Context, s *server.Server) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-hangup:
				s.Reload()
			case <-done:
				return
			}
		}
	}()
	return s.Run(ctx)
}
