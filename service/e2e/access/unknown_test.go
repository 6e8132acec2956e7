package access_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"conferenced/service/certtest"

	"github.com/golang-jwt/jwt/v5"
)

// caller is the credentials that a caller presents.
type caller struct {
	name          string
	authorization []string
	certificate   *tls.Certificate
}

// withToken returns the caller with the name, authenticated by its token. withJWT and
// withCertificate are similar.
func withToken(name string) caller {
	return caller{name: "token", authorization: []string{bearer(tokenOf(name))}}
}

func (w *world) withJWT(t *testing.T, name string) caller {
	t.Helper()
	return caller{name: "jwt", authorization: []string{bearer(w.issuer.token(t, name, nil))}}
}

func (w *world) withCertificate(t *testing.T, name string) caller {
	t.Helper()
	if w.named[name] == nil {
		w.named[name] = certtest.Issue(t, w.clientCA, name)
	}
	return caller{name: "certificate", certificate: w.named[name]}
}

// The names of tokens that are not valid any more.
const (
	expiredName = "expired"
	revokedName = "revoked"
)

// unknownCallers returns callers whose authentication must fail. Most of them have
// nearly the credentials of the caller with the name.
func (w *world) unknownCallers(t *testing.T, name string) []caller {
	t.Helper()
	good := bearer(tokenOf(name))
	own := func(value string) []string { return []string{value} }
	unknownCallers := []caller{
		{"anonymous", nil, nil},
		{"an expired token", own(bearer(tokenOf(expiredName))), nil},
		{"a revoked token", own(bearer(tokenOf(revokedName))), nil},
		{"a token with a suffix", own(good + "0"), nil},
		{"a token without its end", own(good[:len(good)-1]), nil},
		{"a token in another case", own("Bearer " + strings.ToUpper(tokenOf(name))), nil},
		{"the name of a token", own(bearer(name)), nil},
		{"a malformed bearer token", own("Bearer {}<>!"), nil},
		{"two tokens in one header", own(good + " " + tokenOf(name)), nil},
		{"two tokens with a comma", own(good + ", " + good), nil},
		{"a bearer without a token", own("Bearer"), nil},
		{"an empty authorization", own(""), nil},
		{"a token without its scheme", own(tokenOf(name)), nil},
		{"another scheme", own("Basic " + tokenOf(name)), nil},
		{"two authorization headers", []string{good, bearer(tokenOf("other"))}, nil},
		{"the same authorization twice", []string{good, good}, nil},
		{"an invalid token with a valid certificate", own(bearer("wrong")), certtest.Issue(t, w.clientCA, name)},
		{"another scheme with a valid certificate", own("Basic eDp5"), certtest.Issue(t, w.clientCA, name)},
		{"a certificate without a name", nil, certtest.Issue(t, w.clientCA)},
		{"a certificate with two SPIFFE IDs", nil, certtest.Issue(t, w.clientCA, "spiffe://a.example/"+name, "spiffe://b.example/"+name)},
		{"a certificate with the name only in its subject", nil, certtest.New(t, w.clientCA, &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})},
	}
	return append(unknownCallers, w.invalidJWTs(t, name)...)
}

// invalidJWTs returns callers with invalid JWTs of the subject.
func (w *world) invalidJWTs(t *testing.T, subject string) []caller {
	t.Helper()
	var invalidJWTs []caller
	add := func(name, token string) {
		invalidJWTs = append(invalidJWTs, caller{name, []string{bearer(token)}, nil})
	}
	issued := func(changes map[string]any) string { return w.issuer.token(t, subject, changes) }
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	otherKey, claims := newKey(t), w.issuer.claims(subject, nil)

	add("an expired JWT", issued(map[string]any{"exp": at(-time.Minute)}))
	add("a JWT that is not valid yet", issued(map[string]any{"nbf": at(time.Hour)}))
	add("a JWT without an expiry", issued(map[string]any{"exp": nil}))
	add("a JWT for another audience", issued(map[string]any{"aud": "billing"}))
	add("a JWT without an audience", issued(map[string]any{"aud": nil}))
	add("a JWT of another issuer", issued(map[string]any{"iss": "https://issuer.example"}))
	add("a JWT without a subject", issued(map[string]any{"sub": nil}))
	add("alg none", w.issuer.unsigned(t, subject, ""))
	add("alg none with a signature", w.issuer.unsigned(t, subject, "AAAA"))
	add("HS256 with the public key", w.issuer.confused(t, subject))
	add("a JWT signed with another key", sign(t, jwt.SigningMethodES256, otherKey, keyID, claims))
	add("an unknown kid", sign(t, jwt.SigningMethodES256, otherKey, "key-2", claims))
	add("an unknown kid with the issuer's key", sign(t, jwt.SigningMethodES256, w.issuer.key, "key-2", claims))
	add("a tampered JWT", w.issuer.tampered(t, "other", subject))
	add("a JWT without its signature", issued(nil)[:strings.LastIndex(issued(nil), ".")+1])
	add("a JWT without its last part", issued(nil)[:strings.LastIndex(issued(nil), ".")])
	return invalidJWTs
}

// refusedCertificates returns callers whose certificates the TLS handshake refuses.
func (w *world) refusedCertificates(t *testing.T, name string) []caller {
	t.Helper()
	used := func(usage x509.ExtKeyUsage, end time.Duration) *tls.Certificate {
		return certtest.New(t, w.clientCA, &x509.Certificate{
			DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
			NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(end),
		})
	}
	stolen := *certtest.Issue(t, w.clientCA, name)
	stolen.PrivateKey = newKey(t)
	return []caller{
		{name: "a certificate of another CA", certificate: certtest.Issue(t, certtest.NewCA(t, "others"), name)},
		{name: "a certificate of another CA with the same name", certificate: certtest.Issue(t, certtest.NewCA(t, "clients"), name)},
		{name: "a self-signed certificate", certificate: certtest.New(t, nil, &x509.Certificate{DNSNames: []string{name}})},
		{name: "a certificate of the servers' CA", certificate: certtest.Issue(t, w.serverCA, name)},
		{name: "an expired certificate", certificate: used(x509.ExtKeyUsageClientAuth, -time.Hour)},
		{name: "a certificate for servers", certificate: used(x509.ExtKeyUsageServerAuth, time.Hour)},
		{name: "a certificate without its key", certificate: &stolen},
		{
			name: "a certificate of another CA with a valid token", certificate: certtest.Issue(t, certtest.NewCA(t, "others"), name),
			authorization: []string{bearer(tokenOf(name))},
		},
	}
}
