package server

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"

	"conferenced/service/gateway"
	"conferenced/service/outcome"
	"conferenced/service/telemetry"
)

const (
	// maxArriving limits the memory of gRPC calls whose message has not arrived
	// completely, also on authenticated connections, which a proxy may share among its
	// clients. It is the maximum number of bytes, over all connections, that a connection
	// has received since the oldest of these calls began. Messages that have arrived and
	// wait for a CPU count too, so the maximum must be far above their size.
	maxArriving = 64 << 20
	// checkInterval is the time between checks of the limits of these calls.
	checkInterval = 100 * time.Millisecond
	// arrivalTimeout is how long a message may take to arrive.
	arrivalTimeout = 10 * time.Second
	// maxMessageBytes is the maximum size of a message that gRPC reads. A message of
	// more than maxRequestBytes is refused after it is read, because gRPC's own error
	// has no google.rpc.ErrorInfo and skips the interceptors.
	maxMessageBytes = 1 << 20
	// maxOpenStreams is the maximum number of streaming calls, which are health
	// watches and reflection, over all connections.
	maxOpenStreams = 1024
	// streamLoad is the load of a streaming call, besides that of a request.
	streamLoad = 24 << 10
)

var (
	errManyStreams = outcome.Overloaded.Err(outcome.Facts{Detail: "too many streaming calls are open"})
	errMetadata    = outcome.RequestTooLarge.Err(outcome.Facts{Detail: "its metadata is larger than 16 KiB"})
)

// arrivals limits the time and the memory of gRPC calls until their message has arrived.
type arrivals struct {
	metrics  *telemetry.Metrics
	limit    int64
	timeout  time.Duration
	interval time.Duration
	streams  atomic.Int64

	mu       sync.Mutex
	awaited  list.List // of *arrival, the oldest first
	checking bool      // check runs soon
}

func newArrivals(metrics *telemetry.Metrics) *arrivals {
	return &arrivals{metrics: metrics, limit: maxArriving, timeout: arrivalTimeout, interval: checkInterval}
}

// arrival is the context of a gRPC call. If a limit ends it, the error is that of a
// deadline, and gRPC answers DEADLINE_EXCEEDED.
type arrival struct {
	context.Context
	cancel   context.CancelFunc
	ended    atomic.Bool // by a limit
	conn     *conn       // nil if the listener is not a *connections
	metadata int         // its size

	since  time.Time // when the message was first awaited
	before int64     // what the connection had received when the call began
}

type arrivalKey struct{}

// Err implements context.Context.
func (r *arrival) Err() error {
	err := r.Context.Err()
	if err != nil && r.ended.Load() {
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

func arrivalOf(ctx context.Context) *arrival {
	r, _ := ctx.Value(arrivalKey{}).(*arrival)
	return r
}

// begin is the server's tap handle. Only the context that it returns can end a call
// whose message does not arrive.
func (a *arrivals) begin(ctx context.Context, info *tap.Info) (context.Context, error) {
	r := &arrival{conn: connOf(ctx), metadata: gateway.HeaderSize(info.Header)}
	r.Context, r.cancel = context.WithCancel(ctx)
	if r.conn == nil {
		return r, nil
	}
	r.before = r.conn.received.Load()
	if !r.conn.authenticated.Load() {
		context.AfterFunc(r.Context, r.conn.begin(r.metadata))
	}
	return r, nil
}

// receive reads a call's message with read, which fails if a limit ends the call first.
func (a *arrivals) receive(ctx context.Context, read func() error) error {
	element := a.add(arrivalOf(ctx))
	err := read()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.awaited.Remove(element)
	return err
}

func (a *arrivals) add(r *arrival) *list.Element {
	r.since = time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.checking {
		a.checking = true
		time.AfterFunc(a.interval, a.check)
	}
	return a.awaited.PushBack(r)
}

// check ends the calls whose message has not arrived in time. If the connections have
// received too much, it also ends all but the newest calls of the connection that has
// received the most. It runs every interval while a message is awaited.
func (a *arrivals) check() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.checking = a.awaited.Len() > 0; a.checking {
		time.AfterFunc(a.interval, a.check)
	}
	a.endAll("timeout", func(r *arrival) bool { return time.Since(r.since) >= a.timeout })
	if most := a.overloading(); most != nil {
		a.endAll("displaced", func(r *arrival) bool { return r.conn == most && time.Since(r.since) >= a.interval })
	}
}

// overloading returns the connection that has received the most, or nil if the sum over
// all connections is within the limit.
func (a *arrivals) overloading() (most *conn) {
	held, total := map[*conn]int64{}, int64(0)
	for element := a.awaited.Front(); element != nil; element = element.Next() {
		r := element.Value.(*arrival)
		if r.conn == nil {
			continue
		}
		if more := r.conn.received.Load() - r.before - held[r.conn]; more > 0 {
			held[r.conn] += more
			total += more
		}
		if most == nil || held[r.conn] > held[most] {
			most = r.conn
		}
	}
	if total <= a.limit {
		return nil
	}
	return most
}

// endAll ends the awaited calls for which chosen returns true.
func (a *arrivals) endAll(reason string, chosen func(*arrival) bool) {
	for element := a.awaited.Front(); element != nil; {
		r, next := element.Value.(*arrival), element.Next()
		if chosen(r) {
			a.awaited.Remove(element)
			a.metrics.StreamRefused(reason)
			r.ended.Store(true)
			r.cancel()
		}
		element = next
	}
}

// limitStreams is the interceptor of streaming calls. Until they end they count as
// requests in progress of their connection.
func (a *arrivals) limitStreams(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	r := arrivalOf(stream.Context())
	if r.conn != nil {
		defer r.conn.begin(streamLoad)()
	}
	defer a.streams.Add(-1)
	if a.streams.Add(1) > maxOpenStreams {
		a.metrics.StreamRefused("streams")
		return errManyStreams
	}
	if err := limitMetadata(stream.Context()); err != nil {
		return err
	}
	return handler(srv, &arrivingStream{ServerStream: stream, arrivals: a})
}

// arrivingStream is a streaming call whose first message must arrive in time.
type arrivingStream struct {
	grpc.ServerStream
	arrivals *arrivals
	begun    bool
}

// RecvMsg implements grpc.ServerStream.
func (s *arrivingStream) RecvMsg(message any) error {
	if s.begun {
		return s.ServerStream.RecvMsg(message)
	}
	s.begun = true
	return s.arrivals.receive(s.Context(), func() error { return s.ServerStream.RecvMsg(message) })
}

// limitMetadata returns an error for a gRPC call with too much metadata. HTTP calls are
// limited by the gateway.
func limitMetadata(ctx context.Context) error {
	if r := arrivalOf(ctx); r != nil && r.metadata > gateway.MaxHeaderBytes {
		return errMetadata
	}
	return nil
}
