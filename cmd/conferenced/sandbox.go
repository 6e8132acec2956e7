package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"conferenced/service/invalid"
	"conferenced/service/sandbox"
	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/twilio"
)

type sandboxCommand struct {
	serving

	AuditLog string `group:"Audit and log:" env:"CONFERENCED_AUDIT_LOG" placeholder:"FILE" help:"The file to which the audit is appended, or - for standard output. None by default."`

	embedding `embed:"" group:"Embedded Twilio:"`
}

// embedding has the flags about the embedded Twilio.
type embedding struct {
	TwilioAddr string        `env:"CONFERENCED_TWILIO_ADDR" default:"127.0.0.1:8010" help:"The address of the embedded Twilio."`
	State      string        `env:"CONFERENCED_STATE" placeholder:"FILE" help:"The initial state of the embedded Twilio, in YAML or JSON, instead of its default accounts and conferences."`
	TwilioOnly bool          `env:"CONFERENCED_TWILIO_ONLY" help:"Run the embedded Twilio alone."`
	CallStep   time.Duration `name:"sandbox-call-step" env:"CONFERENCED_SANDBOX_CALL_STEP" default:"1s" help:"How long a new participant's call stays queued, connecting and ringing, each."`

	Latency     time.Duration `name:"sandbox-latency" env:"CONFERENCED_SANDBOX_LATENCY" default:"0s" help:"The latency of the embedded Twilio."`
	ErrorRate   float64       `name:"sandbox-error-rate" env:"CONFERENCED_SANDBOX_ERROR_RATE" default:"0" help:"The share of requests, 0 to 1, that fail in a random way."`
	Concurrency int           `name:"sandbox-concurrency" env:"CONFERENCED_SANDBOX_CONCURRENCY" default:"0" help:"The number of requests in flight above which it answers 429; 0 is no limit."`
	Seed        uint64        `name:"sandbox-seed" env:"CONFERENCED_SANDBOX_SEED" default:"1" help:"The seed of the random failures."`
}

// Help is shown by `conferenced sandbox --help`.
func (sandboxCommand) Help() string {
	return `The embedded Twilio is in memory: one account, a conference in progress and five participants, or the content of --state. It needs and reads no credentials, and sends nothing but status callbacks, to this machine only.

With --twilio-only it runs alone, for the tests of other services.`
}

// Run serves the embedded Twilio and the service in front of it until the context is
// done.
func (c *sandboxCommand) Run(ctx context.Context, out output, names flagNames) error {
	surviveClosedPipes()
	cfg, err := c.upstream()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.TwilioAddr)
	if err != nil {
		return invalid.Field("--twilio-addr", err)
	}
	defer listener.Close()
	fake := sandbox.New(cfg)
	defer fake.Close()
	if c.TwilioOnly {
		return c.runAlone(ctx, out, fake, cfg.State, listener)
	}
	logger, err := c.logger(out.stderr)
	if err != nil {
		return usageError{err}
	}
	served, err := c.sandboxConfig(ctx, names, cfg.State, reachable(listener.Addr()), c.AuditLog, logger)
	if err != nil {
		return err
	}
	if out.terminal && c.LogFormat == "text" {
		served.LogCall = shortLines(out.stderr, fake)
	}
	s, err := newServer(served, c.AuditLog)
	if err != nil {
		return err
	}
	examples := examplesFor(s, served)
	fake.SetActions(boardActions(examples))
	if _, err := io.WriteString(out.stdout, welcome(examples, "http://"+reachable(listener.Addr()), fake.State())); err != nil {
		s.Close()
		return err
	}
	return runBoth(ctx, s, fake, listener)
}

// upstream returns the configuration of the embedded Twilio.
func (c *embedding) upstream() (sandbox.Config, error) {
	err := errors.Join(
		invalid.Unless(c.TwilioAddr != "", "--twilio-addr", "is empty"),
		invalid.Unless(c.CallStep >= time.Millisecond, "--sandbox-call-step", "must be at least 1ms"),
		invalid.Unless(c.ErrorRate >= 0 && c.ErrorRate <= 1, "--sandbox-error-rate", "must be between 0 and 1"),
		invalid.Unless(c.Latency >= 0, "--sandbox-latency", "must not be less than 0"),
		invalid.Unless(c.Concurrency >= 0, "--sandbox-concurrency", "must not be less than 0"),
	)
	if err != nil {
		return sandbox.Config{}, usageError{err}
	}
	cfg := sandbox.Config{
		Latency: c.Latency, ErrorRate: c.ErrorRate, Concurrency: c.Concurrency,
		Seed: c.Seed, CallStep: c.CallStep,
	}
	cfg.State, err = readState(c.State)
	return cfg, err
}

// readState reads a state file. Without one it returns nil.
func readState(path string) (*sandbox.InitialState, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usageError{invalid.Field("--state", err)}
	}
	state, err := sandbox.ParseState(path, text)
	if err != nil {
		return nil, usageError{err}
	}
	return state, nil
}

// sandboxConfig is config with the accounts of an embedded Twilio, whose address is upstream.
func (s *serving) sandboxConfig(
	ctx context.Context, names flagNames, state *sandbox.InitialState, upstream, auditLog string, logger *slog.Logger,
) (server.Config, error) {
	if s.Securing.Accounts != "" {
		return server.Config{}, usageError{invalid.Fieldf("--accounts", "cannot be set: the embedded Twilio has accounts of its own")}
	}
	accounts, err := accountsOf(state, "http://"+upstream)
	if err != nil {
		return server.Config{}, err
	}
	return s.config(ctx, names, settings.Base{Accounts: accounts}, auditLog, logger)
}

// accountsOf returns the accounts of the embedded Twilio. The first is the default one.
func accountsOf(state *sandbox.InitialState, baseURL string) (*twilio.Accounts, error) {
	var accounts []twilio.Account
	for _, account := range state.Credentials() {
		accounts = append(accounts, twilio.Account{
			SID: account.AccountSID, Username: account.AccountSID,
			Password: twilio.NewSecret(account.AuthToken), BaseURL: baseURL,
		})
	}
	return twilio.NewAccounts(accounts[0].SID, accounts...)
}

// runAlone serves the embedded Twilio until the context is done.
func (c *sandboxCommand) runAlone(
	ctx context.Context, out output, fake *sandbox.Sandbox, state *sandbox.InitialState, listener net.Listener,
) error {
	_, err := io.WriteString(out.stdout, welcomeAlone("http://"+reachable(listener.Addr()), fake.State(), state.Credentials()))
	if err != nil {
		return err
	}
	upstream := newUpstream(fake)
	stop := context.AfterFunc(ctx, func() {
		fake.Close()
		_ = upstream.Close()
	})
	defer stop()
	return serveUpstream(upstream, listener)
}

func newUpstream(fake *sandbox.Sandbox) *http.Server {
	return &http.Server{Handler: fake, ReadHeaderTimeout: 5 * time.Second}
}

func serveUpstream(upstream *http.Server, listener net.Listener) error {
	if err := upstream.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("embedded Twilio: %w", err)
	}
	return nil
}

// runBoth stops the embedded Twilio after the service, which still sends it the updates
// in flight.
func runBoth(ctx context.Context, s *server.Server, fake *sandbox.Sandbox, listener net.Listener) error {
	upstream := newUpstream(fake)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serveUpstream(upstream, listener) })
	group.Go(func() error {
		err := serve(ctx, s)
		fake.Close()
		return errors.Join(err, upstream.Close())
	})
	return group.Wait()
}
