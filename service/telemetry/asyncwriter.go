package telemetry

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// maxBuffered is the maximum number of bytes that wait in an AsyncWriter. The current
// write may have as many more.
const maxBuffered = 1 << 20

// gatherTime is how long a line waits, so that later lines are written together with it.
// Without it the log of a busy service costs twice the CPU.
const gatherTime = 10 * time.Millisecond

// AsyncWriter writes lines to another writer from a goroutine of its own, and the lines
// of 10 milliseconds together. A reader that stalls or exits delays no caller of
// Write: lines that do not fit into 1 MiB or cannot be written are dropped and
// counted. It is safe for concurrent use.
type AsyncWriter struct {
	w       io.Writer
	dropped atomic.Int64 // lines
	torn    bool         // the last write ended within a line; only for run

	mu      sync.Mutex
	pending []byte
	spare   []byte        // the buffer that is not pending
	idle    chan struct{} // closed when nothing is pending; nil: nothing is
}

// NewAsyncWriter returns a writer to w. It must be flushed before the process
// ends.
func NewAsyncWriter(w io.Writer) *AsyncWriter { return &AsyncWriter{w: w} }

// Write queues one or more whole lines. It never blocks and never fails.
func (a *AsyncWriter) Write(lines []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending)+len(lines) > maxBuffered {
		a.drop(lines)
		return len(lines), nil
	}
	a.pending = append(a.pending, lines...)
	if a.idle == nil {
		a.idle = make(chan struct{})
		time.AfterFunc(gatherTime, a.run)
	}
	return len(lines), nil
}

// Flush waits until all lines are written or the timeout has passed.
func (a *AsyncWriter) Flush(timeout time.Duration) {
	a.mu.Lock()
	idle := a.idle
	a.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(timeout):
	}
}

// run writes what is pending, and runs again if lines have arrived meanwhile.
func (a *AsyncWriter) run() {
	a.mu.Lock()
	lines := a.pending
	a.pending = a.spare[:0]
	a.mu.Unlock()
	a.write(lines)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spare = lines
	if len(a.pending) > 0 {
		time.AfterFunc(gatherTime, a.run)
		return
	}
	close(a.idle)
	a.idle = nil
}

// write writes the lines. If the last write ended within a line, it first writes a line
// end, so that the next line is separate.
func (a *AsyncWriter) write(lines []byte) {
	if a.torn {
		_, err := a.w.Write([]byte("\n"))
		a.torn = err != nil
	}
	if a.torn {
		a.drop(lines)
		return
	}
	n, err := a.w.Write(lines)
	if err != nil {
		a.drop(lines[n:])
		a.torn = n > 0 && lines[n-1] != '\n'
	}
}

func (a *AsyncWriter) drop(lines []byte) { a.dropped.Add(int64(bytes.Count(lines, []byte("\n")))) }
