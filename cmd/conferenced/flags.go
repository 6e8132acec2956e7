package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

// serving has the flags of the commands that serve.
type serving struct {
	GRPCAddr    string `name:"grpc-addr" env:"CONFERENCED_GRPC_ADDR" default:"127.0.0.1:50051" placeholder:"HOST:PORT" help:"The address of gRPC (${default}). Port 0 picks a free port, here and below."`
	HTTPAddr    string `name:"http-addr" env:"CONFERENCED_HTTP_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"The address of REST, /docs, /openapi.json and /conference_service.proto (${default})."`
	AdminAddr   string `env:"CONFERENCED_ADMIN_ADDR" default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"The address of health, metrics, profiles and the log level (${default})."`
	AdminPublic bool   `env:"CONFERENCED_ADMIN_PUBLIC" help:"Allow an --admin-addr that is not a loopback address. Admin authenticates nobody."`

	LogLevel  string `env:"CONFERENCED_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"The lowest level that is logged: ${enum} (${default}). PUT /loglevel on the admin address changes it."`
	LogFormat string `env:"CONFERENCED_LOG_FORMAT" default:"text" enum:"text,json" help:"The format of the log: ${enum} (${default})."`

	CORSOrigin []string `name:"cors-origin" env:"CONFERENCED_CORS_ORIGIN" placeholder:"ORIGIN" help:"An origin whose web pages may call the REST API, such as https://app.example.com; * for all. Several are separated by commas. None by default."`

	DefaultTimeout  time.Duration `env:"CONFERENCED_DEFAULT_TIMEOUT" default:"10s" help:"The deadline of a call that has none (${default})."`
	MaxTimeout      time.Duration `env:"CONFERENCED_MAX_TIMEOUT" default:"60s" help:"The maximum of callers' deadlines (${default}); later ones are shortened to it."`
	DrainDelay      time.Duration `env:"CONFERENCED_DRAIN_DELAY" default:"0s" help:"How long calls are served after SIGTERM or SIGINT while health reports NOT_SERVING (${default}). A second signal ends the process at once."`
	ShutdownTimeout time.Duration `env:"CONFERENCED_SHUTDOWN_TIMEOUT" default:"30s" help:"How long calls in flight may take after that (${default})."`

	MaxConnectionAge      time.Duration `env:"CONFERENCED_MAX_CONNECTION_AGE" default:"30m" help:"The age, give or take a tenth, at which a connection is closed gracefully (${default}); 0: never."`
	MaxConnectionAgeGrace time.Duration `env:"CONFERENCED_MAX_CONNECTION_AGE_GRACE" default:"5m" help:"How long calls in flight on such a gRPC connection may take (${default}); at least --max-timeout."`

	Securing   securing   `embed:"" group:"Callers:"`
	Delivering delivering `embed:"" group:"Delivery:"`
	Sharing    sharing    `embed:"" group:"Shared state:"`
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

// checkEnds checks the flags about deadlines, shutdown and the age of connections.
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
		errs = append(errs, errors.New("--max-connection-age-grace: must be at least --max-timeout, or calls would be ended before their deadlines"))
	}
	return errors.Join(errs...)
}

// refuseSecrets returns an error if a flag in the command line, where other users of
// the machine and readers of /debug/pprof/cmdline see it, has a secret. The same value
// is accepted from the environment.
func refuseSecrets(command *kong.Context) error {
	for _, given := range command.Path { // Values of the environment are not in it.
		if given.Flag == nil {
			continue
		}
		u, err := url.Parse(given.Flag.Target.String())
		if err != nil {
			continue
		}
		secret := ""
		switch given.Flag.Name {
		case "redis-url":
			if _, ok := u.User.Password(); ok {
				secret = "the password"
			}
		case "jwt-jwks-url":
			if u.RawQuery != "" {
				secret = "the query"
			}
		}
		if secret != "" {
			return fmt.Errorf("--%s: %s of a URL in the command line can be read by other users of this machine: set %s instead",
				given.Flag.Name, secret, given.Flag.Envs[0])
		}
	}
	return nil
}

// config returns the server's configuration.
func (s *serving) config(ctx context.Context, base settings.Base, auditLog string, log io.Writer) (server.Config, error) {
	logger, err := telemetry.NewLogger(log, s.LogLevel, s.LogFormat)
	if err != nil {
		return server.Config{}, usageError{err}
	}
	cfg := server.Config{
		GRPCAddr: s.GRPCAddr, HTTPAddr: s.HTTPAddr, AdminAddr: s.AdminAddr, AdminPublic: s.AdminPublic,
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

// serve runs the server until the context is done, and reloads it on SIGHUP.
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
