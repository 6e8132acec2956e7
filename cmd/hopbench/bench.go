package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// usualCallers is the number of concurrent callers at which the targets are set.
const usualCallers = 32

// row is a row of the tables: a system that is called over one protocol.
type row struct {
	name     string
	system   string // The argument of start.
	protocol protocol
	other    string  // The row to compare with, if there is one.
	maxCPU   float64 // The target: at most this × other's CPU a call. 0: none.
}

// comparedRows compare conferenced with floor and peer.
var comparedRows = []row{
	{name: "floor", system: "floor", protocol: overGRPC},
	{name: "peer, gRPC", system: "peer", protocol: overGRPC},
	{name: "conferenced, gRPC", system: "conferenced", protocol: overGRPC, other: "peer, gRPC", maxCPU: 0.9},
	{name: "peer, REST", system: "peer", protocol: overREST},
	{name: "conferenced, REST", system: "conferenced", protocol: overREST, other: "peer, REST", maxCPU: 0.7},
	{name: "conferenced, Twilio-shaped", system: "conferenced", protocol: overForm, other: "peer, REST"},
}

// baselineRows compare conferenced with another build.
var baselineRows = []row{
	{name: "floor", system: "floor", protocol: overGRPC},
	{name: "baseline, gRPC", system: "baseline", protocol: overGRPC},
	{name: "conferenced, gRPC", system: "conferenced", protocol: overGRPC, other: "baseline, gRPC"},
	{name: "baseline, REST", system: "baseline", protocol: overREST},
	{name: "conferenced, REST", system: "conferenced", protocol: overREST, other: "baseline, REST"},
	{name: "baseline, Twilio-shaped", system: "baseline", protocol: overForm},
	{name: "conferenced, Twilio-shaped", system: "conferenced", protocol: overForm, other: "baseline, Twilio-shaped"},
}

// start starts a process of a system, with the stub as its Twilio. The flags are for
// conferenced.
func (b *bench) start(ctx context.Context, system string, stub *process, flags ...string) (*process, error) {
	upstream := "http://" + stub.http
	binary := map[string]string{"conferenced": b.binary, "baseline": b.baseline}[system]
	if binary == "" { // One of hopbench's own servers.
		return b.launch(ctx, system, b.self, system, upstream)
	}
	audit := b.path(fmt.Sprintf("%s-%d-audit.json", system, len(b.processes)))
	p, err := b.launch(ctx, system, binary, append([]string{
		"serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--twilio-base-url", upstream, "--tokens", b.path("tokens.yaml"), "--policy", b.path("policy.yaml"), "--audit-log", audit,
	}, flags...)...)
	if err == nil {
		p.files = append(p.files, audit)
	}
	return p, err
}

// bench is one run of hopbench.
type bench struct {
	options
	self      string     // The path of hopbench itself.
	dir       string     // Temporary files.
	stub      *process   // Of Twilio.
	processes []*process // All that were started.
	subjects  []subject
	progress  io.Writer
}

// subject is a row whose system is running.
type subject struct {
	row
	servers []*process // More than one are replicas.
	redis   []*process // The Redis of the servers, or none.
	call    call
}

// newBench builds conferenced, writes its settings and starts the stub of Twilio. After an
// error the caller has nothing to close.
func newBench(ctx context.Context, o options, progress io.Writer) (b *bench, err error) {
	b = &bench{options: o, progress: progress}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.self, err = os.Executable(); err != nil {
		return b, err
	}
	if b.dir, err = os.MkdirTemp("", "hopbench-"); err != nil {
		return b, err
	}
	if err := b.writeSettings(); err != nil {
		return b, err
	}
	if b.binary == "" {
		b.binary = b.path("conferenced")
		b.say("building conferenced")
		command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.binary, "conferenced/cmd/conferenced")
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := command.CombinedOutput(); err != nil {
			return b, fmt.Errorf("go build, which works inside the repository only: %w\n%s", err, text)
		}
	}
	b.stub, err = b.startStub(ctx, 0)
	return b, err
}

// tokens is the number of bearer tokens that conferenced accepts. The callers
// share them.
const tokens = 512

// tokenOf returns a caller's token, both its name and its secret.
func tokenOf(caller int) string { return fmt.Sprintf("bench%d", caller%tokens) }

func (b *bench) writeSettings() error {
	var tokensFile strings.Builder
	tokensFile.WriteString("tokens:\n")
	for i := range tokens {
		fmt.Fprintf(&tokensFile, "  - {name: %s, sha256: \"%x\"}\n", tokenOf(i), sha256.Sum256([]byte(tokenOf(i))))
	}
	const policyFile = "rules: [{name: bench, callers: [{token: bench*}], accounts: [" + accountSID + "], operations: [update, read], properties: [muted, hold, announce_url]}]\n"
	return errors.Join(
		os.WriteFile(b.path("tokens.yaml"), []byte(tokensFile.String()), 0o600),
		os.WriteFile(b.path("policy.yaml"), []byte(policyFile), 0o600),
	)
}

func (b *bench) startStub(ctx context.Context, latency time.Duration) (*process, error) {
	return b.launch(ctx, "twilio", b.self, "twilio", latency.String())
}

// connect starts the systems of the rows, one process each, and warms them up.
func (b *bench) connect(ctx context.Context, rows []row) error {
	b.say("starting the systems")
	started := map[string]*process{}
	for _, r := range rows {
		if started[r.system] == nil {
			p, err := b.start(ctx, r.system, b.stub)
			if err != nil {
				return err
			}
			started[r.system] = p
		}
		s := subject{row: r, servers: []*process{started[r.system]}}
		s.call, _ = r.protocol(s.servers...)
		if _, err := closedLoop(ctx, s.call, usualCallers, b.slice/2); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		b.subjects = append(b.subjects, s)
	}
	return nil
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.progress, format+"\n", args...) }

// close ends the processes and removes the temporary files.
func (b *bench) close() {
	for _, p := range b.processes {
		p.stop()
	}
	_ = os.RemoveAll(b.dir) // It is in the folder for temporary files.
}
