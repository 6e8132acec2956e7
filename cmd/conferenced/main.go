// Conferenced serves one typed, safe API in front of Twilio's conference participants.
//
// The exit code is 0 for success, 2 for an error that a restart does not fix, such as a
// mistake in flags, environment or files, and 1 for any other error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
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

// exitCode returns exitUsage for an error that a restart does not fix: a mistake, a
// name that does not exist, or a missing permission, such as for a port below 1024.
func exitCode(err error) int {
	_, isUsage := errors.AsType[usageError](err)
	_, isAddress := errors.AsType[*net.AddrError](err)
	dns, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case isDNS && !dns.IsNotFound: // The name may exist.
		return exitFailure
	case isUsage, isAddress, isDNS, errors.Is(err, fs.ErrPermission):
		return exitUsage
	default:
		return exitFailure
	}
}

type commands struct {
	Sandbox     sandboxCommand     `cmd:"" help:"Serve in front of an embedded Twilio. Needs no configuration."`
	Serve       serveCommand       `cmd:"" help:"Serve in front of Twilio."`
	Check       checkCommand       `cmd:"" help:"Check the configuration of serve without starting it, and explain what a caller may do."`
	Healthcheck healthcheckCommand `cmd:"" help:"Check whether a running conferenced serves: exit code 0 or 1."`
	Proto       protoCommand       `cmd:"" help:"Print the API as a .proto file for clients, or write all files that clients need."`
	Token       tokenCommand       `cmd:"" help:"Create a token of a caller, and its entry in the tokens file."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
	Help        helpCommand        `cmd:"" help:"Print the help of a command."`
	Completion  completionCommand  `cmd:"" help:"Print the completion script of a shell."`
	Complete    completeCommand    `cmd:"" hidden:"" name:"__complete"`

	VersionFlag kong.VersionFlag `name:"version" group:"Help:" help:"Print the version."`
}

func main() {
	prepareProcess()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	stderr := telemetry.NewAsyncWriter(os.Stderr)
	code := run(ctx, os.Args[1:], output{os.Stdout, stderr, term.IsTerminal(int(os.Stderr.Fd()))})
	stderr.Flush(flushTimeout)
	os.Exit(code)
}

// prepareProcess sets what concerns the process of every command.
func prepareProcess() {
	tuneMemory()
	debug.SetTraceback("crash") // a crash ends by SIGABRT, not with the exit code 2, after which nothing restarts
	silenceLibraries()
}

// surviveClosedPipes makes a write to a closed pipe return an error. By default it ends the
// process, as it should for a command that prints.
func surviveClosedPipes() { signal.Ignore(syscall.SIGPIPE) }

// flushTimeout is how long the process waits at its end for its log to be read.
const flushTimeout = 500 * time.Millisecond

// silenceLibraries silences the libraries that print to standard error. Their lines
// bypass the logger and can have parts of requests.
func silenceLibraries() {
	log.SetOutput(io.Discard)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
}

// unsetEmptyVariables unsets the service's empty variables, which count as unset.
// Compose's ${X:-} sets an empty variable.
func unsetEmptyVariables() {
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" && (strings.HasPrefix(name, variablePrefix) || strings.HasPrefix(name, "TWILIO_")) {
			_ = os.Unsetenv(name) // It fails for malformed names alone.
		}
	}
}

// run executes the command of the arguments and returns the exit code.
func run(ctx context.Context, args []string, out output) int {
	unsetEmptyVariables()
	exited := -1
	parser, err := kong.New(new(commands),
		kong.Name("conferenced"),
		kong.Description("One typed, safe API in front of Twilio's conference participants."),
		kong.Writers(out.stdout, out.stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(out),
		kong.Vars{"version": versionText()},
	)
	if err != nil {
		fmt.Fprintln(out.stderr, "conferenced:", err)
		return exitFailure
	}
	parser.Model.HelpFlag.Group = &kong.Group{Key: "Help:", Title: "Help:"}
	names := newFlagNames(parser.Model)
	command, err := parser.Parse(withHelpFlag(args))
	if exited >= 0 { // --help was printed
		return exited
	}
	if err == nil {
		err = refuseSecrets(command)
	}
	if err != nil {
		for _, warning := range names.unknownVariables(os.Environ()) {
			fmt.Fprintln(out.stderr, "conferenced: warning:", warning)
		}
		fmt.Fprintf(out.stderr, "conferenced: %s\nSee conferenced --help.\n", names.describe(err))
		return exitUsage
	}
	if err := command.Run(names); err != nil {
		fmt.Fprintln(out.stderr, "conferenced:", names.describe(err))
		return exitCode(err)
	}
	return 0
}

// output has the writers of a command.
type output struct {
	stdout, stderr io.Writer
	terminal       bool // stderr is shown on a terminal
}
