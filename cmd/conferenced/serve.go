package main

import (
	"context"
	"errors"
	"strings"

	"conferenced/service/server"
	"conferenced/service/settings"
)

type serveCommand struct {
	serving

	TwilioBaseURL string `name:"twilio-base-url" env:"CONFERENCED_TWILIO_BASE_URL" placeholder:"URL" help:"The base URL of Twilio's API, instead of the host of TWILIO_REGION and TWILIO_EDGE: https://HOST[:PORT]."`

	AuditLog string `env:"CONFERENCED_AUDIT_LOG" default:"-" placeholder:"FILE" help:"The file to which the audit is appended, or - for standard output (the default). --audit-log= switches the audit off."`
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

TWILIO_AUTH_TOKEN_FILE and TWILIO_API_SECRET_FILE name files with the secrets. No flag takes a secret. An empty variable counts as unset.`
}

// Run serves until the context is done.
func (c *serveCommand) Run(ctx context.Context, out output) error {
	if c.Securing.Accounts != "" && c.TwilioBaseURL != "" {
		return usageError{errors.New("--accounts and --twilio-base-url are both set: the file has the base URL of each account")}
	}
	cfg, err := c.config(ctx, settings.Base{Environment: true, BaseURL: c.TwilioBaseURL}, c.AuditLog, out.stderr)
	if err != nil {
		return err
	}
	if strings.HasPrefix(c.TwilioBaseURL, "http://") {
		cfg.Logger.Warn("Twilio's credentials are sent in plaintext: --twilio-base-url is not https")
	}
	s, err := server.New(cfg)
	if err != nil {
		return err
	}
	return serve(ctx, s)
}
