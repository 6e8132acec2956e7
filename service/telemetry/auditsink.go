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

	mu      sync.Mutex
	out     io.WriteCloser
	pending []byte // What is to be written; what could not be goes first.
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
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.out.Close()
	s.out = out
	return err
}

// Close closes the file.
func (s *AuditSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush()
}

// write puts the record behind those that wait and writes them all.
func (s *AuditSink) write(record *Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := len(s.pending)
	s.pending = record.appendTo(s.pending)
	if len(s.pending) > maxPending {
		s.pending = s.pending[:waiting]
		s.failures.Add(1)
		return errors.Join(errors.New("too many records wait to be written: this one is lost"), s.flush())
	}
	return s.flush()
}

// flush writes what waits. A line that was written in part is written on, not
// anew.
func (s *AuditSink) flush() error {
	if len(s.pending) == 0 {
		return nil
	}
	n, err := s.out.Write(s.pending)
	if n > 0 {
		s.pending = s.pending[:copy(s.pending, s.pending[n:])]
	}
	if err != nil {
		s.failures.Add(1)
	}
	return err
}
