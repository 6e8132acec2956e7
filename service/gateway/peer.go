package gateway

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"conferenced/service/clientaddr"
)

// The protocols by which a call can come in.
const (
	ProtocolGRPC   = "grpc"
	ProtocolREST   = "rest"
	ProtocolTwilio = "twilio" // Twilio's own path and form.
)

type protocolKey struct{}

// Protocol is the protocol by which a call came in, ProtocolGRPC, ProtocolREST
// or ProtocolTwilio, given the context of its handler or of an interceptor.
func Protocol(ctx context.Context) string {
	if protocol, ok := ctx.Value(protocolKey{}).(string); ok {
		return protocol
	}
	return ProtocolGRPC
}

// withOrigin is the request's context with the protocol and the peer of a call.
// The peer is the client itself where a trusted proxy stands between.
func withOrigin(r *http.Request, protocol string, proxies []netip.Prefix) context.Context {
	remote := tcpAddr(r.RemoteAddr)
	from := &peer.Peer{Addr: clientaddr.Resolve(remote, r.Header.Values("X-Forwarded-For"), proxies)}
	from.LocalAddr, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if r.TLS != nil {
		from.AuthInfo = credentials.TLSInfo{
			State:          *r.TLS,
			CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		}
	}
	return peer.NewContext(context.WithValue(r.Context(), protocolKey{}, protocol), from)
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
