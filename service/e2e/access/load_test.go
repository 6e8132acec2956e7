package access_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conferenced/service/sandbox"
)

// callEvery is the interval between the calls of each worker.
const callEvery = 20 * time.Millisecond

// identity is the client and the Authorization header that a worker uses.
type identity struct {
	*client
	authorization []string
}

// worker makes calls until the load ends.
type worker struct {
	name        string
	via         protocol
	participant string // Its own participant, so that its updates are not superseded.
	creds       atomic.Pointer[identity]
	calls       atomic.Int64
}

// load is workers that make calls while files are replaced.
type load struct {
	workers []*worker
	stop    context.CancelFunc
	group   sync.WaitGroup

	mu       sync.Mutex
	failures []string
}

var participants = []string{sandbox.AgentSID, sandbox.CustomerSID, sandbox.SupervisorSID, sandbox.FrontDeskSID}

// newLoad starts a worker for each protocol and identity. They run until finish.
func newLoad(kinds map[string]*identity) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{stop: stop}
	for kind, creds := range kinds {
		for _, via := range protocols {
			w := &worker{name: kind, via: via, participant: participants[len(l.workers)]}
			w.creds.Store(creds)
			l.workers = append(l.workers, w)
			l.group.Go(func() { l.work(ctx, w) })
		}
	}
	return l
}

func (l *load) work(ctx context.Context, w *worker) {
	ticker := time.NewTicker(callEvery)
	defer ticker.Stop()
	message := muting("")
	message.CallSid = w.participant
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		creds := w.creds.Load()
		if got := w.via.call(context.Background(), creds.client, creds.authorization, message); !got.ok() {
			l.fail(fmt.Sprintf("%s over %s: call %d: %v", w.name, w.via.name, w.calls.Load(), got))
		}
		w.calls.Add(1)
	}
}

func (l *load) fail(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, text)
}

// use changes the identity of the workers of a kind. When it returns, no call with the
// previous identity is in flight.
func (l *load) use(t *testing.T, kind string, creds *identity) {
	t.Helper()
	for _, w := range l.workers {
		if w.name == kind {
			w.creds.Store(creds)
		}
	}
	l.awaitCalls(t)
}

// awaitCalls waits until all calls in flight have ended, and further ones have been
// made.
func (l *load) awaitCalls(t *testing.T) {
	t.Helper()
	const further = 2 // The one in flight, and one more.
	for _, w := range l.workers {
		before := w.calls.Load()
		eventually(t, "the workers make calls", func() bool { return w.calls.Load() >= before+further })
	}
	l.check(t)
}

// check reports the calls that failed since the last check.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, failure := range l.failures {
		t.Error(failure)
	}
	l.failures = nil
}

// finish stops the workers. It fails the test if any call failed.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop()
	l.group.Wait()
	l.check(t)
}
