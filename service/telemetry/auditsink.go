package telemetry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxPending is the maximum number of bytes of queued records. Records of
	// unauthenticated calls may use half of it.
	maxPending = 1 << 20
	// stallTime is the maximum duration of a write. After it the sink is stalled until
	// the write ends.
	stallTime = time.Second
	// unauthenticatedRecords is the maximum rate of records of unauthenticated calls per
	// second, and unauthenticatedBurst the burst.
	unauthenticatedRecords = 10
	unauthenticatedBurst   = 100
)

var (
	errStalled = errors.New("a write to the audit file has stalled")
	errTooSlow = errors.New("the audit record was not written in time")
	errFull    = errors.New("too many audit records are queued: this one is lost")
)

// AuditSink writes audit records to a file, one line of JSON each. One goroutine
// writes, and records that arrive during a write are written together afterwards. It
// is safe for concurrent use.
//
// Records that cannot be written stay queued, up to 1 MiB, and are written before
// later ones.
type AuditSink struct {
	open func() (io.WriteCloser, error) // nil: for standard output

	failures        atomic.Int64
	skipped         atomic.Int64 // records, since the start
	unreported      atomic.Int64 // of skipped: since the last record of an unauthenticated call
	unauthenticated *rate.Limiter

	mu       sync.Mutex
	pending  []byte    // lines
	spare    []byte    // the memory of the last write's lines, for the next ones
	taken    int       // bytes of the lines that are being written
	began    time.Time // when that write began; zero if there is none
	next     *auditWrite
	running  bool           // the goroutine is running
	reopened io.WriteCloser // replaces the file before the next write; may be nil
	last     *auditWrite    // closes the file; nil until Close
	lastErr  error          // of the last write

	file *auditFile // used by run alone
}

// auditWrite is one write of all lines that are queued when it begins.
type auditWrite struct {
	done chan struct{}
	err  error // set before done is closed
}

// OpenAudit opens the file to append to, and creates it with mode 0600. The path "-"
// means standard output.
func OpenAudit(path string) (*AuditSink, error) {
	if path == "-" {
		return newAuditSink(unclosed{os.Stdout}, nil), nil
	}
	open := func() (io.WriteCloser, error) { return openLines(path) }
	out, err := open()
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return newAuditSink(out, open), nil
}

func newAuditSink(out io.WriteCloser, open func() (io.WriteCloser, error)) *AuditSink {
	return &AuditSink{
		open: open, file: &auditFile{out: out},
		unauthenticated: rate.NewLimiter(unauthenticatedRecords, unauthenticatedBurst),
	}
}

// Reopen opens the file again, after a rotation has renamed it. Records whose write
// has not begun go to the new file, and the old one is closed. After an error the old
// file stays in use. Standard output is not reopened.
func (s *AuditSink) Reopen() error {
	if s.open == nil {
		return nil
	}
	out, err := s.open()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reopened != nil {
		_ = s.reopened.Close() // Nothing was written to it.
	}
	s.reopened = out
	s.schedule()
	return nil
}

// Close writes the queued records and closes the file. It waits for at most a second,
// and does not wait for a write that has already stalled.
func (s *AuditSink) Close() error {
	s.mu.Lock()
	if s.stalled() {
		s.mu.Unlock()
		return errStalled
	}
	write := s.schedule()
	s.last = write
	s.mu.Unlock()
	return s.wait(write, stallTime)
}

// admit reports whether an unauthenticated call gets a record, and counts the calls
// that do not.
func (s *AuditSink) admit() bool {
	if s.unauthenticated.Allow() {
		return true
	}
	s.skipped.Add(1)
	s.unreported.Add(1)
	return false
}

// Check returns an error if records cannot be written now. After an error it tries to
// write again, for a second at most.
func (s *AuditSink) Check() error { return s.ready(stallTime) }

// ready returns an error if records cannot be written now. If the last write failed, it
// tries another write and waits for that until the timeout.
func (s *AuditSink) ready(timeout time.Duration) error {
	s.mu.Lock()
	if s.stalled() {
		s.mu.Unlock()
		s.failures.Add(1)
		return errStalled
	}
	if s.lastErr == nil {
		s.mu.Unlock()
		return nil
	}
	write := s.schedule()
	s.mu.Unlock()
	return s.wait(write, min(timeout, stallTime))
}

// write queues the record and waits until it is written. After an error the record
// may still be queued.
func (s *AuditSink) write(record *Record, timeout time.Duration) error {
	line, err := json.Marshal(record)
	if err != nil {
		return err
	}
	write, err := s.put(line, record.KnownBy != "")
	if err != nil {
		return err
	}
	return s.wait(write, timeout)
}

func (s *AuditSink) put(line []byte, authenticated bool) (*auditWrite, error) {
	room := maxPending
	if !authenticated {
		room /= 2
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken+len(s.pending)+len(line) > room {
		s.failures.Add(1)
		return nil, errFull
	}
	s.pending = append(append(s.pending, line...), '\n')
	return s.schedule(), nil
}

// wait waits for a write until the timeout.
func (s *AuditSink) wait(write *auditWrite, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-write.done:
		return write.err
	case <-timer.C:
		s.failures.Add(1)
		return errTooSlow
	}
}

func (s *AuditSink) hasStalled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stalled()
}

// stalled reports whether the current write exceeds stallTime. The caller holds mu.
func (s *AuditSink) stalled() bool { return !s.began.IsZero() && time.Since(s.began) >= stallTime }

// schedule returns the next write, and starts the goroutine if it is not running. The
// caller holds mu.
func (s *AuditSink) schedule() *auditWrite {
	if s.next == nil {
		s.next = &auditWrite{done: make(chan struct{})}
	}
	if !s.running {
		s.running = true
		go s.run()
	}
	return s.next
}

// run makes the scheduled writes.
func (s *AuditSink) run() {
	for {
		runtime.Gosched() // Calls that are about to end add their records to this write.
		write, lines, reopened := s.take()
		if write == nil {
			return
		}
		if reopened != nil {
			_ = s.file.out.Close() // Errors of writes were handled by write.
			s.file = &auditFile{out: reopened}
		}
		n, err := s.file.write(lines)
		s.end(write, lines, n, err)
	}
}

// take begins the next write. If none is scheduled, the goroutine ends.
func (s *AuditSink) take() (write *auditWrite, lines []byte, reopened io.WriteCloser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	write, lines, reopened = s.next, s.pending, s.reopened
	if write == nil {
		s.running = false
		return nil, nil, nil
	}
	s.next, s.pending, s.spare, s.reopened = nil, s.spare, nil, nil
	s.taken, s.began = len(lines), time.Now()
	return write, lines, reopened
}

// end ends a write of n bytes of the lines, and queues the rest.
func (s *AuditSink) end(write *auditWrite, lines []byte, n int, err error) {
	s.mu.Lock()
	rest := lines[n:]
	if len(rest) > 0 {
		s.pending = append(rest, s.pending...)
	} else {
		s.spare = lines[:0]
	}
	s.taken, s.began, s.lastErr = 0, time.Time{}, err
	last := write == s.last
	s.mu.Unlock()
	if err != nil {
		s.failures.Add(1)
	}
	if last {
		err = errors.Join(err, s.file.out.Close())
	}
	write.err = err
	close(write.done)
}
