package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the tests' own program be the servers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestFlagsThatAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"floor "}, {"-rounds", "0"}, {"-starts", "0"}, {"-slice", "0s"}, {"-upstream", "h3"}, {"-unknown"},
	} {
		if _, err := parse(args, new(bytes.Buffer)); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

// TestASmallRun measures everything, with so few calls that the numbers mean
// nothing.
func TestASmallRun(t *testing.T) {
	b := smallBench(t, "-conferenced", conferenced(t))
	var report strings.Builder
	if err := b.compare(t.Context(), &report); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### 1 callers", "### 32 callers", "### Half load", "### 8 calls in flight", "### Start and size", "### Targets", "× floor", "× other",
		"| " + nameFloor + " |", "| " + namePeer + " |", "| " + namePeerREST + " |",
		"| " + nameGRPC + " |", "| " + nameREST + " |", "| " + nameTwilio + " |",
	} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("no %q in\n%s", want, report.String())
		}
	}
	if strings.Contains(report.String(), "NaN") {
		t.Errorf("a number is missing in\n%s", report.String())
	}
}

// TestUpstreams has every contestant make calls over each kind of upstream.
func TestUpstreams(t *testing.T) {
	binary := conferenced(t)
	for _, upstream := range []string{tlsHTTP1, tlsHTTP2} {
		t.Run(upstream, func(t *testing.T) {
			b := smallBench(t, "-conferenced", binary, "-upstream", upstream)
			if err := b.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTwoVersions(t *testing.T) {
	binary := conferenced(t)
	b := smallBench(t, "-conferenced", binary, "-baseline", binary)
	var report strings.Builder
	if err := b.compareVersions(t.Context(), &report); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| new " + nameGRPC + " |", "| baseline " + nameGRPC + " |"} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("no %q in\n%s", want, report.String())
		}
	}
}

func TestASmallSoak(t *testing.T) {
	b := smallBench(t, "-conferenced", conferenced(t), "-soak", "300ms")
	var rows strings.Builder
	if err := b.soak(t.Context(), &rows); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(rows.String(), "RSS of the last third") {
		t.Errorf("no summary in\n%s", rows.String())
	}
}

// smallBench is a bench of few and short measurements.
func smallBench(t *testing.T, args ...string) *bench {
	t.Helper()
	o, err := parse(slices.Concat([]string{"-rounds", "1", "-slice", "20ms", "-starts", "1"}, args), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	o.counts, o.inFlight, o.slowUpstream = []int{1, usualClients}, 8, 20*time.Millisecond
	b, err := prepare(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

// conferenced builds the real one, in the way of this test, so that little is
// compiled anew.
func conferenced(t *testing.T) string {
	t.Helper()
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("it runs many processes, on Linux")
	}
	out := filepath.Join(t.TempDir(), "conferenced")
	args := []string{"build", "-o", out}
	if withRaceDetector() {
		args = append(args, "-race")
	}
	if text, err := exec.CommandContext(t.Context(), "go", append(args, "conferenced/cmd/conferenced")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return out
}

func withRaceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
