package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sampleLines is the maximum number of lines of one kind in a sampleWindow.
	sampleLines  = 20
	sampleWindow = 10 * time.Second
	// sampleKinds is the maximum number of kinds counted separately in a window. Lines
	// of further kinds are counted together.
	sampleKinds = 256
)

// kind is the attributes by which log lines are limited.
type kind struct {
	level           slog.Level
	message, reason string
}

func kindOf(record slog.Record) kind {
	k := kind{level: record.Level, message: record.Message}
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "reason" {
			k.reason = attr.Value.String()
			return false
		}
		return true
	})
	return k
}

// sampler limits repeated log lines of the same level, message and reason. A
// window begins with the first line after the last window; at its end a summary
// counts the suppressed lines of each kind.
type sampler struct {
	summaries slog.Handler
	// suppressed counts lines since the start: info and below, warn, error.
	suppressed [3]atomic.Int64

	mu    sync.Mutex
	lines map[kind]int // in this window; nil outside a window
}

// admit reports whether a line of the kind may be written, and counts it.
func (s *sampler) admit(k kind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines == nil {
		s.lines = map[kind]int{}
		time.AfterFunc(sampleWindow, s.summarize)
	}
	if _, known := s.lines[k]; !known && len(s.lines) >= sampleKinds {
		k = kind{level: k.level, message: "others"}
	}
	s.lines[k]++
	if s.lines[k] <= sampleLines {
		return true
	}
	s.counter(k.level).Add(1)
	return false
}

// summarize ends the window.
func (s *sampler) summarize() {
	s.mu.Lock()
	ended := s.lines
	s.lines = nil
	s.mu.Unlock()
	for k, n := range ended {
		if n <= sampleLines {
			continue
		}
		record := slog.NewRecord(time.Now(), k.level, "log lines suppressed", 0)
		record.AddAttrs(slog.Int("lines", n-sampleLines), slog.String("of", k.message))
		if k.reason != "" {
			record.AddAttrs(slog.String("reason", k.reason))
		}
		_ = s.summaries.Handle(context.Background(), record) // The output counts lines that it drops.
	}
}

func (s *sampler) counter(level slog.Level) *atomic.Int64 {
	switch {
	case level >= slog.LevelError:
		return &s.suppressed[2]
	case level >= slog.LevelWarn:
		return &s.suppressed[1]
	default:
		return &s.suppressed[0]
	}
}
