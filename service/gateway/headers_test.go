package gateway_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"conferenced/service/gateway"
	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
)

func TestHeadersThatBecomeMetadata(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		want   metadata.MD
	}{
		{"none", nil, metadata.MD{}},
		{
			"the allowed headers",
			[]string{"Authorization", "Bearer x", "Traceparent", "00-1", "Tracestate", "a=b"},
			metadata.MD{"authorization": {"Bearer x"}, "traceparent": {"00-1"}, "tracestate": {"a=b"}},
		},
		{
			"two credentials", // The service decides which of them counts.
			[]string{"Authorization", "Bearer x", "Authorization", "Bearer y"},
			metadata.MD{"authorization": {"Bearer x", "Bearer y"}},
		},
		{
			"grpc-gateway's own prefix",
			[]string{
				"Grpc-Metadata-Authorization", "Bearer x", "Grpc-Metadata-Caller", "root", "Grpc-Metadata-Traceparent", "00-1",
				"Grpc-Metadata-X-Forwarded-For", "10.0.0.1", "Grpc-Metadata-Caller-Bin", "AAAA", "Grpcgateway-Authorization", "x",
			},
			metadata.MD{},
		},
		{
			"headers of proxies",
			[]string{"X-Forwarded-For", "10.0.0.1", "X-Forwarded-Host", "evil", "X-Real-Ip", "10.0.0.1", "Forwarded", "for=10.0.0.1"},
			metadata.MD{},
		},
		{
			"headers of gRPC",
			[]string{"Grpc-Encoding", "gzip", "Grpc-Status", "0", "Grpc-Tags-Bin", "AAAA", "Grpc-Timeout", "5S", ":authority", "evil"},
			metadata.MD{},
		},
		{
			"common HTTP headers",
			[]string{"Cookie", "a=b", "User-Agent", "x", "Origin", "http://x", "Accept", "*/*", "Te", "trailers", "Connection", "close"},
			metadata.MD{},
		},
		{"a credential that is not ASCII", []string{"Authorization", "Bearer é"}, metadata.Pairs("authorization", "?")},
	}
	s := newService()
	handler := newHandler(t, s, pass, gateway.Config{CORSOrigins: []string{"http://x"}})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, path := range []string{participants + callSID, twilioPath} {
				incoming := httptest.NewRequest(http.MethodPost, path, http.NoBody)
				for i := 0; i < len(test.header); i += 2 {
					incoming.Header[test.header[i]] = append(incoming.Header[test.header[i]], test.header[i+1])
				}
				handler.ServeHTTP(httptest.NewRecorder(), incoming)
				if diff := cmp.Diff(test.want, s.seen(t).metadata); diff != "" {
					t.Errorf("%s: metadata (-want +got):\n%s", path, diff)
				}
			}
		})
	}
}

func TestMetadataThatBecomesHeaders(t *testing.T) {
	s := newService()
	s.answer = func(ctx context.Context, _ *request) (*response, error) {
		header := metadata.Pairs("twilio-request-id", "RQ1", "secret", "x", "set-cookie", "a=b", "content-length", "3")
		if err := grpc.SetHeader(ctx, header); err != nil {
			t.Error(err)
		}
		if err := grpc.SetTrailer(ctx, metadata.Pairs("late", "x")); err != nil {
			t.Error(err)
		}
		return &response{}, nil
	}
	got := update(t, serve(t, s, gateway.Config{}), "{}", "Te", "trailers")
	got.header.Del("Date")
	got.header.Del("Content-Length")
	want := http.Header{
		"Cache-Control": {"no-store"}, "Content-Type": {"application/json"},
		"X-Content-Type-Options": {"nosniff"}, "Twilio-Request-Id": {"RQ1"},
	}
	if diff := cmp.Diff(want, got.header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestIdempotencyKey(t *testing.T) {
	const id, other = "aaaaaaaa-2222-4333-8444-555555555555", "66666666-2222-4333-8444-555555555555"
	tests := []struct {
		name       string
		keys       []string
		body       string
		want       string
		violations []string
	}{
		{"neither header nor field", nil, `{}`, "", nil},
		{"only the header", []string{id}, `{}`, id, nil},
		{"only the header, without a body", []string{id}, ``, id, nil},
		{"only the field", nil, `{"request_id": "` + id + `"}`, id, nil},
		{"both, the same", []string{id}, `{"request_id": "` + id + `"}`, id, nil},
		{"both, the same in another case", []string{id}, `{"request_id": "` + strings.ToUpper(id) + `"}`, id, nil},
		{"both, different", []string{id}, `{"request_id": "` + other + `"}`, "", []string{
			"request_id", "differs from the Idempotency-Key header: give one of them, or the same in both",
		}},
		{"the header in quotes", []string{`"` + id + `"`}, `{}`, id, nil},
		{"the header twice, the same", []string{id, id}, `{}`, id, nil},
		{"the header twice, different", []string{id, other}, `{}`, "", []string{
			"Idempotency-Key", "is given more than once, with different values",
		}},
		{"an empty header", []string{""}, `{}`, "", []string{"Idempotency-Key", "is empty"}},
		{"an empty header in quotes", []string{`""`}, `{}`, "", []string{"Idempotency-Key", "is empty"}},
		{"not a UUID, which the service refuses", []string{"x"}, `{}`, "x", nil},
	}
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var header []string
			for _, key := range test.keys {
				header = append(header, "Idempotency-Key", key)
			}
			got := update(t, server, test.body, header...)
			if test.violations != nil {
				wantStatus(t, got, refusal(test.violations...))
				s.notCalled(t)
				return
			}
			wantRequest(t, s.seen(t), &request{ConferenceSid: conferenceSID, CallSid: callSID, RequestId: test.want})
		})
	}
}

