package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	transport "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	conferencev1 "conferenced/gen/conference/v1"
)

type healthcheckCommand struct {
	GRPCAddr string        `name:"grpc-addr" env:"CONFERENCED_GRPC_ADDR" default:"127.0.0.1:50051" placeholder:"HOST:PORT" help:"Where to ask, by grpc.health.v1 (${default})."`
	TLSCert  string        `name:"tls-cert" env:"CONFERENCED_TLS_CERT" placeholder:"FILE" help:"As for serve: if it is set, it is asked over TLS. Any certificate will do, since it is told nothing."`
	Timeout  time.Duration `env:"CONFERENCED_HEALTHCHECK_TIMEOUT" default:"3s" help:"How long to wait for the answer (${default})."`
}

// Validate is called by kong.
func (c *healthcheckCommand) Validate() error {
	if c.Timeout <= 0 {
		return errors.New("--timeout: must be more than 0")
	}
	return nil
}

// Run returns nil if ConferenceService is serving.
func (c *healthcheckCommand) Run(ctx context.Context, out output) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+c.GRPCAddr,
		grpc.WithTransportCredentials(c.security()))
	if err != nil {
		return usageError{fmt.Errorf("--grpc-addr %s: %w", c.GRPCAddr, err)}
	}
	defer conn.Close()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: conferencev1.ConferenceService_ServiceDesc.ServiceName})
	if err != nil {
		return fmt.Errorf("%s: %s", c.GRPCAddr, status.Convert(err).Message())
	}
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("%s: %s", c.GRPCAddr, answer.GetStatus())
	}
	_, err = fmt.Fprintln(out.stdout, answer.GetStatus())
	return err
}

// security is that of the connection. A certificate that has expired, or that
// does not name the address, is no reason to take the service for dead.
func (c *healthcheckCommand) security() transport.TransportCredentials {
	if c.TLSCert == "" {
		return insecure.NewCredentials()
	}
	return transport.NewTLS(&tls.Config{
		InsecureSkipVerify: true, // #nosec G402 -- the answer is yes or no, and nothing is sent
	})
}
