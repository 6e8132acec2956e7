// Package gateway serves the REST API: JSON over HTTP in front of the gRPC
// service.
//
// It is strict where grpc-gateway is lenient. What a request says is taken as
// it was meant or refused by name: unknown and repeated fields, values of
// another type, query strings and fields that the path gives already. Path
// variables are decoded exactly once. Every refusal, of the gateway as of the
// service, has the same body: a google.rpc.Status with a google.rpc.ErrorInfo.
// No error text repeats a value of the request.
//
// Headers pass through allow-lists, both ways, so that no HTTP client can forge
// gRPC metadata.
//
// Callers who have one of Twilio's SDKs may use it as it is, with another base
// URL: POST of Twilio's own path for a participant takes Twilio's form and
// answers in Twilio's JSON, errors too. There, values are read as Twilio reads
// them: leniently.
package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"

	"google.golang.org/grpc"

	conferencev1 "conferenced/gen/conference/v1"
)

// DefaultMaxBodyBytes is the limit of a request's body where none is set.
const DefaultMaxBodyBytes = 64 << 10

// Config is what can be chosen. The zero value serves the API alone, to
// clients that are not web pages of other origins.
type Config struct {
	// MaxBodyBytes is the limit of a request's body; zero is
	// DefaultMaxBodyBytes. A longer one is answered with REQUEST_TOO_LARGE.
	MaxBodyBytes int64
	// CORSOrigins are the origins, such as "https://ui.example.com", whose web
	// pages may call the API and read its answers. Empty: none. A lone "*"
	// stands for every page there is, without credentials: where callers are
	// not authenticated, any page that is open on the same machine may then
	// change any conference.
	CORSOrigins []string
	// Docs serves the OpenAPI document at /openapi.json and Swagger UI at /docs.
	Docs bool
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// LoopbackHostOnly refuses requests whose Host is not this machine's own
	// loopback. Where callers are not authenticated that keeps out web pages
	// whose host name resolves to it: to a browser they are of the same origin.
	LoopbackHostOnly bool
	// Logger is told of panics in the gateway itself; nil is slog.Default().
	Logger *slog.Logger
	// Refused, if set, is told of each request that the gateway refuses by
	// itself, with the reason, and Panicked of each panic in the gateway.
	Refused  func(reason string)
	Panicked func()
	// LastAnswer, if set, says whether a connection is to end with the answer to
	// this request. It is asked when the answer begins. The client is told by a
	// `Connection: close`, or over HTTP/2 by a GOAWAY.
	LastAnswer func(*http.Request) bool
}

// New returns the REST API in front of the service and the interceptor that
// every call goes through, over gRPC too.
//
// Both see an HTTP call as they see one of gRPC: peer.FromContext returns the
// HTTP client's address and TLS state, as it would on a socket of its own, but
// for credentials.TLSInfo's SPIFFEID. They run on the request's goroutine, so
// they are to return when the context ends.
func New(
	service conferencev1.ConferenceServiceServer, intercept grpc.UnaryServerInterceptor, cfg Config,
) (http.Handler, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	calls := newIntercepted(service, intercept)
	handler, err := newAPI(calls, cfg.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	handler, err = withTwilio(handler, calls, cfg.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if cfg.Docs {
		handler = withDocs(handler)
	}
	handler, err = withBrowserRules(handler, cfg.CORSOrigins)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if cfg.LoopbackHostOnly {
		handler = withLoopbackHost(handler)
	}
	return withLimits(withRecovery(handler, cfg), cfg.MaxBodyBytes), nil
}

func (c *Config) setDefaults() error {
	if c.MaxBodyBytes < 0 {
		return fmt.Errorf("the body size limit is negative: %d", c.MaxBodyBytes)
	}
	if c.MaxBodyBytes == 0 {
		c.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Refused == nil {
		c.Refused = func(string) {}
	}
	if c.Panicked == nil {
		c.Panicked = func() {}
	}
	if c.LastAnswer == nil {
		c.LastAnswer = func(*http.Request) bool { return false }
	}
	return nil
}

// withLimits bounds what is read of a body, and sets the headers that every
// answer has. It is the outermost step, since http.MaxBytesReader closes the
// connection only through the server's own ResponseWriter.
func withLimits(next http.Handler, maxBody int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}