func TestCompressedBodyIsRefused(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{})
	const rule = "is not supported: send the body uncompressed, without this header"
	for _, encoding := range []string{"gzip", "br", "GZIP, identity", "secret"} {
		t.Run(encoding, func(t *testing.T) {
			wantStatus(t, update(t, server, "{}", "Content-Encoding", encoding),
				outcometest.Status(outcome.UnsupportedMediaType, outcome.Facts{
					Detail:     "Content-Encoding " + rule,
					Violations: []*errdetails.BadRequest_FieldViolation{{Field: "Content-Encoding", Description: rule}},
				}))
			wantTwilioError(t, updateByForm(t, server, "Muted=true", "Content-Encoding", encoding),
				twilioError{20415, outcome.UnsupportedMediaType.Text + ": Content-Encoding " + rule, moreInfo("20415"), 415})
			s.notCalled(t)
		})
	}
	for _, encoding := range []string{"", "identity", "Identity, identity"} {
		if got := update(t, server, "{}", "Content-Encoding", encoding); got.code != http.StatusOK {
			t.Errorf("Content-Encoding %q: HTTP status %d", encoding, got.code)
		}
	}
}

func TestInvalidTimeouts(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{})
	want := refusal("Grpc-Timeout", "must be 1 to 8 digits, not zero, and a unit: H, M, S, m, u or n")
	for _, value := range []string{"5", "S", "5s", "-5S", "+5S", "1.5S", "5 S", "0S", "000000001S", "123456789n", "secret", "5é"} {
		t.Run(value, func(t *testing.T) {
			wantStatus(t, update(t, server, "{}", "Grpc-Timeout", value), want)
			s.notCalled(t)
		})
	}
}

func TestTwoTimeouts(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{})
	wantStatus(t, update(t, server, "{}", "Grpc-Timeout", "5S", "Grpc-Timeout", "1S"),
		refusal("Grpc-Timeout", "is given more than once, with different values"))
	s.notCalled(t)
	if got := update(t, server, "{}", "Grpc-Timeout", "5S", "Grpc-Timeout", "5S"); got.code != http.StatusOK {
		t.Errorf("the same twice: HTTP status %d", got.code)
	}
}

func TestTimeoutIsTheDeadline(t *testing.T) {
	tests := map[string]time.Duration{
		"": 0, "1H": time.Hour, "2M": 2 * time.Minute, "00000030S": 30 * time.Second,
		"1500m": 1500 * time.Millisecond, "99999999u": 99999999 * time.Microsecond,
	}
	for value, want := range tests {
		t.Run(value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				s.answer = func(ctx context.Context, _ *request) (*response, error) {
					deadline, ok := ctx.Deadline()
					if ok != (want != 0) || ok && time.Until(deadline) != want {
						t.Errorf("deadline %v %v, want %v from now", ok, time.Until(deadline), want)
					}
					return &response{}, nil
				}
				callInBubble(t, s, "Grpc-Timeout", value)
				s.seen(t)
			})
		})
	}
}

func TestTimeoutLongerThanADuration(t *testing.T) {
	s := newService()
	got := update(t, serve(t, s, gateway.Config{}), "{}", "Grpc-Timeout", "99999999H")
	if got.code != http.StatusOK || !s.seen(t).hasDeadline {
		t.Errorf("HTTP status %d: %s", got.code, got.body)
	}
}

func TestDeadlineThatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.answer = func(ctx context.Context, _ *request) (*response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		recorder := callInBubble(t, s, "Grpc-Timeout", "5S")
		got := reply{code: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()}
		wantStatus(t, got, outcometest.Status(outcome.Deadline, outcome.Facts{Applied: outcome.Maybe}))
	})
}

func callInBubble(t *testing.T, s *service, header, value string) *httptest.ResponseRecorder {
	t.Helper()
	incoming := httptest.NewRequestWithContext(t.Context(), http.MethodPost, participants+callSID, strings.NewReader("{}"))
	incoming.Header.Set(header, value)
	recorder := httptest.NewRecorder()
	newHandler(t, s, pass, gateway.Config{}).ServeHTTP(recorder, incoming)
	synctest.Wait()
	return recorder
}

func TestPeerIsTheClient(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{})
	var local string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { local = info.Conn.LocalAddr().String() },
	})
	outgoing, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+participants+callSID, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	outgoing.Header.Set("X-Forwarded-For", "10.0.0.1")
	incoming, err := server.Client().Do(outgoing)
	if err != nil {
		t.Fatal(err)
	}
	readReply(t, incoming)
	got := s.seen(t).peer
	if got.Addr.Network() != "tcp" || got.Addr.String() != local {
		t.Errorf("peer %v, want %s", got.Addr, local)
	}
	if got.LocalAddr.String() != server.Listener.Addr().String() {
		t.Errorf("local address %v, want %v", got.LocalAddr, server.Listener.Addr())
	}
	if got.AuthInfo != nil {
		t.Errorf("plaintext has authentication: %v", got.AuthInfo)
	}
}

func TestPeerHasTheClientsCertificate(t *testing.T) {
	s := newService()
	server := httptest.NewUnstartedServer(newHandler(t, s, pass, gateway.Config{}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	server.Client().Transport.(*http.Transport).TLSClientConfig.Certificates = server.TLS.Certificates
	update(t, server, "{}")
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

func TestTrustedProxyNamesTheClient(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	update(t, server, "{}", "X-Forwarded-For", "203.0.113.9, 198.51.100.1")
	if got := s.seen(t).peer.Addr.String(); got != "198.51.100.1:0" {
		t.Errorf("peer %s, want the last address that is not a proxy's", got)
	}
}
