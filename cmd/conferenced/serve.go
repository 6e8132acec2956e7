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

	TwilioBaseURL string `name:"twilio-base-url" env:"CONFERENCED_TWILIO_BASE_URL" placeholder:"URL" help:"Where Twilio's API is, instead of the host that TWILIO_REGION and TWILIO_EDGE say: https://HOST[:PORT]."`

	AuditLog string `env:"CONFERENCED_AUDIT_LOG" default:"-" placeholder:"FILE" help:"Where the audit goes: a file to append to, or - for standard output (the default). Empty: no audit."`
}

// Help is shown by `conferenced serve --help`.
func (serveCommand) Help() string {
	return `Without --accounts, the account is configured by the environment, under the names that Twilio's own tools use:

  TWILIO_ACCOUNT_SID      the account, AC...; required
  TWILIO_AUTH_TOKEN       its auth token, or
  TWILIO_API_KEY          an API key, SK..., which is used if both are set, and
  TWILIO_API_SECRET       its secret
  TWILIO_REGION           the region of the credentials, such as ie1; needs TWILIO_EDGE
  TWILIO_EDGE             the edge, such as dublin

TWILIO_AUTH_TOKEN_FILE and TWILIO_API_SECRET_FILE name files to read the secrets from instead. No secret is taken from a flag.`
}

// Run serves until the context is done.
func (c *serveCommand) Run(ctx context.Context, out output) error {
	if c.Securing.Accounts != "" && c.TwilioBaseURL != "" {
		return usageError{errors.New("--accounts and --twilio-base-url are both set: the file says where each account is")}
	}
	cfg, err := c.config(ctx, settings.Base{Environment: true, BaseURL: c.TwilioBaseURL}, c.AuditLog, out.stderr)
	if err != nil {
		return err
	}
	if strings.HasPrefix(c.TwilioBaseURL, "http://") {
		cfg.Logger.Warn("Twilio's credentials are sent in plaintext, since --twilio-base-url is not https")
	}
	s, err := server.New(cfg)
	if err != nil {
		return err
	}
	return serve(ctx, s)
}
