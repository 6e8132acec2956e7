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

// callEvery is how often each caller of a load calls.
const callEvery = 20 * time.Millisecond

// presented is what a caller of a load shows, and over which connections.
type presented struct {
	*client
	authorization []string
}

// worker is a caller who calls all the time.
type worker struct {
	name  string
	by    way
	whom  string // Their own participant, so that nobody takes their place.
	shows atomic.Pointer[presented]
	calls atomic.Int64
}

// load is callers who call all the time while things change.
type load struct {
	workers []*worker
	stop    context.CancelFunc
	group   sync.WaitGroup

	mu       sync.Mutex
	failures []string
}

var participants = []string{sandbox.AgentSID, sandbox.CustomerSID, sandbox.SupervisorSID, sandbox.FrontDeskSID}

// newLoad starts a caller for each way and each of the things to show. It goes
// on until it is finished.
func newLoad(kinds map[string]*presented) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{stop: stop}
	for kind, shows := range kinds {
		for _, by := range bothWays {
			w := &worker{name: kind, by: by, whom: participants[len(l.workers)]}
			w.shows.Store(shows)
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
	message.CallSid = w.whom
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		shows := w.shows.Load()
		if got := w.by.call(context.Background(), shows.client, shows.authorization, message); !got.ok() {
			l.fail(fmt.Sprintf("%s over %s: call %d: %v", w.name, w.by.name, w.calls.Load(), got))
		}
		w.calls.Add(1)
	}
}

func (l *load) fail(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, text)
}

// show has the callers of a kind show something else from now on. When it
// returns, no call is under way that shows what they showed before.
func (l *load) show(t *testing.T, kind string, shows *presented) {
	t.Helper()
	for _, w := range l.workers {
		if w.name == kind {
			w.shows.Store(shows)
		}
	}
	l.goesOn(t)
}

// goesOn waits until all calls that were under way have ended, and others have
// been made.
func (l *load) goesOn(t *testing.T) {
	t.Helper()
	const further = 2 // The one that was under way, and one more.
	for _, w := range l.workers {
		before := w.calls.Load()
		eventually(t, "the load goes on", func() bool { return w.calls.Load() >= before+further })
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

// finish ends the load. It fails the test if any call failed.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop()
	l.group.Wait()
	l.check(t)
}
