package telemetry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// named returns a record with the number as its caller.
func named(n int) *Record { return &Record{Caller: strconv.Itoa(n), KnownBy: "token"} }

// wantNames checks that text consists of the named records, in order.
func wantNames(t *testing.T, text string, names ...int) {
	t.Helper()
	var got []int
	for _, record := range records(t, text) {
		n, err := strconv.Atoi(record.Caller)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Errorf("records %v, want %v", got, names)
	}
}

func TestQueuedRecordsAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		sink := newAuditSink(out, nil)
		results := make(chan error, 11)
		for i := range 11 {
			go func() { results <- sink.write(named(i), time.Hour) }()
			synctest.Wait() // The first is being written, and the others are queued.
		}
		wantNames(t, <-out.began, 0)
		if len(results) > 0 {
			t.Error("write returned before the record was written")
		}
		out.release <- struct{}{}
		wantNames(t, <-out.began, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
		synctest.Wait()
		if len(results) != 1 {
			t.Errorf("write returned %d times after the first write", len(results))
		}
		out.release <- struct{}{}
		for range 11 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestQueuedRecordsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		sink := newAuditSink(out, nil)
		go func() { _ = sink.write(named(0), time.Hour) }()
		<-out.began
		const length = 10_000
		fill := func(record *Record) {
			record.Method = strings.Repeat("x", length)
			for range 2 * maxPending / length {
				_ = sink.write(record, 0) // The write stalls.
			}
		}
		fill(new(Record)) // Unauthenticated.
		half := len(sink.pending)
		fill(named(1))
		if len(sink.pending)+sink.taken > maxPending || half > maxPending/2 || len(sink.pending) < maxPending*9/10 {
			t.Errorf("pending: %d bytes, then %d", half, len(sink.pending))
		}
		large := named(2)
		large.Method = strings.Repeat("x", length)
		if err := sink.write(large, 0); !errors.Is(err, errFull) {
			t.Errorf("one record more: %v", err)
		}
		out.release <- struct{}{}
		<-out.began
		out.release <- struct{}{}
		synctest.Wait()
		go func() {
			<-out.began
			out.release <- struct{}{}
		}()
		if err := sink.write(large, time.Hour); err != nil {
			t.Errorf("a record after the stall: %v", err)
		}
	})
}

func TestRecordsThatArriveDuringAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		sink := newAuditSink(out, nil)
		results := make(chan error, 2)
		for i := range 2 {
			go func() { results <- sink.write(named(i), time.Hour) }()
			synctest.Wait()
		}
		wantNames(t, <-out.began, 0)
		out.err = io.ErrShortWrite
		out.release <- struct{}{}
		if err := <-results; !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("the first record: %v", err)
		}
		wantNames(t, <-out.began, 0, 1)
		out.err = nil
		out.release <- struct{}{}
		if err := <-results; err != nil {
			t.Errorf("the second record: %v", err)
		}
	})
}

// TestCloseDuringAWrite: the records that are queued then are written before the file is
// closed.
func TestCloseDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		sink := newAuditSink(out, nil)
		results := make(chan error, 3)
		for i := range 2 {
			go func() { results <- sink.write(named(i), time.Hour) }()
			synctest.Wait()
		}
		wantNames(t, <-out.began, 0)
		go func() { results <- sink.Close() }()
		synctest.Wait()
		out.release <- struct{}{}
		wantNames(t, <-out.began, 1)
		if out.closed {
			t.Error("the file is closed before the last record is written")
		}
		out.release <- struct{}{}
		for range 3 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if !out.closed {
			t.Error("the file is not closed")
		}
	})
}

func TestAuditToAPipeThatIsNotRead(t *testing.T) {
	reader, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	sink := newAuditSink(out, nil)
	large := named(0)
	large.Method = strings.Repeat("x", 10_000)
	for range maxPending / 1000 { // More than the pipe holds.
		if err = sink.write(large, 0); errors.Is(err, errFull) {
			break
		}
	}
	if !errors.Is(err, errFull) {
		t.Errorf("the last record: %v", err)
	}
	reader.Close()
	if err := sink.write(named(1), time.Hour); err == nil {
		t.Error("a record was written to a pipe whose reader has exited")
	}
}

func TestAuditFileIsAppendedToAndReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for n := range 2 {
		sink := openAudit(t, path)
		writeNamed(t, sink, n)
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sink := openAudit(t, path)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := sink.Reopen(); err != nil {
		t.Fatal(err)
	}
	writeNamed(t, sink, 2)
	wantNames(t, readFile(t, path+".1"), 0, 1)
	wantNames(t, readFile(t, path), 2)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := sink.Reopen(); err == nil {
		t.Error("a file in a folder that does not exist was opened")
	}
	writeNamed(t, sink, 3) // To the file that is still open.
}

func openAudit(t *testing.T, path string) *AuditSink {
	t.Helper()
	sink, err := OpenAudit(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() }) // The test may have closed it.
	return sink
}

func writeNamed(t *testing.T, sink *AuditSink, n int) {
	t.Helper()
	if err := sink.write(named(n), time.Hour); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAuditFileThatEndsWithinALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(`{"time":`), 0o600); err != nil {
		t.Fatal(err)
	}
	writeNamed(t, openAudit(t, path), 1)
	_, rest, _ := strings.Cut(readFile(t, path), "\n")
	wantNames(t, rest, 1)
}

// TestRotationOfAFileThatCannotBeTruncated checks that the new file has the complete
// record.
func TestRotationOfAFileThatCannotBeTruncated(t *testing.T) {
	full, empty := &smallDisk{room: 10}, &smallDisk{room: 1000}
	sink := newAuditSink(full, func() (io.WriteCloser, error) { return empty, nil })
	if err := sink.write(named(0), time.Hour); err == nil {
		t.Error("a record was written to a full disk")
	}
	if err := sink.Reopen(); err != nil {
		t.Fatal(err)
	}
	writeNamed(t, sink, 1)
	wantNames(t, empty.String(), 0, 1)
	if !full.closed || empty.closed {
		t.Errorf("closed: the old file %v, the new one %v", full.closed, empty.closed)
	}
}
