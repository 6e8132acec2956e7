package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/status"

	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// retryDelay is the retry delay of calls that are refused in a drain.
const retryDelay = time.Second

var refusedLate = refusal{kind: outcome.ShuttingDown, retry: retryDelay}

// startWithDelay runs a server whose drain delay ends with a value in the channel.
func startWithDelay(t *testing.T, choose ...func(*setup)) (r *running, over chan<- time.Time) {
	t.Helper()
	const delay = time.Hour
	delays := make(chan time.Time)
	r = build(t, append(choose, func(s *setup) { s.DrainDelay = delay })...)
	r.ending.after = func(got time.Duration) <-chan time.Time {
		switch got {
		case delay:
			return delays
		case unusedGrace:
		default:
			t.Errorf("waits for %v", got)
		}
		return nil
	}
	r.run(t)
	t.Cleanup(func() { close(delays) })
	return r, delays
}

// callsAreServed makes a call over each protocol, on open and on new connections. It
// returns whether the HTTP connections close after their calls.
func callsAreServed(t *testing.T, r *running) (last []bool) {
	t.Helper()
	fresh := &running{Server: r.Server, conn: dial(t, r.GRPC.String()), rest: newHTTPClient(t)}
	for _, by := range []*running{r, fresh} {
		if got := callGRPC(t, t.Context(), by, muting(sandbox.AgentSID)); got.status != nil {
			t.Errorf("gRPC: %v", got.status)
		}
		last = append(last, postREST(t, by))
	}
	return last
}

func postREST(t *testing.T, r *running) (last bool) {
	t.Helper()
	incoming, err := r.rest.Post(r.restURL(agentPath), "application/json", strings.NewReader(`{"muted": true}`))
	if err != nil {
		t.Error(err)
		return false
	}
	defer incoming.Body.Close()
	text, err := io.ReadAll(incoming.Body)
	if err != nil || incoming.StatusCode != http.StatusOK {
		t.Errorf("REST: %d %s %v", incoming.StatusCode, text, err)
	}
	return incoming.Close
}

// TestDrainDelay: until its end all calls are served, and health reports NOT_SERVING.
func TestDrainDelay(t *testing.T) {
	r, over := startWithDelay(t)
	if last := callsAreServed(t, r); last[0] || last[1] {
		t.Fatalf("HTTP connections were not to be kept: %v", last)
	}
	watch := watchHealth(t, r, serviceName)

	r.stop()
	nextHealth(t, watch, "NOT_SERVING")
	checkNotReady(t, r)
	for _, service := range everyService {
		if got, err := r.healthOf(t.Context(), service); got != "NOT_SERVING" || err != nil {
			t.Errorf("%q: %s, %v", service, got, err)
		}
	}
	if last := callsAreServed(t, r); !last[0] || !last[1] {
		t.Errorf("HTTP connections were kept: %v", last)
	}

	over <- time.Time{}
	awaitRefused(t, r.GRPC)
	awaitRefused(t, r.HTTP)
	r.checkEnded(t)
	awaitRefused(t, r.Admin)
}

// TestAnAnswerThatBeginsInADrainIsTheLast of its connection, although its request
// began before.
func TestAnAnswerThatBeginsInADrainIsTheLast(t *testing.T) {
	h := newHolds()
	r, _ := startWithDelay(t, h.setup)
	last := make(chan bool, 1)
	go func() { last <- postREST(t, r) }()
	await(t, h.arrived, "the call to reach the sandbox")
	r.stop()
	r.log.awaitLine(t, "draining")
	close(h.let)
	if !await(t, last, "the call in flight") {
		t.Error("its connection was kept")
	}
}

func TestDrainSendsGOAWAY(t *testing.T) {
	r := start(t)
	conn := connectHTTP2(t, r.GRPC)
	r.stop()
	if code, words := conn.awaitGoAway(t); code != http2.ErrCodeNo || words != "graceful_stop" {
		t.Errorf("GOAWAY with %v, %q", code, words)
	}
}

// TestALateRequestIsRefused, and nothing of it is applied.
func TestALateRequestIsRefused(t *testing.T) {
	for _, path := range []string{agentPath, twilioAgentPath} {
		t.Run(path, func(t *testing.T) {
			h := newHolds()
			// There is enough time to serve it.
			r := start(t, h.setup, func(s *setup) { s.DefaultTimeout = s.ShutdownTimeout / 2 })
			underWay := h.begin(t, r, bothWays[0], sandbox.CustomerSID)
			late := beginRequest(t, r, path)

			r.stop()
			awaitRefused(t, r.HTTP)
			got := late.finish(t)
			if got.StatusCode != http.StatusServiceUnavailable || !got.Close || got.Header.Get("Retry-After") != "1" {
				t.Errorf("%d, closed %v, %v", got.StatusCode, got.Close, got.Header)
			}
			if path == agentPath {
				refusedLate.check(t, readREST(t, got, nil))
			}
			close(h.let)
			checkDone(t, r, underWay, sandbox.CustomerSID)
			r.checkEnded(t)
			if got := r.box.State().JournalLength; got != 1 {
				t.Errorf("%d updates", got)
			}
			if got := r.log.lines(t, "call"); len(got) != 2 || got[0].text("reason") != "SHUTTING_DOWN" {
				t.Errorf("%v", got)
			}
		})
	}
}

const twilioAgentPath = "/2010-04-01/Accounts/" + sandbox.AccountSID + "/Conferences/" + sandbox.ConferenceSID +
	"/Participants/" + sandbox.AgentSID + ".json"

// halfRequest is a request whose body has not been sent.
type halfRequest struct {
	conn net.Conn
	body string
}

// beginRequest returns when the server has the headers of a request and asks for its
// body.
func beginRequest(t *testing.T, r *running, path string) halfRequest {
	t.Helper()
	conn := connect(t, r.HTTP)
	half := halfRequest{conn, `{"muted": true}`}
	contentType := "application/json"
	if path == twilioAgentPath {
		half.body, contentType = "Muted=true", "application/x-www-form-urlencoded"
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		path, r.HTTP, contentType, len(half.body))
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	got := make([]byte, len(goOn))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != goOn {
		t.Fatalf("%q, %v", got, err)
	}
	return half
}

func (h halfRequest) finish(t *testing.T) *http.Response {
	t.Helper()
	if _, err := io.WriteString(h.conn, h.body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(h.conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// TestCallsThatCrossTheGOAWAY are served if they can end in time.
func TestCallsThatCrossTheGOAWAY(t *testing.T) {
	end := time.Now().Add(time.Hour)
	s := new(Server)
	s.ending.closing.Store(&end)
	tests := []struct {
		name     string
		deadline time.Time
		served   bool
	}{
		{"a deadline before the end", end.Add(-time.Minute), true},
		{"a deadline at the end", end, true},
		{"a deadline after the end", end.Add(time.Nanosecond), false},
		{"no deadline", time.Time{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, _ := call.New(t.Context(), call.GRPC)
			if !test.deadline.IsZero() {
				bounded, cancel := context.WithDeadline(ctx, test.deadline)
				defer cancel()
				ctx = bounded
			}
			err := s.refuseLate(ctx)
			if served := err == nil; served != test.served {
				t.Errorf("served: %v, %v", served, err)
			}
			if err != nil {
				refusedLate.check(t, reply{status: status.Convert(err).Proto()})
			}
		})
	}
}
