// Conferenced puts one typed, safe call in front of Twilio's conference
// participants.
//
// It exits with 0 when it did what it was told, with 1 when that failed, and
// with 2 when it was told something that it cannot do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc/grpclog"

	"conferenced/service/telemetry"
)

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

// usageError is a mistake in flags, environment or files.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

type commands struct {
	Sandbox     sandboxCommand     `cmd:"" help:"Serve in front of an embedded Twilio. Needs no configuration."`
	Serve       serveCommand       `cmd:"" help:"Serve in front of Twilio."`
	Check       checkCommand       `cmd:"" help:"Check the files that say who may call, and explain what a caller may do."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask a running conferenced whether it serves: exit code 0 or 1."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

func main() {
	tuneMemory()
	signal.Ignore(syscall.SIGPIPE) // Writing to a reader that has exited is an error, not the end.
	silenceLibraries()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second signal ends the process at once.
	stderr := telemetry.NewAsyncWriter(os.Stderr)
	code := run(ctx, os.Args[1:], os.Stdout, stderr)
	stderr.Flush(flushTimeout)
	os.Exit(code)
}

// flushTimeout is how long the process waits, at its end, for the reader of its log.
const flushTimeout = 500 * time.Millisecond

// silenceLibraries silences the libraries that would print to standard error by
// themselves: their lines bypass the logger and can hold parts of requests.
func silenceLibraries() {
	log.SetOutput(io.Discard)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
}

// run does what the arguments say and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	exited := -1
	parser, err := kong.New(new(commands),
		kong.Name("conferenced"),
		kong.Description("One typed, safe call in front of Twilio's conference participants."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(output{stdout, stderr}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "conferenced:", err)
		return exitFailure
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // Help was asked for and given.
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "conferenced: %v\nSee conferenced --help.\n", err)
		return exitUsage
	}
	return report(stderr, command.Run())
}

// output is where a command writes.
type output struct{ stdout, stderr io.Writer }

func report(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "conferenced:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailure
}
