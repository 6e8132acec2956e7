package server

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"conferenced/service/sandbox"
)

func BenchmarkChain(b *testing.B) {
	step := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(ctx, request)
	}
	var steps []interceptor
	for range 11 {
		steps = append(steps, interceptor{"step", step})
	}
	way, message, info := chain(steps), muting(sandbox.AgentSID), new(grpc.UnaryServerInfo)
	handler := func(context.Context, any) (any, error) { return nil, nil }
	b.ReportAllocs()
	for b.Loop() {
		_, _ = way(b.Context(), message, info, handler)
	}
}
