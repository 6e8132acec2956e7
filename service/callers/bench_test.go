package callers

import (
	"context"
	"fmt"
	"testing"

	"conferenced/service/properties"
)

func BenchmarkAuthenticateToken(b *testing.B) {
	for _, count := range []int{1, 100} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			entries := make([]string, count)
			for i := range entries {
				entries[i] = fmt.Sprintf("caller-%d=secret-%d", i, i)
			}
			set := &Set{Tokens: mustParseTokens(b, tokensFile(entries...))}
			benchmarkAuthenticate(b, set, withAuthorization(b.Context(), "Bearer secret-0"))
		})
	}
}

// BenchmarkAuthenticateJWT has one JWT come again, as callers use them.
func BenchmarkAuthenticateJWT(b *testing.B) {
	issuer := newLocalIssuer(b, keyES.public(), keyRS.public())
	for _, key := range []signingKey{keyES, keyRS} {
		b.Run(key.algorithm.Alg(), func(b *testing.B) {
			set := &Set{JWT: issuer.verifier(b, newClock())}
			benchmarkAuthenticate(b, set, withAuthorization(b.Context(), "Bearer "+issuer.token(b, key, nil)))
		})
	}
}

// BenchmarkVerifyJWT verifies a JWT as if it came for the first time.
func BenchmarkVerifyJWT(b *testing.B) {
	issuer := newLocalIssuer(b, keyES.public(), keyRS.public())
	for _, key := range []signingKey{keyES, keyRS} {
		b.Run(key.algorithm.Alg(), func(b *testing.B) {
			verifier := issuer.verifier(b, newClock())
			token := issuer.token(b, key, nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.verify(b.Context(), token, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAuthenticateCertificate(b *testing.B) {
	ours := newAuthority(b, "ours")
	set := &Set{Now: newClock().now, ClientCAs: pool(ours)}
	benchmarkAuthenticate(b, set, withCertificates(b.Context(), ours.client(b, withDNS("ui"))))
}

func benchmarkAuthenticate(b *testing.B, set *Set, ctx context.Context) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.Authenticate(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	set := &Set{Policy: mustParsePolicy(b, policyText)}
	for _, bench := range []struct {
		name   string
		caller Caller
	}{
		{"token", Caller{Name: "ui-1", Kind: KindToken}},
		{"claims", Caller{Name: "svc-a", Kind: KindJWT, Claims: map[string][]string{"groups": {"agents"}, "sub": {"svc-a"}}}},
		{"certificate", Caller{Name: "ui", Kind: KindCertificate, URIs: []string{"spiffe://example.org/ns/prod/sa/ui"}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := set.Authorize(bench.caller, account1, properties.Names[:2]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
