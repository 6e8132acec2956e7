package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"conferenced/service/server"
	"conferenced/service/settings"
)

type checkCommand struct {
	serveCommand
	State    string   `group:"Embedded Twilio:" env:"CONFERENCED_STATE" placeholder:"FILE" help:"Check this state file of the embedded Twilio, and the rest of the configuration as sandbox would."`
	Question question `embed:"" group:"Explanation:"`
}

// Help is shown by `conferenced check --help`.
func (checkCommand) Help() string {
	return `Takes the flags and variables of serve, and fails where serve would, without starting: it lists all errors, and otherwise prints what it has read. It connects to nothing and does not check whether the ports are free. With --state it checks a state file of the embedded Twilio instead of the account.

With --as, it then explains what the policy allows a caller. The exit code is 0 if the policy allows the operation, 1 if not, and 2 if the configuration is invalid or the explanation cannot be given.

  conferenced check --tokens tokens.yaml --policy policy.yaml --as uiweb --set muted,hold`
}

// Run returns a usageError for a configuration with which serve would not start and for
// a question that has no answer, and errDenied if the policy does not allow the
// operation.
func (c *checkCommand) Run(ctx context.Context, out output, names flagNames) error {
	cfg, err := c.read(ctx, names, slog.New(warnings{slog.DiscardHandler, out.stdout}))
	if err != nil {
		return err
	}
	defer func() { _ = cfg.Tracing.Close(ctx) }() // It has no spans.
	set := cfg.Settings.Current()
	if _, err := fmt.Fprintln(out.stdout, summary(cfg, set, time.Now())); err != nil {
		return err
	}
	if c.Question.isEmpty() {
		_, err := fmt.Fprintln(out.stdout, "ok")
		return err
	}
	asked, err := c.Question.read(set, c.Securing.JWT.NameClaim)
	if err != nil {
		return usageError{err}
	}
	return asked.explain(out.stdout, set.Callers)
}

// read reads the configuration of serve. With a state file, it reads that of sandbox.
func (c *checkCommand) read(ctx context.Context, names flagNames, logger *slog.Logger) (server.Config, error) {
	if c.State == "" {
		return c.config(ctx, names, logger)
	}
	state, err := readState(c.State)
	if err != nil {
		return server.Config{}, err
	}
	return c.sandboxConfig(ctx, names, state, "127.0.0.1", c.AuditLog, logger)
}

// warnings is a handler that prints the messages of warnings.
type warnings struct {
	slog.Handler
	w io.Writer
}

// Enabled implements slog.Handler.
func (warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (h warnings) Handle(_ context.Context, record slog.Record) error {
	_, err := fmt.Fprintln(h.w, "warning:", record.Message)
	return err
}

// summary describes what was read, such as "2 tokens, one expires in 12 days; 2 rules; 1
// account; plaintext".
func summary(cfg server.Config, set *settings.Set, now time.Time) string {
	expiry, known := set.Expiry(now), set.Callers
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if known.Tokens != nil {
		expired := ""
		if n := known.Tokens.Expired(now); n > 0 {
			expired = fmt.Sprintf(", %d expired", n)
		}
		add("%s%s%s", count(known.Tokens.Len(), "token"), expired, expires(", one", expiry.Token, now))
	}
	if known.JWT != nil {
		add("JWTs of %s", known.JWT.Issuer())
	}
	if known.ClientCAs != nil {
		add("client certificates%s", expires(", a CA", expiry.ClientCA, now))
	}
	if !known.Authenticating() {
		add("anonymous callers")
	}
	if known.Policy != nil {
		add("%s", count(known.Policy.Len(), "rule"))
	}
	add("%s", count(set.Accounts.Len(), "account"))
	if set.Certificate != nil {
		add("TLS%s", expires(", the certificate", expiry.Certificate, now))
	} else {
		add("plaintext")
	}
	if cfg.Redis.URL != "" {
		add("state in Redis at %s", cfg.Redis.Address())
	} else {
		add("state in memory")
	}
	return strings.Join(parts, "; ")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// expires returns when something expires, or nothing if the time is zero.
func expires(what string, at, now time.Time) string {
	const day = 24 * time.Hour
	switch left := at.Sub(now); {
	case at.IsZero():
		return ""
	case left <= 0:
		return what + " has expired"
	case left < 2*day:
		return fmt.Sprintf("%s expires in %s", what, count(int(left.Hours()), "hour"))
	default:
		return fmt.Sprintf("%s expires in %d days", what, left/day)
	}
}
