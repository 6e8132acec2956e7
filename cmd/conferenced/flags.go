package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"conferenced/service/invalid"
	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

// serving has the flags of the commands that serve.
type serving struct {
	listening  `embed:"" group:"Addresses:"`
	Securing   securing `embed:"" group:"Callers:"`
	auditing   `embed:"" group:"Audit and log:"`
	timing     `embed:"" group:"Deadlines and connections:"`
	Delivering delivering `embed:"" group:"Delivery:"`
	Sharing    sharing    `embed:"" group:"Shared state:"`
}

// listening has the flags about addresses.
type listening struct {
	GRPCAddr    string   `name:"grpc-addr" field:"server.GRPCAddr" env:"CONFERENCED_GRPC_ADDR" default:"127.0.0.1:50051" help:"The address of gRPC. Port 0 picks a free port, here and below."`
	HTTPAddr    string   `name:"http-addr" field:"server.HTTPAddr" env:"CONFERENCED_HTTP_ADDR" default:"127.0.0.1:8080" help:"The address of REST, /docs, /openapi.json and /conference_service.proto."`
	AdminAddr   string   `field:"server.AdminAddr" env:"CONFERENCED_ADMIN_ADDR" default:"127.0.0.1:9090" help:"The address of health, metrics, profiles and the log level."`
	AdminPublic bool     `env:"CONFERENCED_ADMIN_PUBLIC" help:"Allow an --admin-addr that is not a loopback address. Admin authenticates nobody."`
	CORSOrigin  []string `name:"cors-origin" field:"server.CORSOrigins" env:"CONFERENCED_CORS_ORIGIN" placeholder:"ORIGIN" help:"An origin whose web pages may call the REST API, such as https://app.example.com; * for all. Several are separated by commas. None by default."`
}

// auditing has the flags about the audit and the log that all commands share.
type auditing struct {
	AuditFailure string `env:"CONFERENCED_AUDIT_FAILURE" default:"closed" enum:"closed,open" help:"What happens to calls whose audit record cannot be written: closed refuses them, open lets them proceed."`
	LogLevel     string `env:"CONFERENCED_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"The lowest level that is logged: ${enum}. PUT /loglevel on the admin address changes it."`
	LogFormat    string `env:"CONFERENCED_LOG_FORMAT" default:"text" enum:"text,json" help:"The format of the log: ${enum}."`
}

// logger returns the logger that the flags describe.
func (a *auditing) logger(w io.Writer) (*slog.Logger, error) {
	return telemetry.NewLogger(w, a.LogLevel, a.LogFormat)
}

// timing has the flags about deadlines, shutdown and the age of connections.
type timing struct {
	DefaultTimeout  time.Duration `env:"CONFERENCED_DEFAULT_TIMEOUT" default:"10s" help:"The deadline of a call that has none."`
	MaxTimeout      time.Duration `env:"CONFERENCED_MAX_TIMEOUT" default:"60s" help:"The maximum of callers' deadlines; later ones are shortened to it."`
	DrainDelay      time.Duration `env:"CONFERENCED_DRAIN_DELAY" default:"0s" help:"How long calls are served after SIGTERM or SIGINT while health reports NOT_SERVING. A second signal ends the process at once."`
	ShutdownTimeout time.Duration `env:"CONFERENCED_SHUTDOWN_TIMEOUT" default:"30s" help:"How long calls in flight may take after that."`

	MaxConnectionAge      time.Duration `field:"server.MaxConnectionAge" env:"CONFERENCED_MAX_CONNECTION_AGE" default:"30m" help:"The age, give or take a tenth, at which a connection is closed gracefully; 0: never."`
	MaxConnectionAgeGrace time.Duration `field:"server.MaxConnectionAgeGrace" env:"CONFERENCED_MAX_CONNECTION_AGE_GRACE" default:"5m" help:"How long calls in flight on such a gRPC connection may take; at least --max-timeout."`
}

