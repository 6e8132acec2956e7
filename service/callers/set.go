package callers

import (
	"crypto/x509"
	"time"
)

// Set is the configuration of authentication and authorization. It is safe for
// concurrent use. It must not be changed or copied after its first use.
type Set struct {
	// Tokens are the bearer tokens; nil: none are accepted.
	Tokens *Tokens
	// JWT verifies JWTs; nil: none are accepted. It keeps the issuer's keys, so
	// several Sets of one issuer share one JWT.
	JWT *JWT
	// ClientCAs are the CAs whose client certificates are accepted; nil: none are
	// accepted.
	ClientCAs *x509.CertPool
	// Policy is the policy. If it is nil, anonymous callers may change everything, and
	// other callers nothing.
	Policy *Policy
	// Now is the clock for tokens and certificates; nil: time.Now.
	Now func() time.Time

	certificates recent[verifiedCertificate]
}

// Authenticating reports whether any kind of authentication is configured. If
// none is, every caller is anonymous; otherwise no caller is.
func (s *Set) Authenticating() bool {
	return s.TakesBearerTokens() || s.ClientCAs != nil
}

// TakesBearerTokens reports whether callers can be authenticated by a bearer token: one
// of the service or a JWT.
func (s *Set) TakesBearerTokens() bool { return s.Tokens != nil || s.JWT != nil }

// Kinds returns the ways in which callers can be authenticated: token, jwt and mtls, or
// anonymous if there is none.
func (s *Set) Kinds() (kinds []string) {
	if s.Tokens != nil {
		kinds = append(kinds, KindToken.String())
	}
	if s.JWT != nil {
		kinds = append(kinds, KindJWT.String())
	}
	if s.ClientCAs != nil {
		kinds = append(kinds, KindCertificate.String())
	}
	if kinds == nil {
		kinds = append(kinds, KindAnonymous.String())
	}
	return kinds
}

func (s *Set) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}
