package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"conferenced/service/sandbox"
	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/twilio"
)

type sandboxCommand struct {
	serving

	TwilioAddr string `env:"CONFERENCED_TWILIO_ADDR" default:"127.0.0.1:8010" placeholder:"HOST:PORT" help:"Where the embedded Twilio is served (${default})."`

	AuditLog string `env:"CONFERENCED_AUDIT_LOG" placeholder:"FILE" help:"Where the audit goes: a file to append to, or - for standard output. None by default."`

	State      string        `env:"CONFERENCED_STATE" placeholder:"FILE" help:"What the embedded Twilio begins with, in YAML, instead of its own accounts and conferences."`
	TwilioOnly bool          `env:"CONFERENCED_TWILIO_ONLY" help:"Run the embedded Twilio alone."`
	CallStep   time.Duration `name:"sandbox-call-step" env:"CONFERENCED_SANDBOX_CALL_STEP" default:"1s" help:"How long a new participant's call stays queued, connecting and ringing (${default} each)."`

	Latency     time.Duration `name:"sandbox-latency" env:"CONFERENCED_SANDBOX_LATENCY" default:"0s" help:"How long the embedded Twilio takes to answer (${default})."`
	ErrorRate   float64       `name:"sandbox-error-rate" env:"CONFERENCED_SANDBOX_ERROR_RATE" default:"0" help:"The share of its requests, 0 to 1, that fail in a way picked at random (${default})."`
	Concurrency int           `name:"sandbox-concurrency" env:"CONFERENCED_SANDBOX_CONCURRENCY" default:"0" help:"How many requests it takes at once before it answers 429; 0, the default, is any number."`
	Seed        uint64        `name:"sandbox-seed" env:"CONFERENCED_SANDBOX_SEED" default:"1" help:"Makes the random failures the same in each run (${default})."`
}

// Validate is called by kong.
func (c *sandboxCommand) Validate() error {
	if c.ErrorRate < 0 || c.ErrorRate > 1 {
		return errors.New("--sandbox-error-rate: must be between 0 and 1")
	}
	if c.Latency < 0 || c.Concurrency < 0 {
		return errors.New("--sandbox-latency and --sandbox-concurrency: must not be less than 0")
	}
	return c.serving.Validate()
}

// Help is shown by `conferenced sandbox --help`.
func (sandboxCommand) Help() string {
	return `The embedded Twilio lives in memory: one account, a conference in progress and five participants, or what --state says. No credentials are needed or read, and nothing is sent anywhere but status callbacks, to this machine only.

With --twilio-only it runs by itself, for the tests of other services.`
}

// Run serves the embedded Twilio, and the service in front of it, until the
// context is done.
func (c *sandboxCommand) Run(ctx context.Context, out output) error {
	cfg, err := c.upstream()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.TwilioAddr)
	if err != nil {
		return fmt.Errorf("embedded Twilio's address: %w", err)
	}
	defer listener.Close()
	fake := sandbox.New(cfg)
	defer fake.Close()
	if c.TwilioOnly {
		return c.runAlone(ctx, out, fake, listener)
	}
	s, err := c.newServer(ctx, listener.Addr(), cfg.State, out.stderr)
	if err != nil {
		return err
	}
	if err := c.welcome(out.stdout, s, listener.Addr()); err != nil {
		s.Close()
		return err
	}
	return runBoth(ctx, s, fake, listener)
}

