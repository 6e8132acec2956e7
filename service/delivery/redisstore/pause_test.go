package redisstore

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// With these in its environment, the test's program is a replica that delivers one
// update and prints the error.
const (
	replicaRedis   = "TEST_REPLICA_REDIS"
	replicaTwilio  = "TEST_REPLICA_TWILIO"
	replicaFailure = "TEST_REPLICA_FAILURE"
)

// runReplica is that replica, and exits. Without the environment it does nothing.
func runReplica() {
	if os.Getenv(replicaRedis) == "" {
		return
	}
	d, _, err := newReplica(os.Getenv(replicaRedis), Failure(os.Getenv(replicaFailure)), shortLease)
	if err == nil {
		_, err = d.Deliver(context.Background(), pausedUpdate(os.Getenv(replicaTwilio), "child"))
	}
	fmt.Println("ended:", err)
	os.Exit(0)
}

// newReplica returns a replica's deliverer with a real client of Twilio.
func newReplica(url string, failure Failure, lease time.Duration) (*delivery.Deliverer, *Store, error) {
	cfg := delivery.Default()
	s, err := Dial(Config{URL: url, Failure: failure, Lease: lease, Timeout: lease * 3 / 4}, cfg.Bounds, quiet)
	if err != nil {
		return nil, nil, err
	}
	return delivery.New(cfg, twilio.NewClient(twilio.Config{}), s, quiet), s, nil
}

// pausedUpdate is an announcement with a request id, both named after the sender.
func pausedUpdate(base, who string) *delivery.Update {
	update := announcement(0)
	update.Account.BaseURL = base
	update.Change.Put(property.AnnounceURL, "https://media.example/"+who)
	update.RequestID = who
	return update
}

// refusing is a Twilio that calls before and answers 429 for the first request, and
// accepts all others.
type refusing struct {
	mu     sync.Mutex
	seen   []string
	before func()
}

func (r *refusing) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	sound := request.FormValue("AnnounceUrl")
	r.mu.Lock()
	r.seen = append(r.seen, sound[strings.LastIndex(sound, "/")+1:])
	first := len(r.seen) == 1
	r.mu.Unlock()
	if first {
		r.before()
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	_, _ = io.WriteString(w, `{"call_sid": "CA0"}`)
}

func (r *refusing) requests() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.seen, " ")
}

// TestStoppedProcessDoesNotSendLate stops a process that waits for its retry until its
// lease has ended and another replica has sent. When it continues, it sends nothing.
func TestStoppedProcessDoesNotSendLate(t *testing.T) {
	t.Parallel()
	for _, failure := range []Failure{Mixed, Closed, Open} {
		t.Run(string(failure), func(t *testing.T) {
			t.Parallel()
			b := startReal(t)
			var child *exec.Cmd
			started, stopped := make(chan struct{}), make(chan struct{})
			to := &refusing{before: func() {
				<-started
				_ = child.Process.Signal(sigStop)
				if err := awaitStopped(child.Process.Pid); err != nil {
					t.Error(err)
				}
				close(stopped)
			}}
			server := httptest.NewServer(to)
			defer server.Close()
			child = exec.Command(os.Args[0])
			child.Env = append(os.Environ(), replicaRedis+"="+b.url, replicaTwilio+"="+server.URL, replicaFailure+"="+string(failure))
			output, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			close(started)
			defer func() {
				_ = child.Process.Kill()
				_ = child.Wait()
			}()
			wantClosed(t, "the child has sent and is stopped", stopped)

			d, s, err := newReplica(b.url, failure, longLease)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := d.Deliver(within(t), pausedUpdate(server.URL, "other")); err != nil {
				t.Errorf("the other replica: %v", err)
			}
			_ = child.Process.Signal(sigCont)
			last, err := bufio.NewReader(output).ReadString('\n')
			if err != nil || !strings.Contains(last, "state unavailable") && !strings.Contains(last, "429") {
				t.Errorf("the child said %q, %v, want that it was refused", last, err)
			}
			if got, want := to.requests(), "child other"; got != want {
				t.Errorf("Twilio was sent %q, want %q", got, want)
			}
		})
	}
}
