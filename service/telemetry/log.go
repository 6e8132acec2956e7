package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// NewLogger returns a logger that writes lines of the given format, `text` or
// `json`, from the given level on: `debug`, `info`, `warn` or `error`. Its
// [LogControl] changes the level later.
//
// Of warnings and errors of the same kind it writes 20 in ten seconds; how many
// more there were is a line of its own at the end of those.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	control := &LogControl{lines: lines{w: w}}
	if err := control.SetLevel(level); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: &control.level}
	var handler slog.Handler
	switch format {
	case "json":
		handler = slog.NewJSONHandler(&control.lines, options)
	case "text":
		handler = slog.NewTextHandler(&control.lines, options)
	default:
		return nil, fmt.Errorf("log format %q: must be text or json", format)
	}
	return slog.New(control.govern(handler)), nil
}

// LogControl is what can be changed and asked of a logger while it is used. It
// is safe for concurrent use. Nil is the control of a logger without one.
type LogControl struct {
	level slog.LevelVar
	flood flood
	lines lines
}

// ControlOf returns the control of a logger that NewLogger made, or of one
// derived from it. For any other logger it is nil.
func ControlOf(logger *slog.Logger) *LogControl {
	if governed, ok := logger.Handler().(*governed); ok {
		return governed.control
	}
	return nil
}

// Level is the level in force: `debug`, `info`, `warn` or `error`; "" of nil.
func (c *LogControl) Level() string {
	if c == nil {
		return ""
	}
	return levelName(c.level.Level())
}

// SetLevel makes the logger write lines from the level on. Any other text than
// the four of NewLogger is an error, and changes nothing; so is a nil control.
func (c *LogControl) SetLevel(text string) error {
	if c == nil {
		return fmt.Errorf("the log level cannot be changed")
	}
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if text == levelName(level) {
			c.level.Set(level)
			return nil
		}
	}
	return fmt.Errorf("log level %q: must be debug, info, warn or error", text)
}

// SetDelay lets lines about calls, warnings and errors excepted, wait for so
// long to be written together, or until another line is written, which is at
// once. With 0, as a logger begins, none waits, nor do those any more that did.
// Of nil it does nothing.
func (c *LogControl) SetDelay(delay time.Duration) {
	if c != nil {
		c.lines.setDelay(delay)
	}
}

// Suppressed is how many lines of the level were not written so far, because
// many of the same kind were.
func (c *LogControl) Suppressed(level slog.Level) int64 {
	if c == nil {
		return 0
	}
	return c.flood.suppressed(level)
}

func levelName(level slog.Level) string { return strings.ToLower(level.String()) }
