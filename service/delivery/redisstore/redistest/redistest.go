// Package redistest starts Redis for tests: an imitation in the test's own process,
// and a real one where redis-server is installed. It is for tests only.
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

// Delays are of Redis's client, and end by themselves: they are no leak.
var Delays = goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1")

// Mini is an imitation of Redis on a port of loopback. Unlike miniredis alone, its
// keys expire as time passes.
type Mini struct {
	*miniredis.Miniredis
	// URL stays the same when it is closed and started again.
	URL string
}

// StartMini starts one that ends with the test.
func StartMini(t testing.TB) *Mini {
	t.Helper()
	server := miniredis.RunT(t)
	passTime(t, server)
	// It takes no other commands on a connection that listens. By protocol 2, clients
	// have another one for that.
	return &Mini{server, "redis://" + server.Addr() + "?protocol=2"}
}

// passTime lets keys expire, though never in the midst of a script, which miniredis
// would do by the clock.
func passTime(t testing.TB, server *miniredis.Miniredis) {
	ticker, done := time.NewTicker(10*time.Millisecond), make(chan struct{})
	go func() {
		defer close(done)
		for last := time.Now(); ; {
			select {
			case <-ticker.C:
				now := time.Now()
				server.FastForward(now.Sub(last))
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

// Server is a real Redis, or one of its sentinels.
type Server struct {
	URL     string // Of one that StartServer has started.
	command []string
	dir     string
	process *exec.Cmd
}

// NewServer is one in the directory that is not started yet and must be killed by
// whoever starts it. Without redis-server the test is skipped.
func NewServer(t testing.TB, dir string, args ...string) *Server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	return &Server{command: append([]string{program}, args...), dir: dir}
}

// StartServer starts one with more arguments, on a socket of its own, that ends with
// the test. Without redis-server the test is skipped.
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

// Start starts it, also when it was killed, and waits until it takes connections.
func (s *Server) Start() error {
	s.process = exec.Command(s.command[0], s.command[1:]...) //nolint:gosec // The arguments are the tests'.
	s.process.Dir = s.dir
	output, err := s.process.StdoutPipe()
	if err != nil {
		return err
	}
	defer output.Close() // It does without.
	if err := s.process.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if isReady(lines.Text()) {
			return nil
		}
	}
	s.Kill()
	return errors.New("redis-server ended before it took connections")
}

// isReady says whether a server that says so takes connections.
func isReady(line string) bool {
	return strings.Contains(line, "eady to accept connections") || strings.Contains(line, "Sentinel ID is")
}

// Signal sends it a signal.
func (s *Server) Signal(signal os.Signal) { _ = s.process.Process.Signal(signal) }

// Kill kills it. What it has not written is lost.
func (s *Server) Kill() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
}
