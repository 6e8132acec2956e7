package gateway

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials"
)

func TestInterceptorsSeeTheClientsAddress(t *testing.T) {
	s := newService()
	server := serve(t, s, Config{})
	var local string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { local = info.Conn.LocalAddr().String() },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+defaultAccountPath+callSID, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", "10.0.0.1")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	readReply(t, response)
	got := s.seen(t)
	if got.peer.Addr.Network() != "tcp" || got.peer.Addr.String() != local {
		t.Errorf("peer %v, want %s", got.peer.Addr, local)
	}
	if got.peer.LocalAddr.String() != server.Listener.Addr().String() {
		t.Errorf("local address %v, want %v", got.peer.LocalAddr, server.Listener.Addr())
	}
	if got.peer.AuthInfo != nil {
		t.Errorf("plaintext has authentication: %v", got.peer.AuthInfo)
	}
	if got.protocol != ProtocolREST {
		t.Errorf("protocol %q", got.protocol)
	}
}

func TestInterceptorsSeeTheClientsCertificate(t *testing.T) {
	s := newService()
	server := httptest.NewUnstartedServer(newHandler(t, s, Config{}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	server.Client().Transport.(*http.Transport).TLSClientConfig.Certificates = server.TLS.Certificates
	send(t, server, http.MethodPost, defaultAccountPath+callSID, "{}")
	info, ok := s.seen(t).peer.AuthInfo.(credentials.TLSInfo)
	if !ok {
		t.Fatal("the peer has no credentials.TLSInfo")
	}
	if !info.State.HandshakeComplete || len(info.State.PeerCertificates) != 1 || !info.State.PeerCertificates[0].Equal(server.Certificate()) {
		t.Errorf("TLS state: %d certificates", len(info.State.PeerCertificates))
	}
	if info.SecurityLevel != credentials.PrivacyAndIntegrity {
		t.Errorf("security level %v", info.SecurityLevel)
	}
}

func TestAddressThatIsNotTCP(t *testing.T) {
	s := newService()
	request := httptest.NewRequest(http.MethodPost, defaultAccountPath+callSID, strings.NewReader("{}"))
	request.RemoteAddr = "@"
	newHandler(t, s, Config{}).ServeHTTP(httptest.NewRecorder(), request)
	if got := s.seen(t).peer.Addr; got.String() != "@" || got.Network() != "other" {
		t.Errorf("peer %s %s", got.Network(), got)
	}
}

func TestCallsThatDoNotComeThroughTheGateway(t *testing.T) {
	if got := Protocol(t.Context()); got != ProtocolGRPC {
		t.Errorf("protocol %q", got)
	}
}

func TestTrustedProxyNamesTheClient(t *testing.T) {
	s := newService()
	server := serve(t, s, Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	send(t, server, http.MethodPost, defaultAccountPath+callSID, "{}", "X-Forwarded-For", "203.0.113.9, 198.51.100.1")
	if got := s.seen(t).peer.Addr.String(); got != "198.51.100.1:0" {
		t.Errorf("peer %s, want the last address that is no proxy's", got)
	}
}
