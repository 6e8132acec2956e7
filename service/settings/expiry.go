package settings

import "time"

// Expiry has the times at which tokens and certificates expire. A zero time means that
// none will.
type Expiry struct {
	// Token and ClientCA are the next times; what has expired does not count, because
	// callers may have newer ones.
	Token, ClientCA time.Time
	// Certificate is the time of the server's certificate, also after it has expired.
	Certificate time.Time
}

// Expiry returns when the tokens and the certificates of the Set expire.
func (s *Set) Expiry(now time.Time) Expiry {
	expiry := Expiry{Token: s.Callers.Tokens.NextExpiry(now)}
	if s.Certificate != nil {
		expiry.Certificate = s.Certificate.Leaf.NotAfter
	}
	for _, ca := range s.clientCAs {
		if at := ca.NotAfter; now.Before(at) && (expiry.ClientCA.IsZero() || at.Before(expiry.ClientCA)) {
			expiry.ClientCA = at
		}
	}
	return expiry
}
