package callers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"conferenced/service/certtest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// authority issues certificates.
type authority struct{ *tls.Certificate }

func newAuthority(t testing.TB, name string, change ...func(*x509.Certificate)) authority {
	return authority{}.authority(t, name, change...)
}

// authority issues the certificate of another CA. The zero authority issues a
// self-signed one.
func (a authority) authority(t testing.TB, name string, change ...func(*x509.Certificate)) authority {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(24 * time.Hour),
	}
	for _, change := range change {
		change(template)
	}
	return authority{certtest.New(t, a.Certificate, template)}
}

// client issues a client's certificate, valid for an hour around noon.
func (a authority) client(t testing.TB, change ...func(*x509.Certificate)) *tls.Certificate {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "common name"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
	}
	for _, change := range change {
		change(template)
	}
	return certtest.New(t, a.Certificate, template)
}

func pool(authorities ...authority) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, a := range authorities {
		pool.AddCert(a.Leaf)
	}
	return pool
}

func withURIs(uris ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, text := range uris {
			uri, err := url.Parse(text)
			if err != nil {
				panic(err)
			}
			c.URIs = append(c.URIs, uri)
		}
	}
}

func withDNS(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func withUsage(usage ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usage }
}

func withCriticalExtension(c *x509.Certificate) {
	c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
}

func withTimes(from, to time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = noon.Add(from), noon.Add(to) }
}

