package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"conferenced/service/invalid"
	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
)

// serveCommand also has the flags of check.
type serveCommand struct {
	serving

	TwilioBaseURL string `name:"twilio-base-url" field:"settings.BaseURL" env:"CONFERENCED_TWILIO_BASE_URL" placeholder:"URL" group:"Twilio:" help:"The base URL of Twilio's API, instead of the host of TWILIO_REGION and TWILIO_EDGE: https://HOST[:PORT]."`

	AuditLog string `env:"CONFERENCED_AUDIT_LOG" default:"-" group:"Audit and log:" help:"The file to which the audit is appended, or - for standard output. --audit-log= switches the audit off."`
}

// Help is shown by `conferenced serve --help`.
func (serveCommand) Help() string {
	return `Without --accounts, the account is configured by the environment, with the variables of Twilio's own tools:

  TWILIO_ACCOUNT_SID      the account, AC...; required
  TWILIO_AUTH_TOKEN       its auth token, or
  TWILIO_API_KEY          an API key, SK..., which takes precedence, and
  TWILIO_API_SECRET       its secret
  TWILIO_REGION           the region of the credentials, such as ie1; needs TWILIO_EDGE
  TWILIO_EDGE             the edge, such as dublin

TWILIO_AUTH_TOKEN_FILE and TWILIO_API_SECRET_FILE name files with the secrets. No flag takes a secret. An empty variable counts as unset.

Each flag is shown with its default, if it has one, and its variable.`
}

// Run serves until the context is done.
func (c *serveCommand) Run(ctx context.Context, out output, names flagNames) error {
	surviveClosedPipes()
	logger, err := c.logger(out.stderr)
	if err != nil {
		return usageError{err}
	}
	cfg, err := c.config(ctx, names, logger)
	if err != nil {
		return err
	}
	s, err := newServer(cfg, c.AuditLog)
	if err != nil {
		return err
	}
	return serve(ctx, s)
}

// config reads and checks the whole configuration; see serving.config.
func (c *serveCommand) config(ctx context.Context, names flagNames, logger *slog.Logger) (server.Config, error) {
	if c.Securing.Accounts != "" && c.TwilioBaseURL != "" {
		return server.Config{}, usageError{invalid.Fieldf("settings.BaseURL",
			"cannot be used together with --accounts: the file has the base URL of each account")}
	}
	if strings.HasPrefix(c.TwilioBaseURL, "http://") {
		logger.Warn("Twilio's credentials are sent in plaintext: --twilio-base-url is not https")
	}
	return c.serving.config(ctx, names, settings.Base{Environment: true, BaseURL: c.TwilioBaseURL}, c.AuditLog, logger)
}

// newServer opens the audit file and returns the server with its addresses bound.
func newServer(cfg server.Config, auditLog string) (*server.Server, error) {
	var err error
	if auditLog != "" {
		if cfg.Audit, err = telemetry.OpenAudit(auditLog); err != nil {
			return nil, invalid.Field("--audit-log", err)
		}
	}
	s, err := server.New(cfg)
	if err != nil && cfg.Audit != nil {
		_ = cfg.Audit.Close() // Nothing was written to it.
	}
	return s, err
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
