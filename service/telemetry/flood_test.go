package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// page is a log that is written by timers too.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *page) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(line)
}

// counts are how many lines the log has by their message.
func (p *page) counts(t *testing.T) map[string]int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := map[string]int{}
	for text := range strings.Lines(p.text.String()) {
		var line struct {
			Msg, Of, Reason string
			Lines           int
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		name := line.Msg
		if line.Lines > 0 {
			name = fmt.Sprintf("%s: %d of %s %s", line.Msg, line.Lines, line.Of, line.Reason)
		}
		counts[name]++
	}
	return counts
}

func (p *page) want(t *testing.T, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, p.counts(t)); diff != "" {
		t.Errorf("lines by message (-want +got):\n%s", diff)
	}
}

// flooded runs a test with a logger and a clock of its own.
func flooded(t *testing.T, test func(*testing.T, *slog.Logger, *page)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := new(page)
		logger, err := NewLogger(log, "info", "json")
		if err != nil {
			t.Fatal(err)
		}
		test(t, logger, log)
	})
}

// pass lets time pass, and the timers of that time run.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestAFloodIsHeldBackAndCounted(t *testing.T) {
	flooded(t, func(t *testing.T, logger *slog.Logger, log *page) {
		for range 100 {
			logger.Warn("down", "reason", "A")
			logger.Error("broken")
		}
		log.want(t, map[string]int{"down": 20, "broken": 20})
		pass(10 * time.Second)
		log.want(t, map[string]int{
			"down": 20, "log lines suppressed: 80 of down A": 1,
			"broken": 20, "log lines suppressed: 80 of broken ": 1,
		})
		control := ControlOf(logger)
		if warnings, failures := control.Suppressed(slog.LevelWarn), control.Suppressed(slog.LevelError); warnings != 80 || failures != 80 {
			t.Errorf("%d warnings and %d errors were suppressed, want 80 each", warnings, failures)
		}
		for range 21 {
			logger.Error("broken")
		}
		pass(time.Hour)
		if got := log.counts(t); got["broken"] != 40 || got["log lines suppressed: 1 of broken "] != 1 {
			t.Errorf("after the flood: %v", got)
		}
	})
}

func TestWhatIsNoFloodIsWritten(t *testing.T) {
	flooded(t, func(t *testing.T, logger *slog.Logger, log *page) {
		for range 100 {
			logger.Info("call")
		}
		for n := range 20 {
			for _, reason := range []string{"A", "B"} {
				logger.Warn("call", "n", n, "reason", reason)
			}
			logger.With("key", "value").Error("call")
		}
		for range 30 {
			logger.Warn("seldom")
			pass(time.Second)
		}
		log.want(t, map[string]int{"call": 160, "seldom": 30})
	})
}

func TestKindsWithoutEnd(t *testing.T) {
	flooded(t, func(t *testing.T, logger *slog.Logger, log *page) {
		for n := range 1000 {
			logger.Warn(fmt.Sprint("kind ", n))
		}
		counts := log.counts(t)
		if want := floodKinds + floodLines; len(counts) != want {
			t.Errorf("%d kinds were written, want %d", len(counts), want)
		}
		pass(floodWindow)
		logger.Warn("afterwards")
		counts = log.counts(t)
		if counts["afterwards"] != 1 || counts[fmt.Sprintf("log lines suppressed: %d of others ", 1000-floodKinds-floodLines)] != 1 {
			t.Errorf("afterwards: %v", counts)
		}
	})
}

func TestFlushTellsWhatWasHeldBack(t *testing.T) {
	flooded(t, func(t *testing.T, logger *slog.Logger, log *page) {
		for range 25 {
			logger.Warn("down")
		}
		ControlOf(logger).Flush()
		pass(time.Hour)
		log.want(t, map[string]int{"down": 20, "log lines suppressed: 5 of down ": 1})
	})
}

func TestTheLevelChanges(t *testing.T) {
	log := new(page)
	logger, err := NewLogger(log, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	derived := logger.With("a", "b").WithGroup("g")
	control := ControlOf(derived)
	derived.Debug("one")
	if err := control.SetLevel("debug"); err != nil || control.Level() != "debug" {
		t.Errorf("%v; the level is %s", err, control.Level())
	}
	derived.Debug("two")
	if err := control.SetLevel("loud"); err == nil || control.Level() != "debug" {
		t.Errorf("%v; the level is %s", err, control.Level())
	}
	log.want(t, map[string]int{"two": 1})
}

func TestALoggerWithoutControl(t *testing.T) {
	control := ControlOf(slog.New(slog.DiscardHandler))
	control.Flush()
	if control.Level() != "" || control.SetLevel("debug") == nil || control.Suppressed(slog.LevelWarn) != 0 {
		t.Error("it has a level")
	}
}

func BenchmarkALineThatIsHeldBack(b *testing.B) {
	logger, err := NewLogger(new(page), "info", "json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		logger.Warn("down", "reason", "A")
	}
	ControlOf(logger).Flush()
}
