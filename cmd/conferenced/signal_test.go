package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
)

// asProgram is the variable with which the test binary runs as conferenced.
const asProgram = "TEST_AS_CONFERENCED"

// program is `conferenced serve` in its own process.
type program struct {
	command           *exec.Cmd
	stderr            *following
	ended             chan struct{}
	err               error // of the process, once it has ended
	grpc, http, admin string
}

// startProgram runs the program in front of a sandbox until the test ends.
func startProgram(t *testing.T, upstream string, args ...string) *program {
	t.Helper()
	stderr := new(following)
	return startProgramTo(t, nil, stderr, stderr, upstream, args...)
}

// startProgramTo runs the program with the given outputs. Its log must reach log.
func startProgramTo(t *testing.T, stdout, stderr io.Writer, log *following, upstream string, args ...string) *program {
	t.Helper()
	p := &program{stderr: log, ended: make(chan struct{})}
	args = append(append([]string{"serve", "--log-format=json", "--twilio-base-url=" + upstream}, anywhere...), args...)
	p.command = exec.CommandContext(t.Context(), os.Args[0], args...)
	p.command.Env = append(os.Environ(), asProgram+"=1",
		"TWILIO_ACCOUNT_SID="+sandbox.AccountSID, "TWILIO_AUTH_TOKEN="+sandbox.AuthToken)
	p.command.Stdout, p.command.Stderr = stdout, stderr
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.command.Wait()
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill() // It has ended if the test passes.
		await(t, p.ended, "the process to end")
	})
	addresses := p.stderr.awaitMatch(t, `"msg":"serving","grpc":"([^"]+)","http":"([^"]+)","admin":"([^"]+)"`)
	p.grpc, p.http, p.admin = addresses[0], addresses[1], addresses[2]
	return p
}

func (p *program) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// heldTwilio is a sandbox that holds requests until the test releases them.
func heldTwilio(t *testing.T) (box *sandbox.Sandbox, url string, arrived <-chan struct{}, let func()) {
	t.Helper()
	came, gate := make(chan struct{}, 1000), make(chan struct{})
	box = sandbox.New(sandbox.Config{Fault: func(*http.Request) sandbox.Fault {
		came <- struct{}{}
		<-gate
		return sandbox.Fault{}
	}})
	server := httptest.NewServer(box)
	let = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(server.Close)
	t.Cleanup(box.Close)
	t.Cleanup(let) // The server would wait otherwise.
	return box, server.URL, came, let
}

// poll calls done until it returns true.
func poll(t *testing.T, what string, ask func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !ask() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// awaitRefused waits until the address refuses connections.
func awaitRefused(t *testing.T, addr string) {
	t.Helper()
	poll(t, addr+" to be closed", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// awaitInFlight waits until so many updates are in flight or queued.
func (p *program) awaitInFlight(t *testing.T, want int) {
	t.Helper()
	client := newHTTPClient(t)
	poll(t, fmt.Sprintf("%d updates", want), func() bool {
		var health struct{ Delivery struct{ Waiting int } }
		if err := json.Unmarshal([]byte(getPage(t, client, "http://"+p.admin+"/healthz")), &health); err != nil {
			t.Fatal(err)
		}
		return health.Delivery.Waiting == want
	})
}

// announce plays a URL of its own to the agent.
func announce(ctx context.Context, conn grpc.ClientConnInterface, n int) error {
	_, err := conferencev1.NewConferenceServiceClient(conn).UpdateParticipant(ctx, &conferencev1.UpdateParticipantRequest{
		ConferenceSid: sandbox.ConferenceSID, CallSid: sandbox.AgentSID,
		AnnounceUrl: proto.String(fmt.Sprintf("https://a.example/%d", n)),
	})
	return err
}

func announceREST(client *http.Client, addr string, n int) error {
	response, err := client.Post("http://"+addr+"/v1/conferences/"+sandbox.ConferenceSID+"/participants/"+sandbox.CustomerSID,
		"application/json", strings.NewReader(fmt.Sprintf(`{"announce_url": "https://a.example/%d"}`, n)))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s, %w", response.Status, text, err)
	}
	return nil
}

// TestSIGTERMUnderLoad: all calls in flight are answered and applied once.
func TestSIGTERMUnderLoad(t *testing.T) {
	box, url, arrived, let := heldTwilio(t)
	// No timeout may pass during the test.
	p := startProgram(t, url, "--default-timeout=1m", "--attempt-timeout=1m", "--shutdown-timeout=2m")
	conn, client := dial(t, p.grpc), newHTTPClient(t)
	const calls = 16 // of each kind: one is in flight, and the others are queued
	results := make(chan error, 2*calls)
	for i := range calls {
		go func() { results <- announce(context.Background(), conn, i) }()
		go func() { results <- announceREST(client, p.http, calls+i) }()
	}
	for range 2 {
		await(t, arrived, "the first calls to reach Twilio")
	}
	p.awaitInFlight(t, 2*calls)
	p.signal(t, syscall.SIGTERM)
	awaitRefused(t, p.grpc)
	awaitRefused(t, p.http)
	let()
	for range 2 * calls {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	await(t, p.ended, "the process to end")
	if p.err != nil {
		text := p.stderr.String()
		t.Errorf("%v:\n%s", p.err, text)
	}
	seen := map[string]int{}
	for _, entry := range box.Journal() {
		seen[entry.Form.Get("AnnounceUrl")]++
	}
	for i := range 2 * calls {
		if got := seen[fmt.Sprintf("https://a.example/%d", i)]; got != 1 {
			t.Errorf("call %d was applied %d times", i, got)
		}
	}
}

// TestASecondSIGTERM ends the process at once.
func TestASecondSIGTERM(t *testing.T) {
	for _, flag := range []string{"--drain-delay=1h", "--shutdown-timeout=1h"} {
		t.Run(flag, func(t *testing.T) {
			_, url, arrived, _ := heldTwilio(t)
			p := startProgram(t, url, flag)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			conn, failed := dial(t, p.grpc), make(chan error, 1)
			go func() { failed <- announce(ctx, conn, 0) }()
			await(t, arrived, "the call to reach Twilio")
			p.signal(t, syscall.SIGTERM)
			p.stderr.awaitMatch(t, `"msg":"(draining)"`)
			// The first one may not be handled yet.
			poll(t, "the process to end", func() bool {
				_ = p.command.Process.Signal(syscall.SIGTERM) // It may have ended.
				select {
				case <-p.ended:
					return true
				default:
					return false
				}
			})
			if status, ok := p.command.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
				t.Errorf("ended with %v", p.err)
			}
			if err := <-failed; err == nil {
				t.Error("the call was answered")
			}
		})
	}
}

// TestACrashDoesNotLookLikeAMistake: Go's exit code of a crash is that of a mistake, after
// which systemd does not restart.
func TestACrashDoesNotLookLikeAMistake(t *testing.T) {
	crash := exec.CommandContext(t.Context(), os.Args[0])
	crash.Env = append(os.Environ(), asProgram+"=crash")
	text, err := crash.CombinedOutput()
	status, ok := crash.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != syscall.SIGABRT {
		t.Errorf("ended with %v: %s", err, text)
	}
}
