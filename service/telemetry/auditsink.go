package telemetry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// AuditSink is where audit records go, a line of JSON each.
type AuditSink struct {
	open     func() (io.WriteCloser, error)
	failures atomic.Int64

	writing sync.Mutex // Held while lines are written, and locked before mu.
	out     io.WriteCloser
	spare   []byte // To gather the next lines in.
	written int64  // How many bytes were, of those that were put.

	mu      sync.Mutex
	pending []byte // What is to be written; what could not be goes first.
	taken   int    // How many bytes are being written.
	put     int64  // How many bytes were put behind others.
}

// maxPending bounds what is kept of records that could not be written.
const maxPending = 1 << 20

// OpenAudit opens the file to append to, and makes it if there is none, for its
// owner alone to read. `-` is standard output.
func OpenAudit(path string) (*AuditSink, error) {
	if path == "-" {
		return newAuditSink(func() (io.WriteCloser, error) { return unclosed{os.Stdout}, nil })
	}
	return newAuditSink(func() (io.WriteCloser, error) {
		return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) // #nosec G304 -- the operator names it
	})
}

func newAuditSink(open func() (io.WriteCloser, error)) (*AuditSink, error) {
	out, err := open()
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return &AuditSink{open: open, out: out}, nil
}

type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// Reopen opens the file anew, after it was moved away. On an error the old one
// stays.
func (s *AuditSink) Reopen() error {
	out, err := s.open()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	err = s.out.Close()
	s.out = out
	return err
}

// Close closes the file.
func (s *AuditSink) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return errors.Join(s.flush(), s.out.Close())
}

// Failures counts how often records could not be written. Those of nil are 0.
func (s *AuditSink) Failures() int64 {
	if s == nil {
		return 0
	}
	return s.failures.Load()
}

// ready writes what could not be written before, and returns why it still
// cannot.
func (s *AuditSink) ready() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.flush()
}

// write puts the record behind those that wait and writes them all. Records that
// come while others are written wait for their turn, and then go together.
func (s *AuditSink) write(record *Record) error {
	end, lost := s.gather(record)
	s.writing.Lock()
	defer s.writing.Unlock()
	if lost == nil && s.written >= end {
		return nil
	}
	return errors.Join(lost, s.flush())
}

// gather puts the record behind those that wait, and returns where it ends among
// all that were. An error says that there is no room for it.
func (s *AuditSink) gather(record *Record) (end int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := len(s.pending)
	s.pending = record.appendTo(s.pending)
	if s.taken+len(s.pending) > maxPending {
		s.pending = s.pending[:waiting]
		s.failures.Add(1)
		return 0, errors.New("too many records wait to be written: this one is lost")
	}
	s.put += int64(len(s.pending) - waiting)
	return s.put, nil
}

// flush writes what waits. A line that was written in part is written on, not
// anew.
func (s *AuditSink) flush() error {
	lines, end := s.take()
	if len(lines) == 0 {
		return nil
	}
	n, err := s.out.Write(lines)
	if err != nil {
		s.failures.Add(1)
	}
	if n > 0 {
		lines = lines[:copy(lines, lines[n:])]
	}
	s.written = end - int64(len(lines))
	s.putBack(lines)
	return err
}

// take takes what waits, and returns where that ends.
func (s *AuditSink) take() (lines []byte, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines = s.pending
	if len(lines) > 0 {
		s.pending, s.taken = s.spare, len(lines)
	}
	return lines, s.put
}

// putBack puts what was taken and not written before what came meanwhile.
func (s *AuditSink) putBack(rest []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = 0
	if len(rest) == 0 {
		s.spare = rest
		return
	}
	s.pending, s.spare = append(rest, s.pending...), s.pending[:0]
}
