package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// NewLogger returns a logger that writes lines of the level (debug, info, warn or error)
// and above to w, in the format text or json. [ControlOf] changes the level later.
//
// Warnings and errors of the same level, message and reason are limited to 20 in ten
// seconds. A summary line then counts the suppressed ones.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	control := new(LogControl)
	control.output, _ = w.(*AsyncWriter)
	if err := control.SetLevel(level); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: &control.level}
	var base slog.Handler
	switch format {
	case "json":
		base = slog.NewJSONHandler(w, options)
	case "text":
		base = slog.NewTextHandler(w, options)
	default:
		return nil, fmt.Errorf("log format %q: must be text or json", format)
	}
	control.sampler.summaries = base
	return slog.New(&handler{base, control}), nil
}

// handler drops the lines that its control's sampler does not admit.
type handler struct {
	slog.Handler
	control *LogControl
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelWarn && !h.control.sampler.admit(kindOf(record)) {
		return nil
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.control}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.control}
}

// LogControl reads and changes the level of a logger that is in use. It is safe for
// concurrent use, and its methods can be called on nil.
type LogControl struct {
	level   slog.LevelVar
	sampler sampler
	output  *AsyncWriter // nil if the logger writes to another writer
}

// ControlOf returns the control of a logger that [NewLogger] returned, or of one
// derived from it, and nil for any other logger.
func ControlOf(logger *slog.Logger) *LogControl {
	if h, ok := logger.Handler().(*handler); ok {
		return h.control
	}
	return nil
}

// Level returns the level in force: debug, info, warn or error; "" for nil.
func (c *LogControl) Level() string {
	if c == nil {
		return ""
	}
	return levelName(c.level.Level())
}

// SetLevel sets the level to debug, info, warn or error. For any other text, and for
// a nil control, it returns an error and changes nothing.
func (c *LogControl) SetLevel(text string) error {
	if c == nil {
		return errors.New("the log level cannot be changed")
	}
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if text == levelName(level) {
			c.level.Set(level)
			return nil
		}
	}
	return fmt.Errorf("log level %q: must be debug, info, warn or error", text)
}

// Flush writes the summary of suppressed lines. It should be called before the
// process ends.
func (c *LogControl) Flush() {
	if c != nil {
		c.sampler.summarize()
	}
}

// suppressed returns the number of lines of the level that the sampler dropped.
func (c *LogControl) suppressed(level slog.Level) int64 {
	if c == nil {
		return 0
	}
	return c.sampler.counter(level).Load()
}

// dropped returns the number of lines that the output dropped.
func (c *LogControl) dropped() int64 {
	if c == nil || c.output == nil {
		return 0
	}
	return c.output.dropped.Load()
}

func levelName(level slog.Level) string { return strings.ToLower(level.String()) }
