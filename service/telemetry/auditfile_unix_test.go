//go:build unix

package telemetry

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestAuditFileOnAFullDiskHasWholeLines has a write that the operating system cuts
// short.
func TestAuditFileOnAFullDiskHasWholeLines(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	path := filepath.Join(t.TempDir(), "audit.log")
	sink := openAudit(t, path)
	writeNamed(t, sink, 0)
	size := uint64(len(readFile(t, path)))

	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := func(bytes uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
	}
	limit(2*size + size/2)
	err := sink.write(named(1), time.Hour)
	full := sink.write(named(2), time.Hour)
	limit(before.Cur)
	if err != nil || full == nil {
		t.Errorf("the record that fits: %v; the other: %v", err, full)
	}
	wantNames(t, readFile(t, path), 0, 1)

	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := sink.Reopen(); err != nil {
		t.Fatal(err)
	}
	writeNamed(t, sink, 3)
	wantNames(t, readFile(t, path+".1"), 0, 1)
	wantNames(t, readFile(t, path), 2, 3)
}

// TestAuditToANamedPipe: without a reader it is an error, and does not block the start.
func TestAuditToANamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openLines(path); !errors.Is(err, syscall.ENXIO) {
		t.Fatalf("without a reader: %v", err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	out, err := openLines(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	file := auditFile{out: out}
	if _, err := file.write([]byte("line\n")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if n, err := reader.Read(got); string(got[:n]) != "line\n" {
		t.Errorf("got %q, %v", got[:n], err)
	}
}
