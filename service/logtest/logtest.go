// Package logtest has a buffer for the output of what a test runs.
package logtest

import (
	"bytes"
	"sync"
)

// Buffer is a buffer that can be read, and waited for, while it is written. The zero
// Buffer is empty.
type Buffer struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // nil if nothing waits for it.
}

// Write implements io.Writer. It does not fail.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grown != nil {
		close(b.grown)
		b.grown = nil
	}
	return b.text.Write(p)
}

// Read returns what was written, and a channel that the next Write closes.
func (b *Buffer) Read() (text string, grown <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grown == nil {
		b.grown = make(chan struct{})
	}
	return b.text.String(), b.grown
}

// String returns what was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Reset empties the buffer.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}