// withCertificates is the context of a call over a connection with these client
// certificates.
func withCertificates(ctx context.Context, presented ...*tls.Certificate) context.Context {
	var state tls.ConnectionState
	for _, c := range presented {
		state.PeerCertificates = append(state.PeerCertificates, c.Leaf)
	}
	return peer.NewContext(ctx, &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
}

var invalidDNSNames = []string{
	"", ".", ".example.org", "a..example.org", "example.org.", "a b", "a/b", "a\x00.example.org", "a\n", "a:1", "*", "*.", "a.*.b", "a*.b", "a%41",
	strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "aa",
}

func TestCertificates(t *testing.T) {
	const spiffe = "spiffe://example.org/ns/prod/sa/ui"
	ours, other := newAuthority(t, "ours"), newAuthority(t, "ours")
	middle := ours.authority(t, "middle")
	expired := newAuthority(t, "expired", withTimes(-2*time.Hour, -time.Hour))
	set := &Set{Now: newClock().now, ClientCAs: pool(ours, expired)}
	chain := func(presented ...*tls.Certificate) []*tls.Certificate { return presented }
	for _, test := range []struct {
		name      string
		presented []*tls.Certificate
		want      Caller
		cause     error
	}{
		{
			name:      "a SPIFFE ID",
			presented: chain(ours.client(t, withURIs(spiffe), withDNS("ui.example.org"))),
			want:      Caller{Name: spiffe, URIs: []string{spiffe}, DNSNames: []string{"ui.example.org"}},
		},
		{
			name:      "DNS names",
			presented: chain(ours.client(t, withDNS("UI.example.org", "desk.example.org"))),
			want:      Caller{Name: "ui.example.org", DNSNames: []string{"ui.example.org", "desk.example.org"}},
		},
		{
			name:      "another URI and a DNS name",
			presented: chain(ours.client(t, withURIs("https://ui.example.org/"), withDNS("ui.example.org"))),
			want:      Caller{Name: "ui.example.org", URIs: []string{"https://ui.example.org/"}, DNSNames: []string{"ui.example.org"}},
		},
		{
			name:      "DNS names of every form",
			presented: chain(ours.client(t, withDNS("localhost", "_x.a-1", "*.example.org", strings.Repeat("a", 63)+".example"))),
			want:      Caller{Name: "localhost", DNSNames: []string{"localhost", "_x.a-1", "*.example.org", strings.Repeat("a", 63) + ".example"}},
		},
		{
			name:      "invalid DNS names and a valid one",
			presented: chain(ours.client(t, withDNS(append(slices.Clone(invalidDNSNames), "ui.example.org")...))),
			want:      Caller{Name: "ui.example.org", DNSNames: []string{"ui.example.org"}},
		},
		{name: "the text of a SPIFFE ID for a DNS name", presented: chain(ours.client(t, withDNS(spiffe))), cause: errCertificateNoName},
		{name: "only invalid DNS names", presented: chain(ours.client(t, withDNS(invalidDNSNames...))), cause: errCertificateNoName},
		{
			name:      "an intermediate CA",
			presented: chain(middle.client(t, withURIs(spiffe)), middle.Certificate),
			want:      Caller{Name: spiffe, URIs: []string{spiffe}},
		},
		{
			name:      "any usage",
			presented: chain(ours.client(t, withURIs(spiffe), withUsage(x509.ExtKeyUsageAny))),
			want:      Caller{Name: spiffe, URIs: []string{spiffe}},
		},
		{name: "an intermediate CA that is not presented", presented: chain(middle.client(t, withURIs(spiffe))), cause: errCertificateUntrusted},
		{name: "another CA of the same name", presented: chain(other.client(t, withURIs(spiffe))), cause: errCertificateUntrusted},
		{
			name:      "another CA that is presented",
			presented: chain(other.client(t, withURIs(spiffe)), other.Certificate, ours.Certificate),
			cause:     errCertificateUntrusted,
		},
		{name: "signed by itself", presented: chain(authority{}.client(t, withURIs(spiffe))), cause: errCertificateUntrusted},
		{name: "expired", presented: chain(ours.client(t, withURIs(spiffe), withTimes(-time.Hour, -time.Second))), cause: errCertificateTime},
		{name: "not valid yet", presented: chain(ours.client(t, withURIs(spiffe), withTimes(time.Second, time.Hour))), cause: errCertificateTime},
		{name: "of an expired CA", presented: chain(expired.client(t, withURIs(spiffe))), cause: errCertificateTime},
		{name: "only for servers", presented: chain(ours.client(t, withURIs(spiffe), withUsage(x509.ExtKeyUsageServerAuth))), cause: errCertificateUsage},
		{name: "issued by a client", presented: issuedByAClient(t, ours, withURIs(spiffe)), cause: errCertificateUntrusted},
		{name: "a critical extension that is not known", presented: chain(ours.client(t, withURIs(spiffe), withCriticalExtension)), cause: errCertificateInvalid},
		{name: "only a common name", presented: chain(ours.client(t)), cause: errCertificateNoName},
		{name: "only a URI of another scheme", presented: chain(ours.client(t, withURIs("https://ui.example.org/"))), cause: errCertificateNoName},
		{name: "two SPIFFE IDs", presented: chain(ours.client(t, withURIs(spiffe, spiffe+"2"), withDNS("ui.example.org"))), cause: errCertificateSPIFFE},
		{name: "a SPIFFE ID and another URI", presented: chain(ours.client(t, withURIs("https://a/", spiffe))), cause: errCertificateSPIFFE},
		{name: "a SPIFFE ID with a port", presented: chain(ours.client(t, withURIs("spiffe://example.org:1/ui"))), cause: errCertificateSPIFFE},
		{name: "a SPIFFE ID with a user", presented: chain(ours.client(t, withURIs("spiffe://ui@example.org/ui"))), cause: errCertificateSPIFFE},
		{name: "a SPIFFE ID with a query", presented: chain(ours.client(t, withURIs(spiffe+"?x"))), cause: errCertificateSPIFFE},
		{name: "a SPIFFE ID with a fragment", presented: chain(ours.client(t, withURIs(spiffe+"#x"))), cause: errCertificateSPIFFE},
		{name: "a SPIFFE ID with an escape", presented: chain(ours.client(t, withURIs("spiffe://example.org/%2e%2e"))), cause: errCertificateSPIFFE},
		{name: "a SPIFFE ID with ..", presented: chain(ours.client(t, withURIs("spiffe://example.org/a/../b"))), cause: errCertificateSPIFFE},
		{name: "a SPIFFE ID with a slash at the end", presented: chain(ours.client(t, withURIs(spiffe+"/"))), cause: errCertificateSPIFFE},
		{name: "a SPIFFE ID without a path", presented: chain(ours.client(t, withURIs("spiffe://example.org"))),
			want: Caller{Name: "spiffe://example.org", URIs: []string{"spiffe://example.org"}}},
		{name: "a SPIFFE ID with an opaque part", presented: chain(ours.client(t, withURIs("spiffe:example.org"))), cause: errCertificateSPIFFE},
		{name: "none", cause: errNothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := test.want
			if test.cause == nil {
				want.Kind = KindCertificate
			}
			for range 2 { // The second result is from the cache.
				got, err := set.Authenticate(withCertificates(t.Context(), test.presented...))
				if !errors.Is(err, test.cause) {
					t.Errorf("got cause %v, want %v", err, test.cause)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error("caller (-want +got):\n", diff)
				}
			}
		})
	}
}

