package callers

import (
	"conferenced/service/outcome"
	"conferenced/service/property"
)

// Authorize returns nil if the caller may set all the properties in the account.
// Otherwise it returns an *outcome.Error of the kind NotAllowed. It names the
// account, if no rule for the caller has the account, or else the first property in
// the API's order that no such rule allows.
func (s *Set) Authorize(c Caller, accountSID string, properties property.Set) error {
	if s.unlimited() {
		return nil
	}
	allowed, known := s.Policy.allowed(c, accountSID)
	if !known {
		return notAllowed(accountText(accountSID))
	}
	for refused := range (properties &^ allowed).Each() {
		return notAllowed("property " + refused.String())
	}
	return nil
}

func notAllowed(what string) error {
	return outcome.NotAllowed.Err(outcome.Facts{Detail: what})
}

// unlimited reports whether every caller may change everything.
func (s *Set) unlimited() bool { return s.Policy == nil && !s.Authenticating() }

// allowed returns the properties that the caller may set in the account, and
// whether any rule applies to both. A nil policy has no rule.
func (p *Policy) allowed(c Caller, accountSID string) (allowed property.Set, known bool) {
	if p == nil {
		return 0, false
	}
	for i := range p.rules {
		r := &p.rules[i]
		if r.hasAccount(accountSID) && r.match(c) != nil {
			allowed |= r.properties
			known = true
		}
	}
	return allowed, known
}

func accountText(sid string) string {
	if sid == "" {
		return "the default account"
	}
	return "account " + sid
}
