package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/delivery/redisstore/redistest"
	"conferenced/service/leaktest"
)

func TestMain(m *testing.M) {
	switch os.Getenv(asProgram) {
	case "":
	case "crash":
		prepareProcess()
		panic("crash")
	default:
		main()
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "CONFERENCED_") || strings.HasPrefix(name, "TWILIO_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(leaktest.Run(m, redistest.Delays))
}

// anywhere has flags for addresses with free ports.
var anywhere = []string{"--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"}

// ran is the result of a command.
type ran struct {
	code           int
	stdout, stderr string
}

// serveApart makes commands that serve use a free port for the embedded Twilio, and a
// file for the audit: in a test, standard output belongs to the testing framework.
func serveApart(t *testing.T) {
	t.Helper()
	t.Setenv("CONFERENCED_TWILIO_ADDR", "127.0.0.1:0")
	t.Setenv("CONFERENCED_AUDIT_LOG", t.TempDir()+"/audit")
}

func runCommand(ctx context.Context, args ...string) ran {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, output{&stdout, &stderr, false})
	return ran{code, stdout.String(), stderr.String()}
}

// runStopped runs a command that serves, with a context that is done.
func runStopped(t *testing.T, args ...string) ran {
	t.Helper()
	serveApart(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return runCommand(ctx, append(args, anywhere...)...)
}

func (r ran) check(t *testing.T, code int, stderr ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d: %s", r.code, code, r.stderr)
	}
	for _, want := range stderr {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("no %q in\n%s", want, r.stderr)
		}
	}
}

func TestHelpOfTheProgram(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"-h"}, {"help"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			got := runCommand(t.Context(), args...)
			got.check(t, 0)
			for _, want := range []string{"sandbox", "serve", "healthcheck", "version"} {
				if !strings.Contains(got.stdout, "\n  "+want) {
					t.Errorf("no command %s in\n%s", want, got.stdout)
				}
			}
			if got.stderr != "" {
				t.Errorf("stderr: %s", got.stderr)
			}
		})
	}
}

func TestHelpOfACommand(t *testing.T) {
	want := runCommand(t.Context(), "serve", "--help")
	got := runCommand(t.Context(), "help", "serve")
	got.check(t, 0)
	got.checkOutput(t, want.stdout, "")
	runCommand(t.Context(), "help", "swerve").check(t, exitUsage, "swerve")
}

func TestFlagsWithoutTheirValue(t *testing.T) {
	for flag, variable := range map[string]string{
		"--grpc-addr": "CONFERENCED_GRPC_ADDR", "--drain-delay": "CONFERENCED_DRAIN_DELAY",
		"--cors-origin": "CONFERENCED_CORS_ORIGIN", "--rate": "CONFERENCED_RATE",
	} {
		t.Run(flag, func(t *testing.T) {
			runCommand(t.Context(), "sandbox", flag).check(t, exitUsage, flag+" ("+variable+"): needs a value\n")
		})
	}
}

func TestMistakesInArguments(t *testing.T) {
	runCommand(t.Context(), "swerve").check(t, exitUsage, "conferenced: ", "swerve")
	runCommand(t.Context(), "version", "now").check(t, exitUsage, "conferenced: ", "now")
}

func TestInvalidFlagsOfHealthcheck(t *testing.T) {
	for flag, want := range map[string]string{
		"--timeout=0s":        "--timeout (CONFERENCED_HEALTHCHECK_TIMEOUT): must be more than 0",
		"--timeout=-1s":       "--timeout (CONFERENCED_HEALTHCHECK_TIMEOUT): must be more than 0",
		"--grpc-addr=nowhere": "--grpc-addr (CONFERENCED_GRPC_ADDR): address nowhere: missing port in address",
	} {
		runCommand(t.Context(), "healthcheck", flag).check(t, 2, want)
	}
}

func TestVersion(t *testing.T) {
	for _, released := range []string{"", "v1.2.3"} {
		t.Run(released, func(t *testing.T) {
			before := version
			version = released
			defer func() { version = before }()
			got := runCommand(t.Context(), "version")
			got.check(t, 0)
			runCommand(t.Context(), "--version").checkOutput(t, got.stdout, "")
			words := strings.Fields(got.stdout)
			if len(words) != 6 || words[0] != "conferenced" || words[2] != "(revision" || !strings.HasPrefix(words[4], "go1.") ||
				!strings.Contains(words[5], "/") || strings.Count(got.stdout, "\n") != 1 {
				t.Errorf("stdout: %s", got.stdout)
			}
			if released != "" && words[1] != released {
				t.Errorf("version %s, want %s", words[1], released)
			}
		})
	}
}

// TestEmptyVariables: they count as unset. Compose makes them of ${X:-}.
func TestEmptyVariables(t *testing.T) {
	for _, command := range []string{"serve", "sandbox", "healthcheck"} {
		want := parsed(t, command)
		for _, flag := range commandsWithFlags(t)[command] {
			t.Setenv(flag.Envs[0], "")
		}
		t.Setenv("TWILIO_REGION", "")
		unsetEmptyVariables()
		if diff := cmp.Diff(want, parsed(t, command)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
		if _, set := os.LookupEnv("TWILIO_REGION"); set {
			t.Error("TWILIO_REGION is set")
		}
	}
}

func TestAdminOnAllInterfacesNeedsAFlag(t *testing.T) {
	args := []string{"sandbox", "--twilio-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=:0"}
	runCommand(t.Context(), args...).check(t, 2, "--admin-addr (CONFERENCED_ADMIN_ADDR): ", "--admin-public")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	runCommand(ctx, append(args, "--admin-public")...).check(t, 0)
}
