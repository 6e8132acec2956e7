package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long anything may take that is expected at once.
const patience = 30 * time.Second

// process is a server that runs.
type process struct {
	name              string
	command           *exec.Cmd
	grpc, http, admin string        // host:port
	ready             time.Duration // From its start until it was ready.
	logPath           string
	growing           []string      // Files that are to be emptied now and then.
	exited            chan struct{} // Closed when it has ended.
}

var addresses = regexp.MustCompile(`msg=serving grpc=(\S+) http=(\S+) admin=(\S+)`)

// start runs a server and waits until it is ready. Its log goes to a file.
func (p place) start(ctx context.Context, name string, env []string, path string, args ...string) (*process, error) {
	log, err := os.CreateTemp(p.dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // The process has it.
	appending, err := os.OpenFile(log.Name(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = appending.Close() }()
	command := exec.CommandContext(ctx, path, args...)
	command.Env, command.Stderr, command.Dir = env, appending, p.dir
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = patience
	began := time.Now()
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &process{
		name: name, command: command, logPath: log.Name(), growing: []string{log.Name()}, exited: make(chan struct{}),
	}
	go func() {
		_ = command.Wait() // That it ended is all there is to know.
		close(s.exited)
	}()
	if err := s.await(ctx); err != nil {
		s.stop()
		return nil, err
	}
	s.ready = time.Since(began)
	return s, nil
}

// await waits until the log says the addresses and the server says it is ready.
func (s *process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if s.admin == "" {
			s.readAddresses()
		}
		if s.admin != "" {
			if _, err := get(ctx, "http://"+s.admin+"/readyz"); err == nil {
				return nil
			}
		}
		select {
		case <-s.exited:
			text, _ := os.ReadFile(s.logPath)
			return fmt.Errorf("%s ended at once:\n%s", s.name, text)
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", s.name, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *process) readAddresses() {
	text, err := os.ReadFile(s.logPath)
	if err != nil {
		return
	}
	if found := addresses.FindSubmatch(text); found != nil {
		s.grpc, s.http, s.admin = string(found[1]), string(found[2]), string(found[3])
	}
}

// stop ends the process and waits until it has ended.
func (s *process) stop() {
	_ = s.command.Cancel() // It may have ended by itself.
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.command.Process.Kill()
		<-s.exited
	}
}

// empty empties the files that the process appends to.
func (s *process) empty() error {
	var errs []error
	for _, name := range s.growing {
		errs = append(errs, os.Truncate(name, 0))
	}
	return errors.Join(errs...)
}

// metrics are the values of the metrics without labels.
func (s *process) metrics(ctx context.Context) (map[string]float64, error) {
	text, err := get(ctx, "http://"+s.admin+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil {
			values[name] = number
		}
	}
	return values, nil
}

// get returns the body of a page that answers 200.
func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return body, err
}
