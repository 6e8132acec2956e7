package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
)

// outputPipe returns a pipe for an output of the program, whose text is read into the
// log until the read deadline of the reader passes or the reader is closed.
func outputPipe(t *testing.T, log *following) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(log, reader) // It ends with the deadline.
	}()
	t.Cleanup(func() {
		reader.Close()
		writer.Close()
		<-done
	})
	return reader, writer
}

// TestOutputThatIsNotRead: calls end, the service is ready unless it refuses them, and
// SIGTERM ends the process.
func TestOutputThatIsNotRead(t *testing.T) {
	leave := map[string]func(*os.File) error{
		"the reader stalls": func(reader *os.File) error { return reader.SetReadDeadline(time.Now()) },
		"the reader exits":  (*os.File).Close,
	}
	for name, leave := range leave {
		for _, mode := range []string{"closed", "open"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				_, twilio := serveSandbox(t)
				log := new(following)
				stdoutReader, stdout := outputPipe(t, new(following))
				stderrReader, stderr := outputPipe(t, log)
				p := startProgramTo(t, stdout, stderr, log, twilio, "--audit-failure="+mode, "--default-timeout=5s")
				for _, reader := range []*os.File{stdoutReader, stderrReader} {
					if err := leave(reader); err != nil {
						t.Fatal(err)
					}
				}
				failures, conn := 0, dial(t, p.grpc)
				for range 400 { // Their records do not fit into a pipe.
					if err := muteAgentOn(t, conn); err != nil {
						failures++
						if reason := outcometest.Info(status.Convert(err)).GetReason(); reason != outcome.AuditFailed.Reason {
							t.Fatalf("a call ended with %v", err)
						}
					}
				}
				if failures > 0 != (mode == "closed") {
					t.Errorf("%d calls failed", failures)
				}
				client := newHTTPClient(t)
				ready, err := client.Get("http://" + p.admin + "/readyz")
				if err != nil {
					t.Fatal(err)
				}
				ready.Body.Close()
				if want := map[string]int{"closed": 503, "open": 200}[mode]; ready.StatusCode != want {
					t.Errorf("/readyz: %d, want %d", ready.StatusCode, want)
				}
				if strings.Contains(getPage(t, client, "http://"+p.admin+"/metrics"), "\nconferenced_audit_failures_total 0\n") {
					t.Error("no failure of the audit was counted")
				}
				p.signal(t, syscall.SIGTERM)
				await(t, p.ended, "the process to end")
				if !p.command.ProcessState.Exited() {
					t.Errorf("ended with %v", p.err)
				}
			})
		}
	}
}

// TestPrintingToAClosedPipe checks that a command that prints ends as others do, by
// SIGPIPE and without a message.
func TestPrintingToAClosedPipe(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"help", "serve"}, {"--version"}, {"proto"}, {"completion", "bash"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer writer.Close()
			reader.Close()
			var stderr strings.Builder
			command := exec.CommandContext(t.Context(), os.Args[0], args...)
			command.Env = append(os.Environ(), asProgram+"=1")
			command.Stdout, command.Stderr = writer, &stderr
			err = command.Run()
			if err == nil || err.Error() != "signal: broken pipe" || stderr.Len() > 0 {
				t.Errorf("ended with %v: %s", err, stderr.String())
			}
		})
	}
}
