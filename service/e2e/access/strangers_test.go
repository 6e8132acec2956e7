package access_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// caller is what somebody presents.
type caller struct {
	name          string
	authorization []string
	certificate   *tls.Certificate
}

// withToken and the like are the ways in which the caller of a name is known.
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
		w.named[name] = w.clientCA.client(t, name)
	}
	return caller{name: "certificate", certificate: w.named[name]}
}

// The names of the tokens that are not good any more.
const (
	expiredName = "expired"
	revokedName = "revoked"
)

// strangers are callers who must not be known, most of them nearly the caller of
// the name.
func (w *world) strangers(t *testing.T, name string) []caller {
	t.Helper()
	good := bearer(tokenOf(name))
	own := func(value string) []string { return []string{value} }
	strangers := []caller{
		{"anonymous", nil, nil},
		{"an expired token", own(bearer(tokenOf(expiredName))), nil},
		{"a revoked token", own(bearer(tokenOf(revokedName))), nil},
		{"a token with something behind it", own(good + "0"), nil},
		{"a token without its end", own(good[:len(good)-1]), nil},
		{"a token in other letters", own("Bearer " + strings.ToUpper(tokenOf(name))), nil},
		{"the name of a token", own(bearer(name)), nil},
		{"a garbage bearer", own("Bearer {}<>!"), nil},
		{"two tokens in one", own(good + " " + tokenOf(name)), nil},
		{"two tokens with a comma", own(good + ", " + good), nil},
		{"a bearer without a token", own("Bearer"), nil},
		{"an empty authorization", own(""), nil},
		{"a token without its scheme", own(tokenOf(name)), nil},
		{"another scheme", own("Basic " + tokenOf(name)), nil},
		{"two authorization headers", []string{good, bearer(tokenOf("nobody"))}, nil},
		{"the same authorization twice", []string{good, good}, nil},
		{"a bad bearer with a good certificate", own(bearer("wrong")), w.clientCA.client(t, name)},
		{"another scheme with a good certificate", own("Basic eDp5"), w.clientCA.client(t, name)},
		{"a certificate without a name", nil, w.clientCA.client(t)},
		{"a certificate with two SPIFFE IDs", nil, w.clientCA.client(t, "spiffe://a.example/"+name, "spiffe://b.example/"+name)},
		{"a certificate with the name as its subject alone", nil, issue(t, w.clientCA.Certificate, &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})},
	}
	return append(strangers, w.forgers(t, name)...)
}

// forgers present JWTs that are not good, of the subject.
func (w *world) forgers(t *testing.T, subject string) []caller {
	t.Helper()
	var forgers []caller
	add := func(name, token string) {
		forgers = append(forgers, caller{name, []string{bearer(token)}, nil})
	}
	issued := func(changes map[string]any) string { return w.issuer.token(t, subject, changes) }
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	stranger, claims := newKey(t), w.issuer.claims(subject, nil)

	add("an expired JWT", issued(map[string]any{"exp": at(-time.Minute)}))
	add("a JWT that is not valid yet", issued(map[string]any{"nbf": at(time.Hour)}))
	add("a JWT without an end", issued(map[string]any{"exp": nil}))
	add("a JWT for another audience", issued(map[string]any{"aud": "billing"}))
	add("a JWT without an audience", issued(map[string]any{"aud": nil}))
	add("a JWT of another issuer", issued(map[string]any{"iss": "https://issuer.example"}))
	add("a JWT without a subject", issued(map[string]any{"sub": nil}))
	add("alg none", w.issuer.unsigned(t, subject, ""))
	add("alg none with a signature", w.issuer.unsigned(t, subject, "AAAA"))
	add("HS256 with the public key", w.issuer.confused(t, subject))
	add("a swapped key", sign(t, jwt.SigningMethodES256, stranger, keyID, claims))
	add("an unknown kid", sign(t, jwt.SigningMethodES256, stranger, "key-2", claims))
	add("an unknown kid with the issuer's key", sign(t, jwt.SigningMethodES256, w.issuer.key, "key-2", claims))
	add("a tampered JWT", w.issuer.tampered(t, "somebody", subject))
	add("a JWT without its signature", issued(nil)[:strings.LastIndex(issued(nil), ".")+1])
	add("a JWT without its last part", issued(nil)[:strings.LastIndex(issued(nil), ".")])
	return forgers
}

// intruders show certificates with which no connection comes about.
func (w *world) intruders(t *testing.T, name string) []caller {
	t.Helper()
	used := func(usage x509.ExtKeyUsage, end time.Duration) *tls.Certificate {
		return issue(t, w.clientCA.Certificate, &x509.Certificate{
			DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
			NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(end),
		})
	}
	stolen := *w.clientCA.client(t, name)
	stolen.PrivateKey = newKey(t)
	return []caller{
		{name: "a certificate of another CA", certificate: newAuthority(t, "others").client(t, name)},
		{name: "a certificate of another CA with the same name", certificate: newAuthority(t, "clients").client(t, name)},
		{name: "a certificate of nobody", certificate: issue(t, nil, &x509.Certificate{DNSNames: []string{name}})},
		{name: "a certificate of the servers' CA", certificate: w.serverCA.client(t, name)},
		{name: "an expired certificate", certificate: used(x509.ExtKeyUsageClientAuth, -time.Hour)},
		{name: "a certificate for servers", certificate: used(x509.ExtKeyUsageServerAuth, time.Hour)},
		{name: "a certificate without its key", certificate: &stolen},
		{
			name: "a certificate of another CA with a good token", certificate: newAuthority(t, "others").client(t, name),
			authorization: []string{bearer(tokenOf(name))},
		},
	}
}
