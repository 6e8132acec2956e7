package rolling_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conferenced/service/leaktest"
	"conferenced/service/logtest"
	"conferenced/service/sandbox"
)

var (
	callsFlag  = flag.Int64("calls", 600, "the least number of calls")
	roundsFlag = flag.Int("rounds", 2, "how often every replica is replaced")
)

// clientCount is the number of concurrent clients.
const clientCount = 24

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// TestRollingRestart replaces every replica, one after the other, under constant
// load.
func TestRollingRestart(t *testing.T) {
	box := newTwilio(t, clientCount)
	fleet, log := new(registry), new(logtest.Buffer)
	for range replicaCount {
		fleet.add(startReplica(t, box, modes[0], log))
	}
	l := startLoad(t, fleet, box)
	began := time.Now()
	restarts := roll(t, fleet, box, log, l)
	calls := l.stop()
	took := time.Since(began)

	for range replicaCount {
		last := fleet.oldest()
		last.stop()
		fleet.remove(last)
		last.wait(t)
	}
	if failed := l.failures(); len(failed) > 0 {
		t.Errorf("%d of %d calls failed, the first with %v", len(failed), calls, failed[0])
	}
	if problems := examine(box.Journal(), calls); len(problems) > 0 {
		t.Errorf("%d problems, the first: %s", len(problems), problems[0])
	}
	if text := log.String(); strings.Contains(text, "cut off") {
		t.Errorf("calls were cut off:\n%s", text)
	}
	t.Logf("%d calls, %d restarts, in %v (%.0f calls/s)\n%s",
		calls, restarts, took.Round(time.Millisecond), float64(calls)/took.Seconds(), &l.counts)
}

// roll replaces the replicas while calls are made, each once a round. As in a rollout
// of Kubernetes, a new replica is registered before an old one is told to end, and the
// old one's address is withdrawn after that.
func roll(t *testing.T, fleet *registry, box *twilioBox, log *logtest.Buffer, l *load) (restarts int) {
	t.Helper()
	total := int64(*roundsFlag * replicaCount)
	for round := range *roundsFlag {
		for range replicaCount {
			l.await(t, int64(restarts+1)**callsFlag/(total+1))
			old := fleet.oldest()
			fleet.add(startReplica(t, box, modes[(round+1)%len(modes)], log))
			old.stop()
			fleet.remove(old)
			old.wait(t)
			restarts++
		}
	}
	l.await(t, *callsFlag)
	return restarts
}

// load is clients that make one call after the other.
type load struct {
	counts  counters
	made    atomic.Int64 // Calls that have ended.
	begun   atomic.Int64
	halt    chan struct{}
	clients sync.WaitGroup

	mu     sync.Mutex
	failed []error
}

func startLoad(t *testing.T, fleet *registry, box *twilioBox) *load {
	t.Helper()
	l := &load{halt: make(chan struct{})}
	clients := []loadClient{
		newGRPCClient(t, fleet, serviceConfig(t), &l.counts),
		newRESTClient(t, fleet, &l.counts),
		newGRPCClient(t, fleet, withoutHealth, &l.counts),
		newRESTClient(t, fleet, &l.counts),
	}
	for i, callSID := range box.callSIDs {
		call := clients[i%len(clients)]
		l.clients.Go(func() { l.run(call, callSID) })
	}
	return l
}

// run makes calls until the load is stopped.
func (l *load) run(call loadClient, callSID string) {
	for {
		select {
		case <-l.halt:
			return
		default:
		}
		l.runOnce(call, callSID)
	}
}

func (l *load) runOnce(call loadClient, callSID string) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	n := l.begun.Add(1)
	if err := call(ctx, callSID, n); err != nil {
		l.mu.Lock()
		l.failed = append(l.failed, fmt.Errorf("call %d: %w", n, err))
		l.mu.Unlock()
	}
	l.made.Add(1)
}

// await waits until that many calls have ended.
func (l *load) await(t *testing.T, calls int64) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for l.made.Load() < calls {
		select {
		case <-ticker.C:
		case <-t.Context().Done():
			t.Fatal("the test ended during the load")
		}
	}
}

// stop lets the calls in flight end and returns how many calls were made.
func (l *load) stop() int64 {
	close(l.halt)
	l.clients.Wait()
	return l.begun.Load()
}

func (l *load) failures() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// examine compares the journal with the calls 1 to n, each of which must have been
// applied once.
func examine(journal []sandbox.Entry, n int64) (problems []string) {
	applied := map[string]int{}
	for _, entry := range journal {
		applied[entry.Form.Get("AnnounceUrl")]++
	}
	for i := int64(1); i <= n; i++ {
		if got := applied[announceURL(i)]; got != 1 {
			problems = append(problems, fmt.Sprintf("the announcement %d was made %d times", i, got))
		}
	}
	if int64(len(journal)) != n {
		problems = append(problems, fmt.Sprintf("%d announcements, want %d", len(journal), n))
	}
	return problems
}

func (c *counters) String() string {
	return fmt.Sprintf("gRPC: %d calls, %d attempts\n"+
		"REST: %d calls; repeated: %d requests answered 503, %d refused connections, %d requests without an answer",
		c.calls.Load(), c.attempts.Load(),
		c.restCalls.Load(), c.unavailable.Load(), c.refused.Load(), c.unanswered.Load())
}

// TestExamine tests that examine finds each kind of problem.
func TestExamine(t *testing.T) {
	entry := func(n int64) sandbox.Entry {
		return sandbox.Entry{Form: map[string][]string{"AnnounceUrl": {announceURL(n)}}}
	}
	tests := []struct {
		name    string
		journal []sandbox.Entry
		want    string
	}{
		{"each once", []sandbox.Entry{entry(2), entry(1)}, ""},
		{"one lost", []sandbox.Entry{entry(2)}, "the announcement 1 was made 0 times; 1 announcements, want 2"},
		{"one twice", []sandbox.Entry{entry(1), entry(2), entry(1)}, "the announcement 1 was made 2 times; 3 announcements, want 2"},
		{"one of no call", []sandbox.Entry{entry(1), entry(2), entry(3)}, "3 announcements, want 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(examine(test.journal, 2), "; "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
