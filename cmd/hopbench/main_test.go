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

// TestMain lets the test's own binary be the servers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && servers[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestRefusedArguments(t *testing.T) {
	for _, args := range [][]string{{"floor "}, {"-rounds", "0"}, {"-unknown"}} {
		if _, err := parse(args, new(bytes.Buffer)); err == nil {
			t.Errorf("%q: got no error", args)
		}
	}
}

// TestReports runs each kind of measurement with so few calls that the figures
// mean nothing.
func TestReports(t *testing.T) {
	binary := buildConferenced(t)
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"all rows", nil, []string{
			"### 1 callers", "### 32 callers", "### Half load", "### 8 calls in flight", "### Targets",
			"| floor", "| peer, gRPC", "| peer, REST", "| conferenced, gRPC", "| conferenced, REST", "| conferenced, Twilio-shaped",
		}},
		{"a baseline", []string{"-baseline", binary}, []string{"| conferenced, gRPC", "| baseline, gRPC", "CPU × baseline"}},
		{"replicas", []string{"-redis"}, []string{"| memory", "| Redis, request IDs", "| two replicas, one participant", "Redis µs/call"}},
		{"many participants", []string{"-bulk"}, []string{"| peer, a loop", "| conferenced, by Call SID", "| conferenced, everyone"}},
		{"a soak test", []string{"-soak", "300ms"}, []string{"The last third has"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := exec.LookPath("redis-server"); err != nil && slices.Contains(test.args, "-redis") {
				t.Skip(err)
			}
			o, err := parse(append([]string{"-rounds", "1", "-conferenced", binary}, test.args...), t.Output())
			if err != nil {
				t.Fatal(err)
			}
			o.slice, o.callers, o.inFlight, o.latency = 20*time.Millisecond, []int{1, usualCallers}, 8, 20*time.Millisecond
			var text strings.Builder
			if err := measure(t.Context(), o, &text, t.Output()); err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(text.String(), want) {
					t.Errorf("no %q in\n%s", want, text.String())
				}
			}
			if strings.Contains(text.String(), "NaN") {
				t.Errorf("a value is missing in\n%s", text.String())
			}
		})
	}
}

// buildConferenced builds conferenced with the flags of this test, so that the
// build cache has most of it.
func buildConferenced(t *testing.T) string {
	t.Helper()
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("runs many processes, on Linux")
	}
	out := filepath.Join(t.TempDir(), "conferenced")
	args := []string{"build", "-o", out}
	if raceDetectorOn() {
		args = append(args, "-race")
	}
	if text, err := exec.CommandContext(t.Context(), "go", append(args, "conferenced/cmd/conferenced")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return out
}

func raceDetectorOn() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
