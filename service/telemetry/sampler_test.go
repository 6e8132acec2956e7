package telemetry

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"conferenced/service/logtest"

	"github.com/google/go-cmp/cmp"
)

// sampled runs a test with a logger and a function that counts its lines by message.
func sampled(t *testing.T, test func(*testing.T, *slog.Logger, func() map[string]int)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		text := new(logtest.Buffer)
		logger, err := NewLogger(text, "info", "json")
		if err != nil {
			t.Fatal(err)
		}
		test(t, logger, func() map[string]int {
			counts := map[string]int{}
			for _, line := range lines(t, text.String()) {
				message := line["msg"].(string)
				if message == "log lines suppressed" {
					message = fmt.Sprintf("%v of %v %v", line["lines"], line["of"], line["reason"])
				}
				counts[message]++
			}
			return counts
		})
	})
}

// pass advances the clock, and waits for the timers.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantCounts(t *testing.T, got, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines by message (-want +got):\n%s", diff)
	}
}

func TestRepeatedLinesAreLimitedAndCounted(t *testing.T) {
	sampled(t, func(t *testing.T, logger *slog.Logger, counts func() map[string]int) {
		for range 100 {
			logger.Warn("down", "reason", "A")
			logger.Error("broken")
			logger.Info("fine")
		}
		wantCounts(t, counts(), map[string]int{"down": 20, "broken": 20, "fine": 100})
		pass(10 * time.Second)
		wantCounts(t, counts(), map[string]int{
			"down": 20, "80 of down A": 1, "broken": 20, "80 of broken <nil>": 1, "fine": 100,
		})
		control := ControlOf(logger)
		if warnings, failures := control.suppressed(slog.LevelWarn), control.suppressed(slog.LevelError); warnings != 80 || failures != 80 {
			t.Errorf("%d warnings and %d errors were suppressed, want 80 each", warnings, failures)
		}
		logger.Error("broken")
		pass(time.Hour)
		if got := counts(); got["broken"] != 21 {
			t.Errorf("after the window: %v", got)
		}
	})
}

func TestLinesOfDifferentKindsAreLimitedSeparately(t *testing.T) {
	sampled(t, func(t *testing.T, logger *slog.Logger, counts func() map[string]int) {
		for n := range 20 {
			for _, reason := range []string{"A", "B"} {
				logger.Warn("call", "n", n, "reason", reason)
			}
			logger.With("key", "value").WithGroup("group").Error("call")
		}
		for range 30 {
			logger.Warn("seldom")
			pass(time.Second)
		}
		wantCounts(t, counts(), map[string]int{"call": 60, "seldom": 30})
	})
}

func TestNumberOfKindsIsBounded(t *testing.T) {
	sampled(t, func(t *testing.T, logger *slog.Logger, counts func() map[string]int) {
		for n := range 1000 {
			logger.Warn(fmt.Sprint("kind ", n))
		}
		if got, want := len(counts()), sampleKinds+sampleLines; got != want {
			t.Errorf("%d kinds were written, want %d", got, want)
		}
		pass(sampleWindow)
		logger.Warn("afterwards")
		got, others := counts(), fmt.Sprintf("%d of others <nil>", 1000-sampleKinds-sampleLines)
		if got["afterwards"] != 1 || got[others] != 1 {
			t.Errorf("afterwards: %v", got)
		}
	})
}

func TestFlushWritesTheSummary(t *testing.T) {
	sampled(t, func(t *testing.T, logger *slog.Logger, counts func() map[string]int) {
		for range 25 {
			logger.Warn("down")
		}
		ControlOf(logger).Flush()
		pass(time.Hour)
		wantCounts(t, counts(), map[string]int{"down": 20, "5 of down <nil>": 1})
	})
}
