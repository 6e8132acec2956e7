// Package gateway serves the REST API: JSON over HTTP in front of the gRPC service.
// It uses grpc-gateway's mux and protojson.
//
// It is strict where grpc-gateway is lenient. Unknown and repeated fields, values of
// the wrong type, fields that are already in the path, and query strings of methods with
// a body are refused, and so is a body of a method without one.
// The error names the field and the rule, never a value. Path variables are decoded
// exactly once. Every error, from the gateway or the service, is a google.rpc.Status
// with a google.rpc.ErrorInfo.
//
// Headers are filtered by allow-lists in both directions, so that HTTP clients cannot
// forge gRPC metadata.
//
// Twilio's own paths of participants and conferences take Twilio's forms and queries and
// answer with Twilio's JSON, also for errors. They are for callers that use a Twilio SDK
// with this service as its base URL. Values are parsed leniently, as Twilio does.
package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"

	"google.golang.org/grpc"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/twilio"
)

// MaxBodyBytes is the maximum size of a request's body. A larger body is answered with
// REQUEST_TOO_LARGE.
const MaxBodyBytes = 64 << 10

// Config holds the options of a gateway. The zero value serves the API alone, and
// refuses web pages of other origins.
type Config struct {
	// CORSOrigins are the origins, such as "https://ui.example.com", whose web
	// pages may call the API and read its answers. Empty: none. A lone "*"
	// allows every page, without credentials: where callers are not
	// authenticated, any page that is open on the same machine can then change
	// any conference.
	CORSOrigins []string
	// Docs serves the OpenAPI document at /openapi.json, Swagger UI at /docs, and the
	// API for gRPC clients at /conference_service.proto, and redirects / to /docs. With
	// BearerTokens, the document and the page ask for a bearer token.
	Docs, BearerTokens bool
	// TrustedProxies are the networks whose X-Forwarded-For is trusted.
	TrustedProxies []netip.Prefix
	// LoopbackHostOnly refuses requests whose Host is not localhost or a loopback
	// address. Where callers are not authenticated, this refuses web pages whose host
	// name resolves to a loopback address: a browser treats them as being of the same
	// origin.
	LoopbackHostOnly bool
	// Authenticate, if set, authenticates a call before its query and body are read. It
	// gets a context with the call's record, peer and metadata, and returns the context of
	// the call, also with an error. The call ends with the error.
	Authenticate func(context.Context) (context.Context, error)
	// ReadTwilio makes the reads of the Twilio-shaped route whose answers are passed on as
	// Twilio gives them: lists, and conferences. They go through the interceptor too.
	ReadTwilio func(context.Context, *twilio.Request) (*twilio.Answer, error)
	// Logger logs panics of the gateway; nil means slog.Default().
	Logger *slog.Logger
	// Refused, if set, is called for each request that the gateway refuses without
	// a call, with the reason, and Panicked for each panic of the gateway.
	Refused  func(reason string)
	Panicked func()
	// LastAnswer, if set, reports whether the connection is closed after the answer to
	// this request. It is called when the answer begins. The client gets `Connection:
	// close`, or a GOAWAY over HTTP/2.
	LastAnswer func(*http.Request) bool
}

// New returns the REST API in front of the service. Every call goes through the
// interceptor, which should be that of the gRPC server too. A request that is refused
// goes through it with the variables of its path alone, and the handler returns the error.
//
// For the interceptor and the service, an HTTP call is like a gRPC call: peer.FromContext
// returns the HTTP client's address and TLS state, without credentials.TLSInfo's SPIFFEID.
// They run on the request's goroutine, so they must return when the context ends.
func New(
	service conferencev1.ConferenceServiceServer, intercept grpc.UnaryServerInterceptor, cfg Config,
) (http.Handler, error) {
	cfg.setDefaults()
	var handler http.Handler
	handler, err := newAPI(&intercepted{service: service, intercept: intercept, read: cfg.ReadTwilio}, cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Docs {
		handler = withDocs(handler, cfg.BearerTokens)
	}
	handler, err = withBrowserRules(handler, cfg.CORSOrigins)
	if err != nil {
		return nil, err
	}
	if cfg.LoopbackHostOnly {
		handler = withLoopbackHost(handler)
	}
	return withHeaders(withRecovery(handler, cfg)), nil
}

func (c *Config) setDefaults() {
	if c.Authenticate == nil {
		c.Authenticate = func(ctx context.Context) (context.Context, error) { return ctx, nil }
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
}

// withHeaders sets the headers of every answer.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
