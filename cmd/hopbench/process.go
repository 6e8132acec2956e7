package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// patience is the longest time that a start, a call or an exit may take.
const patience = 30 * time.Second

// process is a running server.
type process struct {
	pid               int
	grpc, http, admin string        // host:port
	ready             time.Duration // From the start until /readyz answered 200.
	files             []string      // Files that it appends to; the first is its log.
	cancel            context.CancelFunc
	exited            chan struct{} // Closed when it has exited.
}

// environment is the environment of every process. Only conferenced reads it. Tracing
// samples nothing, so nothing is sent to the endpoint.
var environment = []string{
	"TWILIO_ACCOUNT_SID=" + accountSID, "TWILIO_AUTH_TOKEN=" + authToken,
	"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9",
	"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0",
}

// launch starts a server and waits until it is ready.
func (b *bench) launch(ctx context.Context, name, path string, args ...string) (*process, error) {
	began := time.Now()
	p, err := b.spawn(ctx, name, path, args...)
	if err != nil {
		return nil, err
	}
	if err := p.awaitReady(ctx); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.ready = time.Since(began)
	return p, nil
}

// spawn starts a process, which runs until stop, or until ctx is done.
func (b *bench) spawn(ctx context.Context, name, path string, args ...string) (*process, error) {
	path, err := filepath.Abs(path) // A bare name would be looked up in PATH.
	if err != nil {
		return nil, err
	}
	logName := b.path(fmt.Sprintf("%s-%d.log", name, len(b.processes)))
	log, err := os.OpenFile(logName, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // The process has its own descriptor.
	p := &process{files: []string{logName}, exited: make(chan struct{})}
	ctx, p.cancel = context.WithCancel(ctx)
	command := exec.CommandContext(ctx, path, args...)
	command.Env, command.Stderr = environment, log
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = patience // Then it is killed.
	if err := command.Start(); err != nil {
		p.cancel()
		return nil, err
	}
	p.pid = command.Process.Pid
	b.processes = append(b.processes, p)
	go func() {
		_ = command.Wait() // Its exit status does not matter.
		close(p.exited)
	}()
	return p, nil
}

var addresses = regexp.MustCompile(`grpc=(\S+) http=(\S+) admin=(\S+)`)

// awaitReady waits until the log has the addresses and /readyz answers 200.
func (p *process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		log, err := os.ReadFile(p.files[0])
		if err != nil {
			return err
		}
		if found := addresses.FindStringSubmatch(string(log)); found != nil {
			p.grpc, p.http, p.admin = found[1], found[2], found[3]
			if _, err := p.page(ctx, "/readyz"); err == nil {
				return nil
			}
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it exited:\n%s", log)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// stop ends the process and waits for its exit.
func (p *process) stop() {
	p.cancel()
	<-p.exited
}

// truncateFiles keeps the logs and the audit files from filling the disk.
func truncateFiles(processes ...*process) error {
	var errs []error
	for _, p := range processes {
		for _, name := range p.files {
			errs = append(errs, os.Truncate(name, 0))
		}
	}
	return errors.Join(errs...)
}

// metric returns the value of a metric without labels.
func (p *process) metric(ctx context.Context, name string) (float64, error) {
	page, err := p.page(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	return numberAfter("\n"+name+" ", page)
}

// residentMemory returns the present resident memory in MiB.
func (p *process) residentMemory() (float64, error) { return p.memory("VmRSS:") }

// peakMemory returns the maximum of the resident memory since resetPeak, in MiB.
func (p *process) peakMemory() (float64, error) { return p.memory("VmHWM:") }

func (p *process) memory(label string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, err
	}
	kB, err := numberAfter(label, status)
	return kB / 1024, err
}

// resetPeak sets the peak to the present resident memory. Where that is not allowed, as
// in some containers, the peak is that of the process's whole life.
func (p *process) resetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0)
}

func numberAfter(label string, text []byte) (number float64, err error) {
	_, rest, _ := strings.Cut(string(text), label)
	if _, err = fmt.Sscan(rest, &number); err != nil {
		err = fmt.Errorf("%q: %w", label, err)
	}
	return number, err
}

// page returns a page of the admin address.
func (p *process) page(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+path, nil)
	if err != nil {
		return nil, err
	}
	return fetch(http.DefaultTransport, request)
}

// fetch returns the body of an answer, which must be 200.
func fetch(transport http.RoundTripper, request *http.Request) ([]byte, error) {
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return body, err
}
