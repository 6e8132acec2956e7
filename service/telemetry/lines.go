package telemetry

import (
	"io"
	"sync"
	"time"
)

// maxLines bounds, in bytes, what waits to be written together.
const maxLines = 64 << 10

// lines are what a logger writes. Those that may wait are written together. It is
// safe for concurrent use.
type lines struct {
	w io.Writer

	mu    sync.Mutex
	delay time.Duration // 0: nothing waits.
	text  []byte
	timer *time.Timer // Runs while there is text.
}

// Write puts a line behind those that wait. The caller says with end or wait
// when they are written.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, line...)
	if len(l.text) < maxLines {
		return len(line), nil
	}
	return len(line), l.write()
}

// setDelay sets how long lines may wait, and writes those that do.
func (l *lines) setDelay(delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = delay
	_ = l.write() // There is nowhere to say it.
}

// end writes the lines that wait.
func (l *lines) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.write()
}

// wait has the lines written after the delay, if not before.
func (l *lines) wait() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.delay == 0:
		return l.write()
	case len(l.text) == 0: // Others' warnings took it along.
	case l.timer == nil:
		l.timer = time.AfterFunc(l.delay, func() { _ = l.end() })
	}
	return nil
}

func (l *lines) write() error {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if len(l.text) == 0 {
		return nil
	}
	defer func() { l.text = l.text[:0] }()
	_, err := l.w.Write(l.text)
	return err
}
