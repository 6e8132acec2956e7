package callers

import (
	"crypto/x509"
	"time"
)

// Set is everything that decides about callers. Its fields are not to be
// changed once it is in use, and it is not to be copied: what changes is
// replaced with a new Set. It is safe for concurrent use.
type Set struct {
	// Tokens are the bearer tokens; nil: none are accepted.
	Tokens *Tokens
	// JWT verifies JWTs; nil: none are accepted. It holds the issuer's keys, so
	// a new Set with the same issuer is best given the same JWT.
	JWT *JWT
	// ClientCAs are the authorities whose client certificates are accepted;
	// nil: none are.
	ClientCAs *x509.CertPool
	// Policy is what callers may change. Without one, anonymous callers may
	// change everything, and all others nothing.
	Policy *Policy
	// Now is the clock for tokens and certificates; nil: time.Now.
	Now func() time.Time

	certificates recent[certified]
}

// Authenticating reports whether any way of knowing callers is configured. If
// none is, every caller is anonymous; otherwise none is.
func (s *Set) Authenticating() bool {
	return s.Tokens != nil || s.JWT != nil || s.ClientCAs != nil
}

func (s *Set) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}
