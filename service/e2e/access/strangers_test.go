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
	// cause is what the log has to say of one who is not known.
	cause string
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
		{"anonymous", nil, nil, "presents nothing"},
		{"an expired token", own(bearer(tokenOf(expiredName))), nil, `the token of \"expired\" has expired`},
		{"a revoked token", own(bearer(tokenOf(revokedName))), nil, "none of the tokens file"},
		{"a token with something behind it", own(good + "0"), nil, "none of the tokens file"},
		{"a token without its end", own(good[:len(good)-1]), nil, "none of the tokens file"},
		{"a token in other letters", own("Bearer " + strings.ToUpper(tokenOf(name))), nil, "none of the tokens file"},
		{"the name of a token", own(bearer(name)), nil, "none of the tokens file"},
		{"a garbage bearer", own("Bearer {}<>!"), nil, "not Bearer and one token"},
		{"two tokens in one", own(good + " " + tokenOf(name)), nil, "not Bearer and one token"},
		{"two tokens with a comma", own(good + ", " + good), nil, "not Bearer and one token"},
		{"a bearer without a token", own("Bearer"), nil, "not Bearer and one token"},
		{"an empty authorization", own(""), nil, "not of the scheme Bearer"},
		{"a token without its scheme", own(tokenOf(name)), nil, "not of the scheme Bearer"},
		{"another scheme", own("Basic " + tokenOf(name)), nil, "not of the scheme Bearer"},
		{"two authorization headers", []string{good, bearer(tokenOf("nobody"))}, nil, "several authorization values"},
		{"the same authorization twice", []string{good, good}, nil, "several authorization values"},
		{"a bad bearer with a good certificate", own(bearer("wrong")), w.clientCA.client(t, name), "none of the tokens file"},
		{"another scheme with a good certificate", own("Basic eDp5"), w.clientCA.client(t, name), "not of the scheme Bearer"},
		{"a certificate without a name", nil, w.clientCA.client(t), "neither a SPIFFE ID nor a DNS name"},
		{"a certificate with two SPIFFE IDs", nil, w.clientCA.client(t, "spiffe://a.example/"+name, "spiffe://b.example/"+name), "not its only URI"},
		{"a certificate with the name as its subject alone", nil, issue(t, w.clientCA.Certificate, &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}), "neither a SPIFFE ID nor a DNS name"},
	}
	return append(strangers, w.forgers(t, name)...)
}

// forgers present JWTs that are not good, of the subject.
func (w *world) forgers(t *testing.T, subject string) []caller {
	t.Helper()
	var forgers []caller
	add := func(name, token, cause string) {
		forgers = append(forgers, caller{name, []string{bearer(token)}, nil, cause})
	}
	issued := func(changes map[string]any) string { return w.issuer.token(t, subject, changes) }
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	stranger, claims := newKey(t), w.issuer.claims(subject, nil)

	const signature = "none of the issuer's keys verifies"
	const algorithm = "malformed, or signed with an algorithm that is not accepted"
	add("an expired JWT", issued(map[string]any{"exp": at(-time.Minute)}), "expired")
	add("a JWT that is not valid yet", issued(map[string]any{"nbf": at(time.Hour)}), "not valid yet")
	add("a JWT without an end", issued(map[string]any{"exp": nil}), "exp")
	add("a JWT for another audience", issued(map[string]any{"aud": "billing"}), "audience")
	add("a JWT without an audience", issued(map[string]any{"aud": nil}), "aud claim is required")
	add("a JWT of another issuer", issued(map[string]any{"iss": "https://issuer.example"}), "issuer")
	add("a JWT without a subject", issued(map[string]any{"sub": nil}), "sub")
	add("alg none", w.issuer.unsigned(t, subject, ""), algorithm)
	add("alg none with a signature", w.issuer.unsigned(t, subject, "AAAA"), algorithm)
	add("HS256 with the public key", w.issuer.confused(t, subject), algorithm)
	add("a swapped key", sign(t, jwt.SigningMethodES256, stranger, keyID, claims), signature)
	add("an unknown kid", sign(t, jwt.SigningMethodES256, stranger, "key-2", claims), signature)
	add("an unknown kid with the issuer's key", sign(t, jwt.SigningMethodES256, w.issuer.key, "key-2", claims), signature)
	add("a tampered JWT", w.issuer.tampered(t, "somebody", subject), signature)
	add("a JWT without its signature", issued(nil)[:strings.LastIndex(issued(nil), ".")+1], signature)
	add("a JWT without its last part", issued(nil)[:strings.LastIndex(issued(nil), ".")], "none of the tokens file")
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
