package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
)

// How Twilio is spoken to.
const (
	plainHTTP1 = "h1"
	tlsHTTP1   = "h1tls"
	tlsHTTP2   = "h2tls"
)

// role is one of the servers that this program can be. What it does not serve
// is nil.
type role struct {
	grpc *grpc.Server
	http *http.Server
	// tls says that http is served with the certificate of the settings.
	tls bool
}

// roleSettings are the flags of a role.
type roleSettings struct {
	upstream  string // Where Twilio is.
	http2     bool   // Whether it may be spoken to by HTTP/2.
	delay     time.Duration
	cert, key string // Files in PEM.
}

// roles are the servers by their names. They are made once their own gRPC
// address is known.
var roles = map[string]func(roleSettings, net.Addr) (role, error){
	"floor":    newFloor,
	"peer":     newPeer,
	"upstream": newUpstream,
}

// serveRole serves on free loopback ports until the context is done. It logs
// the addresses as conferenced does.
func serveRole(
	ctx context.Context, compose func(roleSettings, net.Addr) (role, error), args []string, stderr io.Writer,
) error {
	var s roleSettings
	flags := flag.NewFlagSet("role", flag.ContinueOnError)
	flags.StringVar(&s.upstream, "upstream", "", "")
	flags.BoolVar(&s.http2, "http2", false, "")
	flags.DurationVar(&s.delay, "delay", 0, "")
	flags.StringVar(&s.cert, "cert", "", "")
	flags.StringVar(&s.key, "key", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var listeners [3]net.Listener // gRPC, HTTP, admin
	for i := range listeners {
		var err error
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	r, err := compose(s, listeners[0].Addr())
	if err != nil {
		return err
	}
	slog.New(slog.NewTextHandler(stderr, nil)).Info("serving",
		"grpc", listeners[0].Addr().String(), "http", listeners[1].Addr().String(), "admin", listeners[2].Addr().String())
	return r.serve(ctx, s, listeners)
}

func (r role) serve(ctx context.Context, s roleSettings, listeners [3]net.Listener) error {
	admin := &http.Server{Handler: roleAdmin(), ReadHeaderTimeout: patience}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return served(admin.Serve(listeners[2])) })
	if r.grpc != nil {
		group.Go(func() error { return r.grpc.Serve(listeners[0]) })
	}
	if r.http != nil {
		group.Go(func() error {
			if r.tls {
				return served(r.http.ServeTLS(listeners[1], s.cert, s.key))
			}
			return served(r.http.Serve(listeners[1]))
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		if r.grpc != nil {
			r.grpc.Stop()
		}
		if r.http != nil {
			_ = r.http.Close() // The process ends.
		}
		return admin.Close()
	})
	return group.Wait()
}

func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// roleAdmin has the pages of conferenced's admin address that are asked here.
func roleAdmin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /metrics", promhttp.Handler())
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return mux
}
