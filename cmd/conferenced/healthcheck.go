package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	conferencev1 "conferenced/gen/conference/v1"
)

type healthcheckCommand struct {
	GRPCAddr string        `name:"grpc-addr" env:"CONFERENCED_GRPC_ADDR" default:"127.0.0.1:50051" placeholder:"HOST:PORT" help:"Where to ask, by grpc.health.v1 (${default})."`
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
		grpc.WithTransportCredentials(insecure.NewCredentials()))
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
