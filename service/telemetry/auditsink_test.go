package telemetry

import (
	"errors"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// heldFile is a file whose writes wait until the test lets each go, with an
// error or without. An error comes after the first byte.
type heldFile struct {
	began chan int // The lines that are to be written.
	let   chan error
	text  strings.Builder
}

func (f *heldFile) Write(text []byte) (int, error) {
	f.began <- strings.Count(string(text), "\n")
	err := <-f.let
	if err != nil {
		text = text[:1]
	}
	f.text.Write(text)
	return len(text), err
}

func (f *heldFile) Close() error { return nil }

// heldSink is a sink with such a file, and some calls, the first of which is
// writing its record while the others wait. What becomes of them comes by the
// channel.
func heldSink(t *testing.T, others int) (*AuditSink, *heldFile, <-chan error) {
	t.Helper()
	file := &heldFile{began: make(chan int), let: make(chan error)}
	sink, err := newAuditSink(func() (io.WriteCloser, error) { return file, nil })
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 1+others)
	go func() { results <- sink.write(&Record{Caller: "0"}) }()
	if got := <-file.began; got != 1 {
		t.Fatalf("the first write has %d lines", got)
	}
	for i := range others {
		go func() { results <- sink.write(&Record{Caller: strconv.Itoa(1 + i)}) }()
		for gathered(sink) <= i {
			runtime.Gosched()
		}
	}
	return sink, file, results
}

// gathered counts the records that wait.
func gathered(s *AuditSink) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(string(s.pending), "\n")
}

// inOrder wants each call's record once, in the order in which they came.
func (f *heldFile) inOrder(t *testing.T, calls int) {
	t.Helper()
	var want, got []string
	for i := range calls {
		want = append(want, strconv.Itoa(i))
	}
	for line := range strings.Lines(f.text.String()) {
		_, rest, _ := strings.Cut(line, `"caller":"`)
		caller, _, _ := strings.Cut(rest, `"`)
		got = append(got, caller)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestRecordsThatWaitAreWrittenTogether(t *testing.T) {
	const others = 10
	_, file, results := heldSink(t, others)
	if len(results) > 0 {
		t.Error("a call was told before its record was written")
	}
	file.let <- nil
	if err := <-results; err != nil {
		t.Error(err)
	}
	if got := <-file.began; got != others {
		t.Errorf("the second write has %d lines, want %d", got, others)
	}
	if len(results) > 0 {
		t.Error("a call was told before its record was written")
	}
	file.let <- nil
	for range others {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	file.inOrder(t, 1+others)
}

// TestEachCallIsToldThatItsRecordIsNotWritten: one whose record went with
// another's tries it again by itself.
func TestEachCallIsToldThatItsRecordIsNotWritten(t *testing.T) {
	const others = 3
	full := errors.New("no space left")
	sink, file, results := heldSink(t, others)
	for i := range 1 + others {
		if i > 0 {
			<-file.began
		}
		file.let <- full
	}
	for range 1 + others {
		if err := <-results; !errors.Is(err, full) {
			t.Errorf("a call was told %v", err)
		}
	}
	if got := sink.Failures(); got != 1+others {
		t.Errorf("%d failures, want %d", got, 1+others)
	}
	written := make(chan error)
	go func() { written <- sink.write(&Record{Caller: strconv.Itoa(1 + others)}) }()
	<-file.began
	file.let <- nil
	if err := <-written; err != nil {
		t.Error(err)
	}
	file.inOrder(t, 2+others)
}

func TestARecordThatAnotherWriteSavesIsWritten(t *testing.T) {
	full := errors.New("no space left")
	_, file, results := heldSink(t, 2)
	file.let <- full // The first one's.
	<-file.began
	file.let <- full // That of one of the others, with all.
	<-file.began
	file.let <- nil // That of the last, with all.
	failed := 0
	for range 3 {
		if err := <-results; err != nil {
			failed++
		}
	}
	if failed != 2 {
		t.Errorf("%d calls failed, want the two that tried in vain", failed)
	}
	file.inOrder(t, 3)
}

func TestRecordsBeingWrittenCountAsKept(t *testing.T) {
	sink := &AuditSink{taken: maxPending}
	if _, err := sink.gather(new(Record)); err == nil || len(sink.pending) != 0 || sink.Failures() != 1 {
		t.Errorf("got %v, %d bytes wait, %d failures", err, len(sink.pending), sink.Failures())
	}
}
