package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// writes are what was written to a log, a write each, as the lines' messages and
// codes.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []string
	for line := range strings.Lines(string(text)) {
		_, said, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "msg=")
		said, _, _ = strings.Cut(said, " duration=")
		lines = append(lines, strings.Replace(said, " method="+method+" protocol=grpc", "", 1))
	}
	w.all = append(w.all, strings.Join(lines, ", "))
	return len(text), nil
}

func (w *writes) want(t *testing.T, when string, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.all); diff != "" {
		t.Errorf("%s: writes (-want +got):\n%s", when, diff)
	}
	w.all = nil
}

// delayed runs a test with a logger whose lines may wait for a second, and with
// calls that end with the code.
func delayed(t *testing.T, test func(*testing.T, *slog.Logger, *writes, func(codes.Code))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := new(writes)
		logger, err := NewLogger(log, "info", "text")
		if err != nil {
			t.Fatal(err)
		}
		ControlOf(logger).SetDelay(time.Second)
		step := AccessLog(logger, protocolGRPC)
		test(t, logger, log, func(code codes.Code) {
			_, _ = step(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) {
				return nil, status.Error(code, "")
			})
		})
	})
}

func TestLinesOfCallsAreWrittenTogether(t *testing.T) {
	delayed(t, func(t *testing.T, _ *slog.Logger, log *writes, call func(codes.Code)) {
		for range 2 {
			call(codes.OK)
			pass(time.Second - 1)
			call(codes.NotFound)
			log.want(t, "before the delay has passed")
			pass(1)
			log.want(t, "after it", "call code=OK, call code=NotFound")
		}
		pass(time.Hour)
		log.want(t, "after all")
	})
}

func TestOtherLinesDoNotWait(t *testing.T) {
	delayed(t, func(t *testing.T, logger *slog.Logger, log *writes, call func(codes.Code)) {
		for _, other := range []struct {
			name string
			tell func()
			want string
		}{
			{"a warning about a call", func() { call(codes.Unavailable) }, "call code=Unavailable"},
			{"an error about a call", func() { call(codes.Internal) }, "call code=Internal"},
			{"news", func() { logger.Info("reloaded") }, "reloaded"},
			{"of a logger derived", func() { logger.With("a", "b").Warn("careful") }, "careful a=b"},
		} {
			call(codes.OK)
			other.tell()
			log.want(t, other.name, "call code=OK, "+other.want)
		}
		pass(time.Hour)
		log.want(t, "after all")
	})
}

func TestTheDelayEnds(t *testing.T) {
	delayed(t, func(t *testing.T, logger *slog.Logger, log *writes, call func(codes.Code)) {
		call(codes.OK)
		ControlOf(logger).Flush()
		log.want(t, "after a flush", "call code=OK")
		call(codes.OK)
		ControlOf(logger).SetDelay(0)
		log.want(t, "when lines may wait no more", "call code=OK")
		call(codes.OK)
		call(codes.NotFound)
		log.want(t, "from then on", "call code=OK", "call code=NotFound")
	})
}

func TestLinesThatWaitAreBounded(t *testing.T) {
	delayed(t, func(t *testing.T, logger *slog.Logger, log *writes, call func(codes.Code)) {
		const calls = 3 * maxLines / 100 // A line has a little more than that.
		for range calls {
			call(codes.OK)
		}
		if len(log.all) < 3 {
			t.Errorf("%d writes before the delay has passed", len(log.all))
		}
		for _, write := range log.all {
			if got := strings.Count(write, "call"); got*100 > maxLines {
				t.Errorf("a write of %d lines", got)
			}
		}
		ControlOf(logger).Flush()
		if got := strings.Count(strings.Join(log.all, ", "), "call code=OK"); got != calls {
			t.Errorf("%d lines were written, want %d", got, calls)
		}
	})
}

func TestNoLineIsLostOrTornAmongOthers(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Microsecond, time.Hour} {
		t.Run(delay.String(), func(t *testing.T) {
			log := new(writes)
			logger, err := NewLogger(log, "info", "text")
			if err != nil {
				t.Fatal(err)
			}
			ControlOf(logger).SetDelay(delay)
			var all sync.WaitGroup
			const each = 200
			for n := range 4 {
				all.Go(func() {
					for i := range each {
						line := slog.NewRecord(time.Now(), slog.LevelInfo, fmt.Sprintf("%d-%d", n, i), 0)
						handleCall(t.Context(), logger.Handler(), &line)
						if i%50 == n {
							logger.Error("bad")
						}
					}
				})
			}
			all.Wait()
			ControlOf(logger).Flush()
			next, text := [4]int{}, strings.Join(log.all, ", ")
			for said := range strings.SplitSeq(text, ", ") {
				var n, i int
				if _, err := fmt.Sscanf(said, "%d-%d", &n, &i); err != nil {
					continue // Another kind.
				}
				if i != next[n] {
					t.Fatalf("line %s came in the place of %d-%d", said, n, next[n])
				}
				next[n]++
			}
			if want := [4]int{each, each, each, each}; next != want {
				t.Errorf("lines: got %v, want %v", next, want)
			}
			if got := strings.Count(text, "bad"); got != 16 {
				t.Errorf("%d errors, want 16", got)
			}
		})
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestLinesOfAFullDiskAreNotKept(t *testing.T) {
	log := &lines{w: fullDisk{}}
	if _, err := log.Write([]byte("line\n")); err != nil {
		t.Errorf("a line that waits: %v", err)
	}
	if err := log.end(); err == nil || len(log.text) != 0 {
		t.Errorf("got %v, and %d bytes wait", err, len(log.text))
	}
}
