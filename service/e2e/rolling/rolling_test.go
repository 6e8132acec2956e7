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

	"go.uber.org/goleak"

	"conferenced/service/sandbox"
)

var (
	callsFlag  = flag.Int64("calls", 600, "how many calls are made at least")
	roundsFlag = flag.Int("rounds", 2, "how often every replica is replaced")
	plainFlag  = flag.Bool("plain", false, "let some gRPC clients have no retry policy; a few of their calls may fail")
)

// callerCount is how many callers there are at a time.
const callerCount = 24

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRollingRestart replaces every replica, one after the other, under constant
// load.
func TestRollingRestart(t *testing.T) {
	box := newTwilio(t, callerCount)
	fleet, log := new(registry), new(logged)
	for range replicaCount {
		fleet.add(startReplica(t, box, manners[0], log))
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
		last.end(t)
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

// roll replaces the replicas, each once a round and while calls are made. As in a
// Kubernetes deployment, a new one is there before an old one is told to end, and
// its address is withdrawn after that.
func roll(t *testing.T, fleet *registry, box *twilioBox, log *logged, l *load) (restarts int) {
	t.Helper()
	total := int64(*roundsFlag * replicaCount)
	for round := range *roundsFlag {
		for range replicaCount {
			l.await(t, int64(restarts+1)**callsFlag/(total+1))
			old := fleet.oldest()
			fleet.add(startReplica(t, box, manners[(round+1)%len(manners)], log))
			old.stop()
			fleet.remove(old)
			old.end(t)
			restarts++
		}
	}
	l.await(t, *callsFlag)
	return restarts
}

// load are callers that make one call after the other.
type load struct {
	counts  retries
	made    atomic.Int64 // Calls that ended.
	begun   atomic.Int64
	halt    chan struct{}
	callers sync.WaitGroup

	mu     sync.Mutex
	failed []error
}

func startLoad(t *testing.T, fleet *registry, box *twilioBox) *load {
	t.Helper()
	l := &load{halt: make(chan struct{})}
	kinds := []caller{
		grpcCaller(t, fleet, serviceConfig, &l.counts),
		restCaller(t, fleet, &l.counts),
		grpcCaller(t, fleet, withoutHealth, &l.counts),
		restCaller(t, fleet, &l.counts),
	}
	if *plainFlag {
		kinds = append(kinds, grpcCaller(t, fleet, withoutRetries, &l.counts))
	}
	for i, callSID := range box.callSIDs {
		call := kinds[i%len(kinds)]
		l.callers.Go(func() { l.callOn(call, callSID) })
	}
	return l
}

func (l *load) callOn(call caller, callSID string) {
	for {
		select {
		case <-l.halt:
			return
		default:
		}
		l.callOnce(call, callSID)
	}
}

func (l *load) callOnce(call caller, callSID string) {
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

// await waits until so many calls were made.
func (l *load) await(t *testing.T, calls int64) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for l.made.Load() < calls {
		select {
		case <-ticker.C:
		case <-t.Context().Done():
			t.Fatal("the load came to an end")
		}
	}
}

// stop lets the callers end and returns how many calls were made.
func (l *load) stop() int64 {
	close(l.halt)
	l.callers.Wait()
	return l.begun.Load()
}

func (l *load) failures() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// examine compares the journal with the calls 1 to n: each was applied, and once.
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

func (c *retries) String() string {
	return fmt.Sprintf("gRPC: %d calls, %d attempts more\n"+
		"REST: %d calls, %d requests more after a 503, %d after a refused connection, %d after one that ended unanswered",
		c.calls.Load(), c.again.Load(),
		c.restCalls.Load(), c.unavailable.Load(), c.refused.Load(), c.unanswered.Load())
}

// TestExamine finds what the other tests must not have.
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
		{"one that nobody made", []sandbox.Entry{entry(1), entry(2), entry(3)}, "3 announcements, want 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(examine(test.journal, 2), "; "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestTheReadmeHasTheServiceConfig that the clients here have.
func TestTheReadmeHasTheServiceConfig(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), serviceConfig) {
		t.Error("the README has another one")
	}
}
