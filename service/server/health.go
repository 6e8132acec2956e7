package server

import (
	"context"
	"sync"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"conferenced/service/outcome"
)

// healthService is grpc.health.v1 whose watches do not outlive the service: one
// that its client leaves open would keep the server from ending.
type healthService struct {
	*health.Server
	ending context.Context // Done when watches are to end.
}

// Watch tells of each change. When the service ends it ends too, after it has
// told that nothing is served any more.
func (h healthService) Watch(
	request *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer,
) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	w := &healthWatch{Health_WatchServer: stream, ctx: ctx, told: make(chan struct{})}
	stop := context.AfterFunc(h.ending, func() {
		select {
		case <-w.told:
		case <-ctx.Done():
		}
		cancel()
	})
	defer stop()
	err := h.Server.Watch(request, w)
	if h.ending.Err() != nil {
		return outcome.ShuttingDown.Err(outcome.Facts{})
	}
	return err
}

// healthWatch knows whether its client was told of anything but SERVING.
type healthWatch struct {
	grpc_health_v1.Health_WatchServer
	ctx  context.Context
	told chan struct{} // Closed then.
	once sync.Once
}

func (w *healthWatch) Context() context.Context { return w.ctx }

func (w *healthWatch) Send(answer *grpc_health_v1.HealthCheckResponse) error {
	err := w.Health_WatchServer.Send(answer)
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		w.once.Do(func() { close(w.told) })
	}
	return err
}
