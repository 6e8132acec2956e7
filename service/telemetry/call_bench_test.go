package telemetry

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
)

// benchmarked is a call that went well, through the access log and the audit,
// each with a file.
func benchmarked(b *testing.B) func(context.Context) {
	b.Helper()
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = log.Close() })
	logger, err := NewLogger(log, "info", "text")
	if err != nil {
		b.Fatal(err)
	}
	ControlOf(logger).SetDelay(100 * time.Millisecond)
	b.Cleanup(ControlOf(logger).Flush)
	sink, err := OpenAudit(filepath.Join(b.TempDir(), "audit"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sink.Close() })
	where := Where{Protocol: protocolGRPC, Client: func(context.Context) string { return "192.0.2.1" }}
	outer, inner := AccessLog(logger, protocolGRPC), Audit(sink, false, logger, where)
	info := &grpc.UnaryServerInfo{FullMethod: method}
	request := &conferencev1.UpdateParticipantRequest{
		AccountSid: account, ConferenceSid: conference, CallSid: call, Muted: proto.Bool(true),
	}
	response := &conferencev1.UpdateParticipantResponse{Participant: &conferencev1.Participant{CallSid: proto.String(call)}}
	handler := answering(response, nil)
	next := func(ctx context.Context, request any) (any, error) { return inner(ctx, request, info, handler) }
	return func(ctx context.Context) { _, _ = outer(ctx, request, info, next) }
}

// BenchmarkCall is what the access log and the audit cost a call.
func BenchmarkCall(b *testing.B) {
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs(
		":authority", "localhost", "content-type", "application/grpc", "user-agent", "grpc-go"))
	b.Run("alone", func(b *testing.B) {
		one := benchmarked(b)
		b.ReportAllocs()
		for b.Loop() {
			one(ctx)
		}
	})
	b.Run("among others", func(b *testing.B) {
		one := benchmarked(b)
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				one(ctx)
			}
		})
	})
}
