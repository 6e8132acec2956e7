// Package redistest starts Redis for tests: miniredis in the test's process, and
// redis-server if it is installed. It is for tests only.
package redistest

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"
)

// Delays are goroutines of Redis's client that end by themselves: they are no leak.
var Delays = goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1")

// Mini is a miniredis on a port of loopback, whose keys expire as time passes.
type Mini struct {
	*miniredis.Miniredis
	// URL stays the same when the server is closed and started again.
	URL string
}

// StartMini starts one that ends with the test.
func StartMini(t testing.TB) *Mini {
	t.Helper()
	server := miniredis.RunT(t)
	passTime(t, server)
	// It accepts no other commands on a subscribed connection. With protocol 2, clients
	// subscribe on another one.
	return &Mini{server, "redis://" + server.Addr() + "?protocol=2"}
}

// passTime lets keys expire, though never while a script runs. On a busy machine its time
// is slower than the clock: a key may live too long, but not too short.
func passTime(t testing.TB, server *miniredis.Miniredis) {
	const step = 10 * time.Millisecond
	ticker, done := time.NewTicker(step), make(chan struct{})
	go func() {
		defer close(done)
		for last := time.Now(); ; {
			select {
			case <-ticker.C:
				now := time.Now()
				server.FastForward(min(now.Sub(last), 2*step))
				last = now
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		<-done
		ticker.Stop()
	})
}

// Server is a redis-server, or a sentinel.
type Server struct {
	URL     string // Set by StartServer.
	command []string
	dir     string
	process *exec.Cmd
}

// NewServer returns a server that is not started yet and works in that directory. The
// caller must kill it. If redis-server is not installed, the test is skipped.
func NewServer(t testing.TB, dir string, args ...string) *Server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	return &Server{command: append([]string{program}, args...), dir: dir}
}

// StartServer starts a server on a Unix socket that ends with the test. If redis-server
// is not installed, the test is skipped.
func StartServer(t testing.TB, args ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	s := NewServer(t, dir, append([]string{"--port", "0", "--unixsocket", socket}, args...)...)
	s.URL = "unix://" + socket
	t.Cleanup(s.Kill)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Start starts the server, or starts it again, and waits until it accepts connections.
func (s *Server) Start() error {
	s.process = exec.Command(s.command[0], s.command[1:]...) //nolint:gosec // The arguments are the tests'.
	s.process.Dir = s.dir
	output, err := s.process.StdoutPipe()
	if err != nil {
		return err
	}
	defer output.Close() // The server needs no output.
	if err := s.process.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if isReady(lines.Text()) {
			return nil
		}
	}
	s.Kill()
	return errors.New("redis-server ended before it accepted connections")
}

// isReady reports whether the log line says that the server accepts connections.
func isReady(line string) bool {
	return strings.Contains(line, "eady to accept connections") || strings.Contains(line, "Sentinel ID is")
}

// Signal sends the server a signal.
func (s *Server) Signal(signal os.Signal) { _ = s.process.Process.Signal(signal) }

// Kill kills the server. Data that it has not written is lost.
func (s *Server) Kill() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
}
