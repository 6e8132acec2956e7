package clients_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"conferenced/gen/client"
	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/sandbox"
	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/twilio"
)

// firstCall is the code of README.md.
func firstCall(ctx context.Context, address string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	response, err := conferencev1.NewConferenceServiceClient(conn).UpdateParticipant(ctx,
		&conferencev1.UpdateParticipantRequest{
			ConferenceSid: "CFcf000000000000000000000000000001",
			CallSid:       "CAca000000000000000000000000000002",
			Muted:         proto.Bool(true),
			RequestId:     uuid.NewString(),
		})
	if err == nil && !response.GetParticipant().GetMuted() {
		return fmt.Errorf("the participant is not muted: %v", response)
	}
	return err
}

func TestFirstCall(t *testing.T) {
	if err := firstCall(t.Context(), serve(t, settings.Files{})); err != nil {
		t.Error(err)
	}
}

func TestFirstCallWithToken(t *testing.T) {
	const token = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	address := serve(t, settings.Files{
		Tokens: write(t, fmt.Sprintf("tokens: [{name: ui, sha256: %x}]", sha256.Sum256([]byte(token)))),
		Policy: write(t, `rules: [{callers: [{token: ui}], accounts: ["*"], properties: [muted]}]`),
	})
	ctx := t.Context()
	if err := firstCall(ctx, address); err == nil {
		t.Error("a call without a token succeeds")
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	if err := firstCall(ctx, address); err != nil {
		t.Error(err)
	}
}

// serve runs the service in front of an embedded Twilio until the test ends, and
// returns its gRPC address.
func serve(t *testing.T, files settings.Files) string {
	t.Helper()
	box := sandbox.New(sandbox.Config{})
	upstream := httptest.NewServer(box)
	t.Cleanup(upstream.Close)
	t.Cleanup(box.Close)
	accounts, err := twilio.NewAccounts(sandbox.AccountSID, twilio.Account{
		SID: sandbox.AccountSID, Username: sandbox.AccountSID,
		Password: twilio.NewSecret(sandbox.AuthToken), BaseURL: upstream.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	live, err := settings.NewLive(files, settings.Base{Accounts: accounts}, logger)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{
		GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		Settings: live, Delivery: delivery.Default(), Logger: logger,
		DefaultTimeout: time.Minute, ShutdownTimeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	return s.GRPC.String()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestServiceConfig calls each method of a server that answers UNAVAILABLE: reads are
// repeated, updates are not, and each call has a deadline.
func TestServiceConfig(t *testing.T) {
	config, err := client.Files.ReadFile(client.ServiceConfig)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	attempts := map[string]int{}
	healthy := health.NewServer()
	healthy.SetServingStatus(conferencev1.ConferenceService_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	fake := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		mu.Lock()
		attempts[method]++
		mu.Unlock()
		if deadline, ok := stream.Context().Deadline(); !ok || time.Until(deadline) > 10*time.Second {
			t.Errorf("%s: deadline %v", method, deadline)
		}
		// grpc-go reports io.EOF instead of the status if the last attempt is answered
		// before its message is written.
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "")
	}))
	healthpb.RegisterHealthServer(fake, healthy)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go fake.Serve(listener)
	t.Cleanup(fake.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithDefaultServiceConfig(string(config)),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	methods := conferencev1.File_conference_v1_conference_service_proto.Services().Get(0).Methods()
	for i := range methods.Len() {
		method := methods.Get(i)
		want := 1
		if method.Options().(*descriptorpb.MethodOptions).GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
			want = 4
		}
		name := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
		if err := conn.Invoke(t.Context(), name, new(emptypb.Empty), new(emptypb.Empty)); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		mu.Lock()
		if attempts[name] != want {
			t.Errorf("%s: %d attempts, want %d", name, attempts[name], want)
		}
		mu.Unlock()
	}
}
