// Hopbench measures what conferenced costs between a caller and Twilio. It needs
// Linux.
//
// Four contestants serve the same call over loopback sockets, each in a process
// of its own, in front of one stub of Twilio:
//
//   - floor: a bare grpc-go handler, one POST by net/http, a fixed answer
//   - peer: grpc-go and twilio-go with a tuned pool, and grpc-gateway over
//     loopback
//   - conferenced by gRPC, by REST and on Twilio's own path, with everything on
//     that is on by default, callers with tokens, a policy, an audit file, and
//     tracing set up and sampled out
//
// They are measured in turn, round by round, so that what the machine does
// besides meets all of them. Every ratio is one of the same round; the median
// and the spread of the rounds are reported, as Markdown on standard output.
// Hopbench exits with 0 when it measured, whatever it found.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	quick    bool
	rounds   int
	slice    time.Duration
	starts   int
	upstream string
	binary   string
	baseline string
	profile  string
	soak     time.Duration

	counts       []int // Numbers of clients that are measured; usualClients is one.
	inFlight     int   // Calls that are under way while the upstream takes its time,
	slowUpstream time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "hopbench:", err)
		os.Exit(1)
	}
}

// run does what the arguments say: it is one of the servers, or it measures.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		if serve, ok := roles[args[0]]; ok {
			return serveRole(ctx, serve, args[1:], stderr)
		}
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	b, err := prepare(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer b.close()
	switch {
	case o.soak > 0:
		return b.soak(ctx, stdout)
	case o.profile != "":
		return b.profile(ctx, stdout)
	case o.baseline != "":
		return b.compareVersions(ctx, stdout)
	default:
		return b.compare(ctx, stdout)
	}
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{counts: []int{1, usualClients, 256}, inFlight: 1000, slowUpstream: time.Second}
	flags := flag.NewFlagSet("hopbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "measure for half a minute: two short rounds")
	flags.IntVar(&o.rounds, "rounds", 30, "`rounds` in which the contestants take turns")
	flags.DurationVar(&o.slice, "slice", 250*time.Millisecond, "how `long` a contestant is measured at a time")
	flags.IntVar(&o.starts, "starts", 9, "cold `starts` that are timed")
	flags.StringVar(&o.upstream, "upstream", "h1", "how Twilio is spoken to: `h1`, h1tls, h2tls")
	flags.StringVar(&o.binary, "conferenced", "", "a `file` to run as conferenced; without it, it is built")
	flags.StringVar(&o.baseline, "baseline", "", "another conferenced, a `file`, to compare with instead")
	flags.StringVar(&o.profile, "profile", "", "write CPU and allocation profiles of the contestants into a `folder` instead")
	flags.DurationVar(&o.soak, "soak", 0, "watch conferenced's memory for this `long` instead")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.rounds, o.slice, o.starts = 2, 300*time.Millisecond, 3
	}
	if err := o.check(flags.Args()); err != nil {
		return o, err
	}
	return o, o.absolute()
}

// absolute makes the files independent of the folder, which is another one where
// they are run.
func (o *options) absolute() error {
	for _, name := range []*string{&o.binary, &o.baseline, &o.profile} {
		if *name == "" {
			continue
		}
		var err error
		if *name, err = filepath.Abs(*name); err != nil {
			return err
		}
	}
	return nil
}

func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.rounds < 1 || o.starts < 1 || o.slice <= 0:
		return errors.New("-rounds, -starts and -slice must be more than 0")
	case o.upstream != plainHTTP1 && o.upstream != tlsHTTP1 && o.upstream != tlsHTTP2:
		return fmt.Errorf("-upstream is %q: must be %s, %s or %s", o.upstream, plainHTTP1, tlsHTTP1, tlsHTTP2)
	}
	return nil
}
