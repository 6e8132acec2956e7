package settings

import "time"

// Expiry is when the next of each kind expires. A zero time means that none will.
type Expiry struct {
	// Token and ClientCA do not count what has expired: a caller may have a newer one.
	Token, ClientCA time.Time
	// Certificate is that of the server's certificate, also after it has expired.
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
