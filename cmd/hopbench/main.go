// Hopbench measures what conferenced adds to a call between a caller and
// Twilio. It needs Linux.
//
// Three systems serve the same update over loopback, each in a process of its
// own, in front of one stub of Twilio's API:
//
//   - floor: a bare grpc-go handler that makes one POST with net/http and
//     returns a fixed response
//   - peer: grpc-go and twilio-go with a tuned connection pool, and grpc-gateway
//     in front of it for REST
//   - conferenced with its defaults, callers with tokens, a policy, an audit
//     file, and tracing that samples nothing
//
// They are measured in turn, round by round, so that other load on the machine
// affects all of them alike. Ratios compare values of the same round; the report
// has the median and the range of the rounds, as Markdown on standard output.
// The exit code is 0 if everything was measured, whether targets are met or not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	rounds   int
	binary   string        // conferenced; "": built from the repository.
	baseline string        // Another conferenced to compare with.
	profile  string        // The folder for profiles.
	redis    bool          // Measure replicas that share a Redis.
	bulk     bool          // Measure updates of many participants.
	soak     time.Duration // How long the soak test takes.

	slice    time.Duration // How long a row is measured in one round.
	callers  []int         // The numbers of concurrent callers, usualCallers among them.
	inFlight int           // Concurrent calls in the memory test.
	latency  time.Duration // How long the stub takes to answer each of these.
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

// run measures, or serves if the first argument names one of the servers.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 2 && servers[args[0]] != nil {
		return serve(ctx, args[0], args[1], stderr)
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	return measure(ctx, o, stdout, stderr)
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{
		slice: 250 * time.Millisecond, callers: []int{1, usualCallers, 256}, inFlight: 1000, latency: time.Second,
	}
	flags := flag.NewFlagSet("hopbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	quick := flags.Bool("quick", false, "measure two rounds, in half a minute")
	flags.IntVar(&o.rounds, "rounds", 30, "`rounds` in which the systems take turns")
	flags.StringVar(&o.binary, "conferenced", "", "the conferenced `file` to measure; default: build it")
	flags.StringVar(&o.baseline, "baseline", "", "compare with another conferenced `file` instead")
	flags.StringVar(&o.profile, "profile", "", "write CPU and allocation profiles into a `folder` instead")
	flags.BoolVar(&o.redis, "redis", false, "compare the state in memory with a redis-server instead")
	flags.BoolVar(&o.bulk, "bulk", false, "measure updates of many participants instead")
	flags.DurationVar(&o.soak, "soak", 0, "watch conferenced's memory for this `long` instead")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		o.rounds = 2
	}
	if flags.NArg() > 0 || o.rounds < 1 {
		return o, errors.New("only flags are accepted, and -rounds must be at least 1")
	}
	return o, nil
}

// measure runs what the options ask for and writes its report.
func measure(ctx context.Context, o options, report, progress io.Writer) error {
	b, err := newBench(ctx, o, progress)
	if err != nil {
		return err
	}
	defer b.close()
	switch {
	case o.soak > 0:
		return b.runSoak(ctx, report)
	case o.redis:
		return b.runReplicas(ctx, report)
	case o.bulk:
		return b.runBulk(ctx, report)
	case o.profile != "":
		return b.writeProfiles(ctx, report)
	default:
		return b.compare(ctx, report)
	}
}
