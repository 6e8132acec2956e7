package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// usualClients is the number at which the targets are set.
const usualClients = 32

// bench is one run of this program.
type bench struct {
	options
	place
	self        string // This program.
	callers     []caller
	stub        *process // Of Twilio.
	servers     []*process
	contestants []*contestant
	progress    io.Writer
}

// prepare builds conferenced and starts the stub of Twilio.
func prepare(ctx context.Context, o options, progress io.Writer) (b *bench, err error) {
	b = &bench{options: o, callers: newCallers(8), progress: progress}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.self, err = os.Executable(); err != nil {
		return b, err
	}
	if b.dir, err = os.MkdirTemp("", "hopbench-"); err != nil {
		return b, err
	}
	if err := b.certificate(); err != nil {
		return b, err
	}
	if b.binary == "" {
		b.say("building conferenced")
		if b.binary, err = b.build(ctx); err != nil {
			return b, err
		}
	}
	b.stub, err = b.startStub(ctx, 0)
	return b, err
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, format+"\n", args...) // It is only for whoever watches.
}

// close ends the servers and removes the files.
func (b *bench) close() {
	for _, c := range b.contestants {
		c.close()
	}
	for _, s := range b.servers {
		s.stop()
	}
	_ = os.RemoveAll(b.dir) // It is in the folder for temporary files.
}

func (b *bench) run(ctx context.Context, name string, env []string, path string, args ...string) (*process, error) {
	s, err := b.start(ctx, name, append(env, "SSL_CERT_FILE="+b.path("upstream.pem"), "NO_PROXY=*"), path, args...)
	if err == nil {
		b.servers = append(b.servers, s)
	}
	return s, err
}

// startStub starts a stub of Twilio that answers after the delay.
func (b *bench) startStub(ctx context.Context, delay time.Duration) (*process, error) {
	args := []string{"upstream", "-delay", delay.String()}
	if b.upstream != plainHTTP1 {
		args = append(args, "-cert", b.path("upstream.pem"), "-key", b.path("upstream.key"))
	}
	if b.upstream == tlsHTTP2 {
		args = append(args, "-http2")
	}
	return b.run(ctx, "upstream", nil, b.self, args...)
}

func (b *bench) urlOf(stub *process) string {
	if b.upstream == plainHTTP1 {
		return "http://" + stub.http
	}
	return "https://" + stub.http
}

// startOwn starts floor or peer.
func (b *bench) startOwn(ctx context.Context, name string, stub *process) (*process, error) {
	args := []string{name, "-upstream", b.urlOf(stub)}
	if b.upstream == tlsHTTP2 {
		args = append(args, "-http2")
	}
	return b.run(ctx, name, nil, b.self, args...)
}

// startConferenced starts a conferenced as it is by default, with callers,
// policy, an audit file, and tracing that samples nothing.
func (b *bench) startConferenced(ctx context.Context, name, binary string, stub *process) (*process, error) {
	args, err := b.settings(b.urlOf(stub), b.callers)
	if err != nil {
		return nil, err
	}
	audit := b.path(strings.ReplaceAll(name, " ", "-") + "-audit.json")
	env := []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9", // Nothing is sent there.
		"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0",
	}
	args = append([]string{
		"serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--audit-log", audit,
	}, args...)
	s, err := b.run(ctx, name, env, binary, args...)
	if err == nil {
		s.growing = append(s.growing, audit)
	}
	return s, err
}
