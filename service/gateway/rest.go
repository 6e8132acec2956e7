package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/call"
	"conferenced/service/outcome"
)

// api serves REST and the Twilio-shaped route with grpc-gateway's mux.
type api struct {
	*runtime.ServeMux
	service      *intercepted
	proxies      []netip.Prefix
	authenticate func(context.Context) (context.Context, error)
}

func newAPI(service *intercepted, cfg Config) (*api, error) {
	a := &api{service: service, proxies: cfg.TrustedProxies, authenticate: cfg.Authenticate}
	a.ServeMux = runtime.NewServeMux(
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptSlash),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newMarshaler()),
		runtime.WithIncomingHeaderMatcher(noHeader),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithOutgoingTrailerMatcher(noHeader),
		runtime.WithErrorHandler(answerCallError),
		runtime.WithRoutingErrorHandler(a.refuseRoute),
		runtime.WithWriteContentLength(),
		runtime.WithMiddlewares(a.prepare),
	)
	err := conferencev1.RegisterConferenceServiceHandlerServer(context.Background(), a.ServeMux, service)
	if err != nil {
		return nil, err
	}
	return a, a.handleTwilio()
}

// prepare is the middleware of every route. It authenticates the caller, checks the
// request apart from its body, and forwards the parts that the handler may use. A request
// that is refused becomes a call too, so that it is logged, counted and audited. Its body
// is not read.
func (a *api) prepare(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		if found := probeOf(r); found != nil {
			*found = true
			return
		}
		body := &requestBody{ReadCloser: http.NoBody, path: path}
		ctx, err := a.authenticate(context.WithValue(a.callContext(r), bodyKey{}, body))
		query, refusal := "", outcome.From(err)
		if refusal == nil {
			query, refusal = checkRequest(r, path)
		}
		if refusal == nil {
			body.ReadCloser, body.idempotencyKeys = limited(w, r.Body), r.Header.Values(idempotencyKeyHeader)
		}
		body.refuse(refusal)
		next(w, forwarded(ctx, r, query, body), path)
	}
}

// limited limits a body's size. The request keeps its own body, so that the server sees
// how much of it is unread. http.MaxBytesReader closes the connection through the
// server's own ResponseWriter alone.
func limited(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
	return http.MaxBytesReader(w.(*watchedWriter).ResponseWriter, body, MaxBodyBytes)
}

// checkRequest checks a request apart from its body, and returns its query string for
// grpc-gateway. The service checks the syntax of SIDs and labels.
func checkRequest(r *http.Request, path map[string]string) (query string, refusal *outcome.Error) {
	if HeaderSize(r.Header) > MaxHeaderBytes {
		return "", outcome.RequestTooLarge.Err(outcome.Facts{Detail: "its headers are larger than 16 KiB"})
	}
	if refusal := checkEncoding(r.Header); refusal != nil {
		return "", refusal
	}
	violations := checkPath(path)
	if !isTwilio(r) { // Twilio ignores both on a POST.
		request := queryRequest(r)
		violations = slices.Concat(violations, checkQuery(r, request, path), checkTimeout(r.Header))
		if request != nil && len(violations) == 0 {
			query, violations = adoptKeyInQuery(r.URL, request, r.Header.Values(idempotencyKeyHeader))
		}
	}
	if len(violations) > 0 {
		return "", invalid(violations)
	}
	return query, nil
}

func checkPath(path map[string]string) []*violation {
	var violations []*violation
	for field, value := range path {
		switch {
		case value == "":
			violations = append(violations, broken(field, "is empty in the path"))
		case strings.Contains(value, "/"):
			violations = append(violations, broken(field, "must have no /, not as %2F either"))
		case !utf8.ValidString(value):
			violations = append(violations, broken(field, "must be percent-encoded UTF-8"))
		}
	}
	slices.SortFunc(violations, func(a, b *violation) int { return strings.Compare(a.GetField(), b.GetField()) })
	return violations
}

// forwarded returns the request for the handler of a route. For grpc-gateway it has
// the query, no headers but Grpc-Timeout, no host and no client address, because
// grpc-gateway copies those to metadata.
func forwarded(ctx context.Context, r *http.Request, query string, body *requestBody) *http.Request {
	to := r.WithContext(ctx)
	to.Body = body
	if isTwilio(r) {
		return to
	}
	to.Header = http.Header{}
	if timeout := r.Header.Values(grpcTimeoutHeader); len(timeout) > 0 && body.refusal == nil {
		to.Header[grpcTimeoutHeader] = timeout
	}
	to.Host, to.RemoteAddr = "", ""
	to.URL = &url.URL{Path: r.URL.Path, RawQuery: query}
	return to
}

// requestBody is a request's body, with other parts of the request for the decoder, and
// for invoke the reason to refuse the request.
type requestBody struct {
	io.ReadCloser
	path            map[string]string
	idempotencyKeys []string
	refusal         *outcome.Error // Why the request is refused, or nil.
}

// refuse makes the request's call end with the refusal, unless that is nil or the call has
// one already.
func (b *requestBody) refuse(refusal *outcome.Error) {
	if b.refusal == nil {
		b.refusal = refusal
	}
}

// refuseInvalid makes the call end with INVALID_REQUEST if there are violations.
func (b *requestBody) refuseInvalid(violations []*violation) {
	if len(violations) > 0 {
		b.refuse(invalid(violations))
	}
}

type bodyKey struct{}

// bodyOf returns the body of the request, from the context of its call.
func bodyOf(ctx context.Context) *requestBody { return ctx.Value(bodyKey{}).(*requestBody) }

// readAll returns the body. If it cannot be read, readAll refuses it and returns nil.
func (b *requestBody) readAll() []byte {
	text, err := io.ReadAll(b)
	if err == nil {
		return text
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		b.refuse(outcome.RequestTooLarge.Err(outcome.Facts{Detail: fmt.Sprintf("its body is larger than %d bytes", tooLarge.Limit)}))
	}
	b.refuseInvalid([]*violation{broken("", "the body could not be read to its end")})
	return nil
}

// refuseRoute is grpc-gateway's handler of requests that no route matches.
func (a *api) refuseRoute(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int,
) {
	switch {
	case probeOf(r) != nil:
	case code == http.StatusMethodNotAllowed:
		refuseMethod(w, r, a.methods(r)...)
	default:
		refuse(w, r, outcome.RouteNotFound.Err(outcome.Facts{Detail: scopeOf(r)}))
	}
}

// ServeHTTP serves a request. A HEAD is served as a GET; the HTTP server leaves out the
// body of its answer.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		r = r.WithContext(r.Context())
		r.Method = http.MethodGet
	}
	a.ServeMux.ServeHTTP(w, r)
}

// methods returns the methods that the request's path supports. grpc-gateway does not
// list them, so each is tried with a probe request that ends in the middleware.
func (a *api) methods(r *http.Request) []string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodDelete} {
		found := false
		probe := r.WithContext(context.WithValue(r.Context(), probeKey{}, &found))
		probe.Method = method
		a.ServeHTTP(nil, probe)
		if found {
			methods = append(methods, method)
		}
	}
	return methods
}

type probeKey struct{}

// probeOf returns the probe's result, to be set if a route matches, or nil if the
// request is not a probe.
func probeOf(r *http.Request) *bool {
	found, _ := r.Context().Value(probeKey{}).(*bool)
	return found
}

// callContext returns the context of a call, with its record, peer and metadata.
func (a *api) callContext(r *http.Request) context.Context {
	protocol := call.REST
	if isTwilio(r) {
		protocol = call.Twilio
	}
	return withMetadata(withPeer(r, protocol, a.proxies), r.Header)
}
