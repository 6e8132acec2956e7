package telemetry

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"

	"conferenced/service/delivery"
)

var discarding = slog.New(slog.DiscardHandler)

// BenchmarkMetrics is what metrics cost a call with one attempt.
func BenchmarkMetrics(b *testing.B) {
	m := NewMetrics("")
	step, observer := m.Interceptor(protocolGRPC), m.Observer(nil)
	info := &grpc.UnaryServerInfo{FullMethod: "/conference.v1.ConferenceService/UpdateParticipant"}
	attempt := delivery.Attempt{Took: time.Millisecond, Result: delivery.Succeeded, Connected: true, Reused: true}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = step(ctx, nil, info, func(ctx context.Context, _ any) (any, error) {
			observer.Waited(ctx, delivery.QueueParticipant, 0)
			observer.Waited(ctx, delivery.QueueLimit, 0)
			observer.Attempted(observer.Attempting(ctx, 1), attempt)
			return nil, nil
		})
	}
}

// BenchmarkSharedState is what metrics cost one request to Redis.
func BenchmarkSharedState(b *testing.B) {
	observer := NewMetrics("").SharedState(func() bool { return true })
	b.ReportAllocs()
	for b.Loop() {
		observer.Requested(delivery.StoreQueue, delivery.StoreAnswered, time.Millisecond)
	}
}
