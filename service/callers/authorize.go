package callers

import (
	"iter"
	"slices"

	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/property"
)

// Authorize returns nil if the caller may do the operation in the account and, for an
// update, set all the properties. Otherwise it returns an *outcome.Error of the kind
// NotAllowed, which names the first of these that no rule for the caller allows: the
// account, the operation, a property in the API's order.
func (s *Set) Authorize(c Caller, accountSID string, operation call.Operation, properties property.Set) error {
	if s.unlimited() {
		return nil
	}
	var allowed property.Set
	hasAccount, hasOperation := false, false
	for r := range s.Policy.rulesFor(c, accountSID) {
		hasAccount = true
		if slices.Contains(r.operations, operation) {
			hasOperation = true
			allowed |= r.properties
		}
	}
	switch {
	case !hasAccount:
		return notAllowed(accountText(accountSID))
	case !hasOperation:
		return notAllowed("operation " + string(operation))
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

// rulesFor yields the rules that apply to both the caller and the account. A nil policy
// has no rule.
func (p *Policy) rulesFor(c Caller, accountSID string) iter.Seq[*rule] {
	return func(yield func(*rule) bool) {
		for i := range p.Len() {
			if r := &p.rules[i]; r.hasAccount(accountSID) && r.match(c) != nil && !yield(r) {
				return
			}
		}
	}
}

func accountText(sid string) string {
	if sid == "" {
		return "the default account"
	}
	return "account " + sid
}
