package server

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	"conferenced/service/outcome"
	"conferenced/service/telemetry"
)

const (
	// maxArriving is the maximum number of gRPC requests that have begun and have not
	// arrived in full, over all connections. Each takes up to 100 KiB.
	maxArriving = 1024
	// arrivalTimeout is how long a gRPC request may take to arrive.
	arrivalTimeout = 10 * time.Second
	// maxOpenStreams is the maximum number of streaming calls, which are health
	// watches and reflection, over all connections.
	maxOpenStreams = 1024
	// streamLoad is the load of a streaming call, besides that of a request.
	streamLoad = 24 << 10
	// maxMetadataBytes is the maximum size of a call's metadata, as HTTP/2 counts it.
	// The transport accepts more, since it could only close the connection.
	maxMetadataBytes = 16 << 10
	// fieldOverhead is what HTTP/2 adds to the size of each header field.
	fieldOverhead = 32
)

var (
	errManyStreams = outcome.Overloaded.Err(outcome.Facts{Detail: "too many streaming calls are open"})
	errMetadata    = outcome.RequestTooLarge.Err(outcome.Facts{Detail: "its metadata is larger than 16 KiB"})
)

// arrivals are the gRPC requests that are arriving. If there are too many, the oldest
// ends, and first those of connections without an authenticated call: the requests of
// a client that works arrive at once.
type arrivals struct {
	metrics *telemetry.Metrics
	limit   int
	timeout time.Duration
	streams atomic.Int64

	mu sync.Mutex
	// Lists of *arrival, the oldest first, by whether the connection has brought an
	// authenticated call.
	authenticated, unauthenticated list.List
}

func newArrivals(metrics *telemetry.Metrics) *arrivals {
	return &arrivals{metrics: metrics, limit: maxArriving, timeout: arrivalTimeout}
}

// arrival is the context of a request that is arriving. If a limit ends it, the error
// is that of a deadline, and gRPC answers DEADLINE_EXCEEDED.
type arrival struct {
	context.Context
	cancel context.CancelFunc
	late   atomic.Bool

	conn     *conn
	metadata int // its size
	timer    *time.Timer
	// detach stops the release that the end of the stream causes.
	detach     func() bool
	endRequest func()
	list       *list.List
	element    *list.Element
}

type arrivalKey struct{}

// Err implements context.Context.
func (r *arrival) Err() error {
	err := r.Context.Err()
	if err != nil && r.late.Load() {
		return context.DeadlineExceeded
	}
	return err
}

// Value implements context.Context.
func (r *arrival) Value(key any) any {
	if key == (arrivalKey{}) {
		return r
	}
	return r.Context.Value(key)
}

func (a *arrivals) end(r *arrival, reason string) {
	a.metrics.StreamRefused(reason)
	r.late.Store(true)
	r.cancel()
}

// begin is the server's tap handle. The context that it returns ends early if the
// request does not arrive.
func (a *arrivals) begin(ctx context.Context, info *tap.Info) (context.Context, error) {
	r := &arrival{
		conn: connOf(ctx), metadata: metadataSize(info.Header), endRequest: func() {}, list: &a.authenticated,
	}
	if r.conn != nil && !r.conn.authenticated.Load() {
		r.endRequest = r.conn.begin(r.metadata)
		r.list = &a.unauthenticated
	}
	r.Context, r.cancel = context.WithCancel(ctx)
	r.timer = time.AfterFunc(a.timeout, func() { a.end(r, "timeout") })
	a.add(r)
	r.detach = context.AfterFunc(r.Context, func() {
		a.remove(r)
		r.endRequest()
	})
	return r, nil
}

func (a *arrivals) add(r *arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.element = r.list.PushBack(r)
	if a.authenticated.Len()+a.unauthenticated.Len() <= a.limit {
		return
	}
	oldest := a.unauthenticated.Front()
	if oldest == nil {
		oldest = a.authenticated.Front()
	}
	displaced := oldest.Value.(*arrival)
	displaced.list.Remove(oldest)
	a.end(displaced, "displaced")
}

func (a *arrivals) remove(r *arrival) {
	r.timer.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	r.list.Remove(r.element)
}

func arrivalOf(ctx context.Context) *arrival {
	r, _ := ctx.Value(arrivalKey{}).(*arrival)
	return r
}

// arrived is the first interceptor of unary calls over gRPC.
func (a *arrivals) arrived(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	r := arrivalOf(ctx)
	a.remove(r)
	r.detach()
	r.endRequest()
	return handler(ctx, request)
}

// limitStreams is the interceptor of streaming calls. Until they end they count as
// requests in progress of their connection.
func (a *arrivals) limitStreams(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	r := arrivalOf(stream.Context())
	a.remove(r)
	if r.conn != nil {
		defer r.conn.begin(streamLoad)()
	}
	defer a.streams.Add(-1)
	if a.streams.Add(1) > maxOpenStreams {
		a.metrics.StreamRefused("streams")
		return errManyStreams
	}
	if r.metadata > maxMetadataBytes {
		return errMetadata
	}
	return handler(srv, stream)
}

// limitMetadata refuses a call over gRPC with too much metadata. The gateway refuses
// one over HTTP.
func limitMetadata(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if r := arrivalOf(ctx); r != nil && r.metadata > maxMetadataBytes {
		return nil, errMetadata
	}
	return handler(ctx, request)
}

func metadataSize(md metadata.MD) int {
	size := 0
	for name, values := range md {
		for _, value := range values {
			size += len(name) + len(value) + fieldOverhead
		}
	}
	return size
}