// check returns all problems of the durations, joined.
func (t *timing) check() error {
	return errors.Join(
		mustBePositive("--default-timeout", t.DefaultTimeout),
		mustBePositive("--shutdown-timeout", t.ShutdownTimeout),
		invalid.Unless(t.MaxTimeout >= t.DefaultTimeout, "--max-timeout", "must be at least --default-timeout"),
		invalid.Unless(t.DrainDelay >= 0, "--drain-delay", "must not be less than 0"),
		invalid.Unless(t.MaxConnectionAge <= 0 || t.MaxConnectionAge >= time.Second,
			"--max-connection-age", "must be 0 or at least 1s"),
	)
}

func mustBePositive(flag string, value time.Duration) error {
	return invalid.Unless(value > 0, flag, "must be more than 0")
}

// refuseSecrets returns an error if a flag in the command line has a secret: other users of
// the machine and readers of /debug/pprof/cmdline can read it there. The same value is
// accepted from the environment.
func refuseSecrets(command *kong.Context) error {
	for _, given := range command.Path { // Values of the environment are not in it.
		if given.Flag == nil {
			continue
		}
		if secret := secretIn(given.Flag); secret != "" {
			return fmt.Errorf("--%s: %s of a URL in the command line can be read by other users of this machine: set %s instead",
				given.Flag.Name, secret, given.Flag.Envs[0])
		}
	}
	return nil
}

// secretIn returns which part of a flag's value is a secret; "" if there is none.
func secretIn(flag *kong.Flag) string {
	u, err := url.Parse(flag.Target.String())
	if err != nil {
		return ""
	}
	_, hasPassword := u.User.Password()
	switch {
	case flag.Name == "redis-url" && hasPassword:
		return "the password"
	case flag.Name == "jwt-jwks-url" && u.RawQuery != "":
		return "the query"
	default:
		return ""
	}
}

// config reads and checks the whole configuration, for the commands that serve and for
// check. It binds no address and does not open the audit file. Its error is a usageError
// that joins all problems.
func (s *serving) config(
	ctx context.Context, names flagNames, base settings.Base, auditLog string, logger *slog.Logger,
) (server.Config, error) {
	for _, warning := range names.unknownVariables(os.Environ()) {
		logger.Warn(warning)
	}
	cfg := server.Config{
		GRPCAddr: s.GRPCAddr, HTTPAddr: s.HTTPAddr, AdminAddr: s.AdminAddr, AdminPublic: s.AdminPublic,
		Upstream:        twilio.Config{AnswerTimeout: s.Delivering.AttemptTimeout},
		Delivery:        s.Delivering.config(),
		CORSOrigins:     s.CORSOrigin,
		AuditFailOpen:   s.AuditFailure == "open",
		DefaultTimeout:  s.DefaultTimeout,
		MaxTimeout:      s.MaxTimeout,
		DrainDelay:      s.DrainDelay,
		ShutdownTimeout: s.ShutdownTimeout,
		Logger:          logger,
		Version:         programVersion(),
		Revision:        programRevision(),

		MaxConnectionAge: s.MaxConnectionAge, MaxConnectionAgeGrace: s.MaxConnectionAgeGrace,
	}
	base.Describe = names.describe
	settingsErr := s.Securing.apply(&cfg, base)
	var redisErr, tracingErr, auditErr error
	cfg.Redis, redisErr = s.Sharing.config()
	cfg.Tracing, tracingErr = telemetry.NewTracing(ctx, cfg.Version, logger)
	if auditLog != "" {
		auditErr = telemetry.CheckAudit(auditLog)
	}
	err := errors.Join(s.timing.check(), mustBePositive("--attempt-timeout", s.Delivering.AttemptTimeout), settingsErr, cfg.Validate(), redisErr,
		invalid.Field("--audit-log", auditErr), tracingErr)
	if err != nil {
		_ = cfg.Tracing.Close(ctx) // It has no spans.
		return cfg, usageError{err}
	}
	return cfg, nil
}
