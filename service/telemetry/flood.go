package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// What is written of warnings and errors of one kind.
const (
	floodLines  = 20
	floodWindow = 10 * time.Second
	// floodKinds bounds how many kinds are told apart at a time. Those that come
	// when there are that many are all one.
	floodKinds = 256
)

// kind is what lines have in common that tell the same. Lines about calls are
// told apart by the reason that their callers were told.
type kind struct {
	level           slog.Level
	message, reason string
}

func kindOf(record slog.Record) kind {
	k := kind{level: record.Level, message: record.Message}
	record.Attrs(func(attribute slog.Attr) bool {
		if attribute.Key == "reason" {
			k.reason = attribute.Value.String()
			return false
		}
		return true
	})
	return k
}

// flood holds back lines of a kind of which there are many. It keeps no
// goroutine; a timer runs while lines are held back.
type flood struct {
	warnings, errors atomic.Int64 // Held back since the start.

	mu    sync.Mutex
	kinds map[kind]*window
}

// window is what came of one kind since its first line. It ends after
// floodWindow.
type window struct {
	began        time.Time
	written      int
	held         int
	tell         func(kind, int)
	pendingTimer *time.Timer
}

// admit says whether to write a line of the kind. If not, tell is called at the
// end of the window with how many were held back.
func (f *flood) admit(k kind, tell func(kind, int)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, w := f.window(k, time.Now())
	if w.written < floodLines {
		w.written++
		return true
	}
	f.count(k.level)
	w.held++
	if w.pendingTimer == nil {
		w.tell = tell
		w.pendingTimer = time.AfterFunc(time.Until(w.began.Add(floodWindow)), func() { f.end(k, w) })
	}
	return false
}

// window is the kind's, which begins if there is none.
func (f *flood) window(k kind, now time.Time) (kind, *window) {
	if w := f.kinds[k]; w != nil && (w.held > 0 || now.Sub(w.began) < floodWindow) {
		return k, w
	}
	if f.kinds == nil {
		f.kinds = map[kind]*window{}
	}
	if f.kinds[k] == nil && len(f.kinds) >= floodKinds {
		f.forget(now)
	}
	if f.kinds[k] == nil && len(f.kinds) >= floodKinds {
		k = kind{level: k.level, message: "others"}
		if w := f.kinds[k]; w != nil {
			return k, w
		}
	}
	w := &window{began: now}
	f.kinds[k] = w
	return k, w
}

// forget drops the kinds whose window has ended.
func (f *flood) forget(now time.Time) {
	for k, w := range f.kinds {
		if w.held == 0 && now.Sub(w.began) >= floodWindow {
			delete(f.kinds, k)
		}
	}
}

// end tells how many lines were held back, unless that was told already.
func (f *flood) end(k kind, w *window) {
	f.mu.Lock()
	current := f.kinds[k] == w
	if current {
		delete(f.kinds, k)
	}
	f.mu.Unlock()
	if current {
		w.tell(k, w.held)
	}
}

// flush ends all windows in which lines were held back.
func (f *flood) flush() {
	f.mu.Lock()
	ended := map[kind]*window{}
	for k, w := range f.kinds {
		if w.held > 0 {
			ended[k] = w
			w.pendingTimer.Stop()
		}
	}
	f.mu.Unlock()
	for k, w := range ended {
		f.end(k, w)
	}
}

func (f *flood) count(level slog.Level) { f.counter(level).Add(1) }

func (f *flood) suppressed(level slog.Level) int64 { return f.counter(level).Load() }

func (f *flood) counter(level slog.Level) *atomic.Int64 {
	if level >= slog.LevelError {
		return &f.errors
	}
	return &f.warnings
}

// Flush writes the lines that wait, and how many were held back so far. It is for
// the end of the process.
func (c *LogControl) Flush() {
	if c != nil {
		c.flood.flush()
		_ = c.lines.end() // There is nowhere to say it.
	}
}

func (c *LogControl) govern(handler slog.Handler) slog.Handler {
	return &governed{Handler: handler, control: c}
}

// governed is a handler under a control.
type governed struct {
	slog.Handler
	control *LogControl
}

// Handle writes the line, or holds it back.
func (g *governed) Handle(ctx context.Context, record slog.Record) error {
	if record.Level < slog.LevelWarn || g.control.flood.admit(kindOf(record), g.tell) {
		return g.write(ctx, &record, g.control.lines.end)
	}
	return nil
}

// handleLater writes a line that may wait.
func (g *governed) handleLater(ctx context.Context, record *slog.Record) error {
	return g.write(ctx, record, g.control.lines.wait)
}

// write has the line written as then says.
func (g *governed) write(ctx context.Context, record *slog.Record, then func() error) error {
	if err := g.Handler.Handle(ctx, *record); err != nil {
		return err
	}
	return then()
}

// tell writes the line that stands for those held back.
func (g *governed) tell(k kind, held int) {
	ctx := context.Background()
	record := slog.NewRecord(time.Now(), k.level, "log lines suppressed", 0)
	record.AddAttrs(slog.Int("lines", held), slog.String("of", k.message))
	if k.reason != "" {
		record.AddAttrs(slog.String("reason", k.reason))
	}
	_ = g.write(ctx, &record, g.control.lines.end) // There is nowhere to say it.
}

// WithAttrs is slog.Handler's.
func (g *governed) WithAttrs(attributes []slog.Attr) slog.Handler {
	return g.control.govern(g.Handler.WithAttrs(attributes))
}

// WithGroup is slog.Handler's.
func (g *governed) WithGroup(name string) slog.Handler {
	return g.control.govern(g.Handler.WithGroup(name))
}
