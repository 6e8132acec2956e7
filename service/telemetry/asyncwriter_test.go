package telemetry

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a writer whose writes block until the test releases them.
type gate struct {
	began   chan string
	release chan struct{}
	err     error // returned by writes
	closed  bool
}

func newGate() *gate { return &gate{began: make(chan string), release: make(chan struct{})} }

func (g *gate) Write(text []byte) (int, error) {
	g.began <- string(text)
	<-g.release
	if g.err != nil {
		return 0, g.err
	}
	return len(text), nil
}

func (g *gate) Close() error {
	g.closed = true
	return nil
}

func TestWaitingLinesAreWrittenTogether(t *testing.T) {
	out := newGate()
	writer := NewAsyncWriter(out)
	writeAll(writer, "1\n")
	if got := <-out.began; got != "1\n" {
		t.Errorf("the first write: %q", got)
	}
	writeAll(writer, "2\n", "3\n")
	out.release <- struct{}{}
	if got := <-out.began; got != "2\n3\n" {
		t.Errorf("the second write: %q", got)
	}
	out.release <- struct{}{}
	writer.Flush(time.Hour)
	writeAll(writer, "4\n")
	if got := <-out.began; got != "4\n" {
		t.Errorf("a write after a pause: %q", got)
	}
	out.release <- struct{}{}
	writer.Flush(time.Hour)
}

func writeAll(w io.Writer, lines ...string) {
	for _, line := range lines {
		_, _ = io.WriteString(w, line) // An AsyncWriter does not fail.
	}
}

func TestLinesToAPipeThatIsNotReadAreDropped(t *testing.T) {
	reader, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	writer := NewAsyncWriter(out)
	const total = 3000
	padding := strings.Repeat("x", 1000)
	for i := range total { // More than the buffer and the pipe hold.
		fmt.Fprintf(writer, "line %d %s\n", i, padding)
	}
	writer.Flush(time.Millisecond)
	dropped := writer.dropped.Load()
	if dropped == 0 {
		t.Error("nothing was dropped")
	}
	go func() {
		writer.Flush(time.Hour)
		out.Close()
	}()
	var read int64
	for scanner := bufio.NewScanner(reader); scanner.Scan(); read++ {
		if line := scanner.Text(); !strings.HasPrefix(line, "line ") || !strings.HasSuffix(line, " "+padding) {
			t.Fatalf("line %q", line)
		}
	}
	if read+dropped != total {
		t.Errorf("%d lines were read and %d dropped, of %d", read, dropped, total)
	}
}

func TestLinesToAClosedPipeAreDropped(t *testing.T) {
	reader, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	reader.Close()
	writer := NewAsyncWriter(out)
	for range 3 {
		writeAll(writer, "a line\n")
		writer.Flush(time.Hour)
	}
	if got := writer.dropped.Load(); got != 3 {
		t.Errorf("dropped: %d lines, want 3", got)
	}
}

func TestFlushReturnsAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		writer := NewAsyncWriter(out)
		writeAll(writer, "a line\n")
		<-out.began
		began := time.Now()
		writer.Flush(time.Second)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v", took)
		}
		out.release <- struct{}{}
	})
}

// smallDisk is a writer with limited space.
type smallDisk struct {
	bytes.Buffer
	room   int
	closed bool
}

func (d *smallDisk) Write(text []byte) (int, error) {
	n := min(d.room-d.Len(), len(text))
	d.Buffer.Write(text[:n])
	if n < len(text) {
		return n, errors.New("no space left")
	}
	return n, nil
}

func (d *smallDisk) Close() error {
	d.closed = true
	return nil
}

func TestTruncatedLineIsEndedBeforeTheNext(t *testing.T) {
	disk := &smallDisk{room: 15}
	writer := NewAsyncWriter(disk)
	for _, line := range []string{"line one\n", "line two\n", "line three\n"} {
		writeAll(writer, line)
		writer.Flush(time.Hour)
	}
	disk.room = 1000
	writeAll(writer, "line four\n")
	writer.Flush(time.Hour)
	if got := strings.Split(disk.String(), "\n"); len(got) != 4 || got[0] != "line one" || got[2] != "line four" {
		t.Errorf("got %q", got)
	}
	if got := writer.dropped.Load(); got != 2 {
		t.Errorf("dropped: %d lines, want 2", got)
	}
}
