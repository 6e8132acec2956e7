package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/invalid"
)

type healthcheckCommand struct {
	GRPCAddr string        `name:"grpc-addr" env:"CONFERENCED_GRPC_ADDR" default:"127.0.0.1:50051" help:"The gRPC address to check, without a proxy."`
	TLSCert  string        `name:"tls-cert" env:"CONFERENCED_TLS_CERT" placeholder:"FILE" help:"As for serve: if it is set, the check uses TLS. The server's certificate is not verified, since nothing is sent to it."`
	Timeout  time.Duration `env:"CONFERENCED_HEALTHCHECK_TIMEOUT" default:"3s" help:"The timeout of the check."`
}

// Run returns nil if ConferenceService is serving.
func (c *healthcheckCommand) Run(ctx context.Context, out output) error {
	if err := mustBePositive("--timeout", c.Timeout); err != nil {
		return usageError{err}
	}
	if _, _, err := net.SplitHostPort(c.GRPCAddr); err != nil {
		return usageError{invalid.Field("--grpc-addr", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+c.GRPCAddr,
		grpc.WithTransportCredentials(c.credentials()), grpc.WithNoProxy())
	if err != nil {
		return usageError{invalid.Field("--grpc-addr", err)}
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

// credentials returns the credentials of the connection. They do not verify the server: an
// expired certificate does not mean that the service is down.
func (c *healthcheckCommand) credentials() credentials.TransportCredentials {
	if c.TLSCert == "" {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(&tls.Config{
		InsecureSkipVerify: true, // #nosec G402 -- nothing secret is sent
	})
}