// upstream is the embedded Twilio as the flags want it.
func (c *sandboxCommand) upstream() (sandbox.Config, error) {
	cfg := sandbox.Config{
		Latency: c.Latency, ErrorRate: c.ErrorRate, Concurrency: c.Concurrency,
		Seed: c.Seed, CallStep: c.CallStep,
	}
	if c.State == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(c.State)
	if err != nil {
		return cfg, usageError{fmt.Errorf("--state: %w", err)}
	}
	if cfg.State, err = sandbox.ParseState(c.State, text); err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// newServer is the service in front of the embedded Twilio.
func (c *sandboxCommand) newServer(
	ctx context.Context, upstream net.Addr, state *sandbox.InitialState, log io.Writer,
) (*server.Server, error) {
	if c.Securing.Accounts != "" { // They would be served in place of the embedded Twilio's.
		return nil, usageError{errors.New("--accounts is set, and the embedded Twilio has accounts of its own")}
	}
	accounts, err := accountsOf(state, "http://"+upstream.String())
	if err != nil {
		return nil, err
	}
	cfg, err := c.config(ctx, settings.Base{Accounts: accounts}, c.AuditLog, log)
	if err != nil {
		return nil, err
	}
	return server.New(cfg)
}

// accountsOf are the accounts of the embedded Twilio, the first of them the
// default one.
func accountsOf(state *sandbox.InitialState, baseURL string) (*twilio.Accounts, error) {
	known := []sandbox.Credentials{{AccountSID: sandbox.AccountSID, AuthToken: sandbox.AuthToken}}
	if state != nil {
		known = state.Credentials()
	}
	var accounts []twilio.Account
	for _, account := range known {
		accounts = append(accounts, twilio.Account{
			SID: account.AccountSID, Username: account.AccountSID,
			Password: twilio.NewSecret(account.AuthToken), BaseURL: baseURL,
		})
	}
	return twilio.NewAccounts(accounts[0].SID, accounts...)
}

// runAlone serves the embedded Twilio until the context is done.
func (c *sandboxCommand) runAlone(
	ctx context.Context, out output, fake *sandbox.Sandbox, listener net.Listener,
) error {
	_, err := fmt.Fprintf(out.stdout, "An imitation of Twilio is at http://%s (what it has: http://%[1]s/sandbox/state).\nStop with Ctrl-C.\n",
		listener.Addr())
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

// runBoth ends the embedded Twilio only after the service in front of it, whose
// last calls it still has to answer.
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

// welcome prints where everything is, and calls to copy.
func (c *sandboxCommand) welcome(w io.Writer, s *server.Server, upstream net.Addr) error {
	if c.State == "" {
		return printWelcome(w, s, upstream)
	}
	_, err := fmt.Fprintf(w, `conferenced is serving in front of an embedded Twilio.

  gRPC             %s
  REST             http://%s   (API page: http://%[2]s/docs)
  admin            http://%s
  embedded Twilio  http://%s   (what it has: http://%[4]s/)

Stop with Ctrl-C.
`, s.GRPC, s.HTTP, s.Admin, upstream)
	return err
}

func printWelcome(w io.Writer, s *server.Server, upstream net.Addr) error {
	_, err := fmt.Fprintf(w, `conferenced is serving in front of an embedded Twilio.

  gRPC             %[1]s
  REST             http://%[2]s   (API page: http://%[2]s/docs)
  admin            http://%[3]s
  embedded Twilio  http://%[4]s   (all it knows: http://%[4]s/sandbox/state)

  account          %[5]s
  conference       %[6]s, with the participants
    %[7]s  agent
    %[8]s  customer
    %[9]s  supervisor
    %[10]s  front desk
    %[11]s  on hold

Mute the customer:

  grpcurl -plaintext -d '{"conference_sid": "%[6]s", "call_sid": "%[8]s", "muted": true}' %[1]s conference.v1.ConferenceService/UpdateParticipant

  curl -X PATCH http://%[2]s/v1/conferences/%[6]s/participants/%[8]s -H 'Content-Type: application/json' -d '{"muted": true}'

Take the front desk, by its label, on hold:

  curl -X PATCH http://%[2]s/v1/conferences/%[6]s/participants/front%%20desk -H 'Content-Type: application/json' -d '{"hold": true}'

Stop with Ctrl-C.

`, s.GRPC, s.HTTP, s.Admin, upstream,
		sandbox.AccountSID, sandbox.ConferenceSID,
		sandbox.AgentSID, sandbox.CustomerSID, sandbox.SupervisorSID, sandbox.FrontDeskSID, sandbox.HeldSID)
	return err
}
