package server

import (
	"context"
	"sync"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"conferenced/service/outcome"
)

// healthService is grpc.health.v1 with watches that end in a shutdown. GracefulStop
// would wait for a watch that its client leaves open.
type healthService struct {
	*health.Server
	ending context.Context // done when the watches end
}

// Watch sends each change of the status. In a shutdown it ends with SHUTTING_DOWN after
// it has sent NOT_SERVING.
func (h healthService) Watch(
	request *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer,
) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	w := &healthWatch{Health_WatchServer: stream, ctx: ctx, notServing: make(chan struct{})}
	stop := context.AfterFunc(h.ending, func() {
		select {
		case <-w.notServing:
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

// healthWatch records that a status other than SERVING was sent.
type healthWatch struct {
	grpc_health_v1.Health_WatchServer
	ctx        context.Context
	notServing chan struct{} // closed when it was sent
	once       sync.Once
}

func (w *healthWatch) Context() context.Context { return w.ctx }

func (w *healthWatch) Send(answer *grpc_health_v1.HealthCheckResponse) error {
	err := w.Health_WatchServer.Send(answer)
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		w.once.Do(func() { close(w.notServing) })
	}
	return err
}
