package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestNewLoggerWritesItsFormat(t *testing.T) {
	tests := []struct{ format, time, want string }{
		{"json", `{"time":"`, `"level":"INFO","msg":"hello","key":"a \"b\""}` + "\n"},
		{"text", "time=", `level=INFO msg=hello key="a \"b\""` + "\n"},
	}
	for _, test := range tests {
		t.Run(test.format, func(t *testing.T) {
			var text bytes.Buffer
			logger, err := NewLogger(&text, "info", test.format)
			if err != nil {
				t.Fatal(err)
			}
			logger.Info("hello", "key", `a "b"`)
			got := text.String()
			if !strings.HasPrefix(got, test.time) || !strings.HasSuffix(got, test.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("got %s, want %s...%s", got, test.time, test.want)
			}
		})
	}
}

func TestNewLoggerWritesItsLevel(t *testing.T) {
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	for i, name := range []string{"debug", "info", "warn", "error"} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			logger, err := NewLogger(&text, name, "text")
			if err != nil {
				t.Fatal(err)
			}
			for _, level := range levels {
				logger.Log(t.Context(), level, "hello")
			}
			if got, want := strings.Count(text.String(), "\n"), len(levels)-i; got != want {
				t.Errorf("%d lines, want %d:\n%s", got, want, &text)
			}
		})
	}
}

func TestNewLoggerRefusesUnknownLevelsAndFormats(t *testing.T) {
	tests := []struct{ level, format, want string }{
		{"loud", "text", `log level "loud": must be debug, info, warn or error`},
		{"", "text", `log level "": must be debug, info, warn or error`},
		{"info", "xml", `log format "xml": must be text or json`},
		{"info", "", `log format "": must be text or json`},
	}
	for _, test := range tests {
		t.Run(test.level+" "+test.format, func(t *testing.T) {
			logger, err := NewLogger(new(bytes.Buffer), test.level, test.format)
			if logger != nil || err == nil || err.Error() != test.want {
				t.Errorf("got %v, %v, want %s", logger, err, test.want)
			}
		})
	}
}

func TestSetLevelChangesTheLevel(t *testing.T) {
	var text bytes.Buffer
	logger, err := NewLogger(&text, "info", "text")
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
	if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "two") {
		t.Errorf("logged %s", got)
	}
}

func TestLoggerWithoutControl(t *testing.T) {
	control := ControlOf(slog.New(slog.DiscardHandler))
	control.Flush()
	if control.Level() != "" || control.SetLevel("debug") == nil || control.suppressed(slog.LevelWarn) != 0 || control.dropped() != 0 {
		t.Error("it has a state")
	}
}