func issuedByAClient(t testing.TB, ours authority, change func(*x509.Certificate)) []*tls.Certificate {
	client := ours.client(t, change)
	return []*tls.Certificate{authority{client}.client(t, change), client}
}

// TestRemovedCA replaces the Set during a connection.
func TestRemovedCA(t *testing.T) {
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	ctx := withCertificates(t.Context(), before.client(t, withDNS("ui")))
	clock := newClock()
	for _, step := range []struct {
		name  string
		pool  *x509.CertPool
		cause error
	}{
		{"the old one", pool(before), nil},
		{"both", pool(before, after), nil},
		{"the new one", pool(after), errCertificateUntrusted},
		{"no CA", nil, errNothing},
	} {
		set := &Set{Now: clock.now, ClientCAs: step.pool, Tokens: new(Tokens)}
		if _, err := set.Authenticate(ctx); !errors.Is(err, step.cause) {
			t.Errorf("%s: got cause %v, want %v", step.name, err, step.cause)
		}
	}
}

func TestACachedCertificateExpires(t *testing.T) {
	ours := newAuthority(t, "ours")
	brief := ours.authority(t, "brief", withTimes(-time.Hour, 30*time.Minute))
	for _, test := range []struct {
		name      string
		presented []*tls.Certificate
		last      time.Duration // The end of its validity, after noon.
	}{
		{"by itself", []*tls.Certificate{ours.client(t, withDNS("ui"))}, time.Hour},
		{"with its authority", []*tls.Certificate{brief.client(t, withDNS("ui")), brief.Certificate}, 30 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := newClock()
			set := &Set{Now: clock.now, ClientCAs: pool(ours)}
			ctx := withCertificates(t.Context(), test.presented...)
			for _, step := range []struct {
				advance time.Duration
				cause   error
			}{{0, nil}, {test.last - time.Second, nil}, {time.Second, nil}, {time.Second, errCertificateTime}} {
				clock.advance(step.advance)
				if _, err := set.Authenticate(ctx); !errors.Is(err, step.cause) {
					t.Errorf("at %v: got cause %v, want %v", clock.now(), err, step.cause)
				}
			}
		})
	}
}

// TestAuthorizationTakesPrecedence also presents a valid certificate.
func TestAuthorizationTakesPrecedence(t *testing.T) {
	ours := newAuthority(t, "ours")
	set := &Set{Now: newClock().now, ClientCAs: pool(ours), Tokens: mustParseTokens(t, tokensFile("cron=good", "old=bad=2027-01-01T00:00:00Z"))}
	connected := withCertificates(t.Context(), ours.client(t, withDNS("ui")))
	for _, test := range []struct {
		authorization, want string
	}{
		{"Bearer good", "token:cron"},
		{"Bearer bad", ""},
		{"Bearer unknown", ""},
		{"Bearer", ""},
		{"", ""},
		{"Basic dWk6dWk=", ""},
	} {
		caller, err := set.Authenticate(withAuthorization(connected, test.authorization))
		if got := caller.Key(); err == nil && got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%q: got %s, %v; want %q", test.authorization, got, err, test.want)
		}
	}
	if caller, err := set.Authenticate(connected); caller.Key() != "mtls:ui" {
		t.Errorf("without authorization: got %s, %v", caller.Key(), err)
	}
}

func TestOtherConnections(t *testing.T) {
	set := &Set{ClientCAs: x509.NewCertPool()}
	for name, ctx := range map[string]context.Context{
		"no peer":            t.Context(),
		"a peer without TLS": peer.NewContext(t.Context(), new(peer.Peer)),
	} {
		if _, err := set.Authenticate(ctx); !errors.Is(err, errNothing) {
			t.Errorf("%s: got cause %v, want %v", name, err, errNothing)
		}
	}
}
