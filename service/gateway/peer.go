package gateway

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"conferenced/service/clientaddr"
	"conferenced/service/telemetry"
)

// The protocols by which a call can come in.
const (
	ProtocolGRPC   = "grpc"
	ProtocolREST   = "rest"
	ProtocolTwilio = "twilio" // Twilio's own path and form.
)

// origin is what the gateway tells the interceptors of a call's way in. It
// travels in the client's context, where no header can put it.
type origin struct {
	protocol string
	peer     *peer.Peer
	ignored  ignoredFields
}

type originKey struct{}

// AdoptPeer is a server interceptor that makes peer.FromContext return the HTTP
// client's address and TLS state, as it would on a socket of its own. It
// belongs first on the in-process channel that New is given. Calls that did not
// come through the gateway keep their peer.
//
// Of credentials.TLSInfo it sets State, not SPIFFEID.
//
// It also puts down in [telemetry.Call] which fields of a form were ignored.
func AdoptPeer(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	from := originOf(ctx)
	if from == nil {
		return handler(ctx, req)
	}
	ctx = peer.NewContext(ctx, from.peer)
	if from.ignored.count > 0 {
		var call *telemetry.Call
		ctx, call = telemetry.WithCall(ctx)
		call.IgnoredFields, call.IgnoredNames = from.ignored.count, from.ignored.names
	}
	return handler(ctx, req)
}

// Protocol is the protocol by which a call came in, ProtocolGRPC, ProtocolREST
// or ProtocolTwilio, given the context of its handler or of an interceptor.
func Protocol(ctx context.Context) string {
	if from := originOf(ctx); from != nil {
		return from.protocol
	}
	return ProtocolGRPC
}

func originOf(ctx context.Context) *origin {
	client := inprocgrpc.ClientContext(ctx)
	if client == nil {
		return nil
	}
	from, _ := client.Value(originKey{}).(*origin)
	return from
}

// withOrigin is the request's context with what AdoptPeer and Protocol look for.
// The peer, which is added here, is the client itself where a trusted proxy
// stands between.
func withOrigin(r *http.Request, came origin, proxies []netip.Prefix) context.Context {
	remote := tcpAddr(r.RemoteAddr)
	from := &peer.Peer{Addr: clientaddr.Resolve(remote, r.Header.Values("X-Forwarded-For"), proxies)}
	from.LocalAddr, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if r.TLS != nil {
		from.AuthInfo = credentials.TLSInfo{
			State:          *r.TLS,
			CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		}
	}
	came.peer = from
	return context.WithValue(r.Context(), originKey{}, &came)
}

func tcpAddr(text string) net.Addr {
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		return otherAddr(text)
	}
	return net.TCPAddrFromAddrPort(addr)
}

// otherAddr is the address of a client whose connection is not TCP.
type otherAddr string

func (otherAddr) Network() string  { return "other" }
func (a otherAddr) String() string { return string(a) }
