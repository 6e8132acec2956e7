package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
)

// api serves the routes of the service. It checks a request as a whole, and
// hands grpc-gateway one that is left with nothing to interpret: a decoded path,
// the headers of the allow-list and a decoded message.
type api struct {
	routes  []*route
	mux     *runtime.ServeMux
	proxies []netip.Prefix
}

func newAPI(service conferencev1.ConferenceServiceServer, proxies []netip.Prefix) (http.Handler, error) {
	descriptor := conferencev1.File_conference_v1_conference_service_proto.Services().ByName("ConferenceService")
	routes, err := routesOf(descriptor)
	if err != nil {
		return nil, err
	}
	mux := runtime.NewServeMux(
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler{}),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithOutgoingTrailerMatcher(noTrailer),
		runtime.WithErrorHandler(writeError),
		runtime.WithRoutingErrorHandler(writeRoutingError),
		runtime.WithWriteContentLength(),
	)
	if err := conferencev1.RegisterConferenceServiceHandlerServer(context.Background(), mux, service); err != nil {
		return nil, err
	}
	return &api{routes: routes, mux: mux, proxies: proxies}, nil
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := splitPath(r.URL)
	route := find(a.routes, path)
	switch {
	case route == nil:
		writeStatus(w, outcome.RouteNotFound.Status(outcome.Facts{}))
	case !slices.Contains(route.methods, r.Method):
		refuseMethod(w, route.methods...)
	default:
		a.call(w, r, route, path)
	}
}

func (a *api) call(w http.ResponseWriter, r *http.Request, route *route, path []string) {
	body, refusal := readBody(r)
	if refusal != nil {
		writeStatus(w, refusal)
		return
	}
	message, wrong := decodeBody(body, route)
	violations := slices.Concat(route.checkPath(path), checkQuery(r.URL), checkTimeout(r.Header), wrong)
	if message != nil {
		violations = append(violations, adoptIdempotencyKey(message, r.Header)...)
	}
	if len(violations) > 0 {
		writeStatus(w, invalid(violations))
		return
	}
	a.mux.ServeHTTP(w, a.forwarded(r, path, message))
}

// forwarded is the request that grpc-gateway sees. Host and RemoteAddr are not
// handed on, or it would make x-forwarded-* metadata of them: interceptors have
// the peer. A path without its encoded form is taken as it is; no variable in it
// has a slash.
func (a *api) forwarded(r *http.Request, path []string, message proto.Message) *http.Request {
	to := r.WithContext(withOrigin(r, ProtocolREST, a.proxies))
	to.URL = &url.URL{Path: "/" + strings.Join(path, "/")}
	to.Header = allowedHeaders(r.Header)
	to.Body = &decodedBody{message: message}
	to.Host = ""
	to.RemoteAddr = ""
	return to
}
