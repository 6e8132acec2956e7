package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	return `The embedded Twilio lives in memory: one account, a conference in progress and five participants. Nothing is sent anywhere, and no credentials are needed or read.`
}

// Run serves the embedded Twilio and the service in front of it until the
// context is done.
func (c *sandboxCommand) Run(ctx context.Context, out output) error {
	listener, err := net.Listen("tcp", c.TwilioAddr)
	if err != nil {
		return fmt.Errorf("embedded Twilio's address: %w", err)
	}
	defer listener.Close()
	s, err := c.newServer(listener.Addr(), out.stderr)
	if err != nil {
		return err
	}
	if err := printWelcome(out.stdout, s, listener.Addr()); err != nil {
		return err
	}
	fake := sandbox.New(sandbox.Config{
		Latency: c.Latency, ErrorRate: c.ErrorRate, Concurrency: c.Concurrency, Seed: c.Seed,
	})
	return runBoth(ctx, s, fake, listener)
}

// newServer is the service in front of the embedded Twilio.
func (c *sandboxCommand) newServer(upstream net.Addr, log io.Writer) (*server.Server, error) {
	accounts, err := twilio.NewAccounts(sandbox.AccountSID, twilio.Account{
		SID:      sandbox.AccountSID,
		Username: sandbox.AccountSID,
		Password: twilio.NewSecret(sandbox.AuthToken),
		BaseURL:  "http://" + upstream.String(),
	})
	if err != nil {
		return nil, err
	}
	cfg, err := c.config(settings.Base{Accounts: accounts}, c.AuditLog, log)
	if err != nil {
		return nil, err
	}
	return server.New(cfg)
}

// runBoth ends the embedded Twilio only after the service in front of it, whose
// last calls it still has to answer.
func runBoth(ctx context.Context, s *server.Server, fake *sandbox.Sandbox, listener net.Listener) error {
	upstream := &http.Server{Handler: fake, ReadHeaderTimeout: 5 * time.Second}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := upstream.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("embedded Twilio: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		err := serve(ctx, s)
		fake.Close()
		return errors.Join(err, upstream.Close())
	})
	return group.Wait()
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
