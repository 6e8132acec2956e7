package callers

import (
	"slices"

	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/property"
)

// Authorize returns nil if the caller may do the operation in the account, and an
// update may set all the properties. Otherwise it returns an *outcome.Error of the kind
// NotAllowed. It names the account, if no rule for the caller has the account, or else
// the operation, if no such rule allows it, or else the first property in the API's
// order that no such rule allows.
func (s *Set) Authorize(c Caller, accountSID string, operation call.Operation, properties property.Set) error {
	if s.unlimited() {
		return nil
	}
	rules := s.Policy.rulesFor(c, accountSID)
	if len(rules) == 0 {
		return notAllowed(accountText(accountSID))
	}
	rules = slices.DeleteFunc(rules, func(r *rule) bool { return !slices.Contains(r.operations, operation) })
	if len(rules) == 0 {
		return notAllowed("operation " + string(operation))
	}
	var allowed property.Set
	for _, r := range rules {
		allowed |= r.properties
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

// rulesFor returns the rules that apply to both the caller and the account. A nil policy
// has no rule.
func (p *Policy) rulesFor(c Caller, accountSID string) (rules []*rule) {
	if p == nil {
		return nil
	}
	for i := range p.rules {
		if r := &p.rules[i]; r.hasAccount(accountSID) && r.match(c) != nil {
			rules = append(rules, r)
		}
	}
	return rules
}

func accountText(sid string) string {
	if sid == "" {
		return "the default account"
	}
	return "account " + sid
}
