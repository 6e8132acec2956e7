package callers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
)

// echo is a service that records the caller of the last call.
type echo struct {
	conferencev1.UnimplementedConferenceServiceServer
	set    *Set
	caller Caller
	call   call.Call
	failed error
	basic  bool // The calls come in on Twilio's path.
}

func (e *echo) UpdateParticipant(
	ctx context.Context, _ *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	e.caller = FromContext(ctx)
	return new(conferencev1.UpdateParticipantResponse), nil
}

// admit is an interceptor that keeps the record of each call.
func (e *echo) admit(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	protocol := call.GRPC
	if e.basic {
		protocol = call.Twilio
	}
	ctx, c := call.New(ctx, protocol)
	c.Method = info.FullMethod
	ctx, err := Admit(ctx, e.set)
	e.call, e.failed = *c, err
	if err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

// serve returns the service and its address. Its TLS listener requests client
// certificates and does not verify them.
func serve(t *testing.T, set *Set, server tls.Certificate) (*echo, string) {
	t.Helper()
	service := &echo{set: set}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{server}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
		})),
		grpc.UnaryInterceptor(service.admit),
	)
	conferencev1.RegisterConferenceServiceServer(s, service)
	healthv1.RegisterHealthServer(s, health.NewServer())
	ended := make(chan error)
	go func() { ended <- s.Serve(listener) }()
	t.Cleanup(func() {
		s.Stop()
		<-ended
	})
	return service, listener.Addr().String()
}

func dial(t *testing.T, address string, ours authority, client ...tls.Certificate) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: pool(ours), Certificates: client, Time: newClock().now, MinVersion: tls.VersionTLS12,
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestAdmit(t *testing.T) {
	ours, other := newAuthority(t, "ours"), newAuthority(t, "stranger")
	issuer := newLocalIssuer(t, keyES.public())
	clock := newClock()
	set := &Set{
		Now: clock.now, JWT: issuer.verifier(t, clock), ClientCAs: pool(ours),
		Tokens: mustParseTokens(t, tokensFile("ui=s3cr3t")),
	}
	service, address := serve(t, set, *ours.client(t, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}, withUsage(x509.ExtKeyUsageServerAuth)))
	jwt := issuer.token(t, keyES, nil)
	const unknown = "UNAUTHENTICATED"
	for _, test := range []struct {
		name          string
		certificate   []tls.Certificate
		authorization string
		want          string // The caller's key.
		cause         error
	}{
		{name: "a token", authorization: "Bearer s3cr3t", want: "token:ui"},
		{name: "a JWT", authorization: "Bearer " + jwt, want: "jwt:svc-ui"},
		{
			name: "a certificate", want: "mtls:desk.example.org",
			certificate: []tls.Certificate{*ours.client(t, withDNS("desk.example.org"))},
		},
		{
			name: "a token beside a certificate", authorization: "Bearer s3cr3t", want: "token:ui",
			certificate: []tls.Certificate{*ours.client(t, withDNS("desk.example.org"))},
		},
		{name: "nothing", want: unknown, cause: errNothing},
		{name: "an unknown token", authorization: "Bearer nobody", want: unknown, cause: errNotOurs},
		{
			name: "an unknown token beside a certificate", authorization: "Bearer nobody", want: unknown, cause: errNotOurs,
			certificate: []tls.Certificate{*ours.client(t, withDNS("desk.example.org"))},
		},
		{
			name: "a certificate of another CA", want: unknown, cause: errCertificateUntrusted,
			certificate: []tls.Certificate{*other.client(t, withDNS("desk.example.org"))},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			service.caller, service.call = Caller{}, call.Call{}
			conn := dial(t, address, ours, test.certificate...)
			ctx := t.Context()
			if test.authorization != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", test.authorization)
			}
			_, err := conferencev1.NewConferenceServiceClient(conn).UpdateParticipant(ctx, new(conferencev1.UpdateParticipantRequest))
			if test.want == unknown {
				want := outcometest.Status(outcome.CallerUnknown, outcome.Facts{})
				if diff := cmp.Diff(want.Proto(), status.Convert(err).Proto(), protocmp.Transform()); diff != "" {
					t.Error("status (-want +got):\n", diff)
				}
			} else if got := service.caller.Key(); err != nil || got != test.want {
				t.Errorf("got caller %s and error %v, want %s", got, err, test.want)
			}
			if !errors.Is(service.failed, test.cause) {
				t.Errorf("got cause %v, want %v", service.failed, test.cause)
			}
			if test.want != unknown && service.call.KnownBy+":"+service.call.Caller != test.want {
				t.Errorf("the log has %q by %q, want %s", service.call.Caller, service.call.KnownBy, test.want)
			}
		})
	}
	t.Run("basic authentication, where it is accepted", func(t *testing.T) {
		for _, taken := range []bool{false, true} {
			service.basic, service.call = taken, call.Call{}
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", basic("ui", "s3cr3t"))
			_, err := conferencev1.NewConferenceServiceClient(dial(t, address, ours)).
				UpdateParticipant(ctx, new(conferencev1.UpdateParticipantRequest))
			if got := status.Code(err) == codes.OK; got != taken {
				t.Errorf("taken %v: got %v", taken, err)
			}
			if got := service.call.KnownBy == "token" && service.call.Caller == "ui"; got != taken {
				t.Errorf("taken %v: the log has %q by %q", taken, service.call.Caller, service.call.KnownBy)
			}
		}
		service.basic = false
	})
	t.Run("health needs no authentication", func(t *testing.T) {
		_, err := healthv1.NewHealthClient(dial(t, address, ours)).Check(t.Context(), new(healthv1.HealthCheckRequest))
		if status.Code(err) != codes.OK {
			t.Error(err)
		}
	})
}

// TestIdentifiedOnce has Admit use the result of Identify: it has no set.
func TestIdentifiedOnce(t *testing.T) {
	ctx, c := call.New(t.Context(), call.REST)
	c.Method = conferencev1.ConferenceService_UpdateParticipant_FullMethodName
	refused, want := Identify(withAuthorization(ctx, "Bearer unknown"), new(Set))
	if _, err := Admit(refused, nil); !errors.Is(err, want) || !outcome.Is(err, outcome.CallerUnknown) {
		t.Errorf("got error %v, want %v", err, want)
	}
	known, err := Identify(ctx, new(Set))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Admit(known, nil); got != known || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}
