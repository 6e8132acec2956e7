package gateway

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"conferenced/service/call"
	"conferenced/service/clientaddr"
)

// withPeer returns the request's context with a call's record and peer. If a trusted
// proxy forwarded the request, the peer is the proxy's client.
func withPeer(r *http.Request, protocol call.Protocol, proxies []netip.Prefix) context.Context {
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // Set by net/http, so always valid.
	from := &peer.Peer{
		Addr: clientaddr.Resolve(net.TCPAddrFromAddrPort(remote), r.Header.Values("X-Forwarded-For"), proxies),
	}
	from.LocalAddr, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if r.TLS != nil {
		from.AuthInfo = credentials.TLSInfo{
			State:          *r.TLS,
			CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		}
	}
	ctx, _ := call.New(peer.NewContext(r.Context(), from), protocol)
	return ctx
}
