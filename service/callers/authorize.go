package callers

// Refusal says what a caller may not change.
//
//nolint:errname // It is a decision first.
type Refusal struct {
	// What is the account ("account AC...", "the default account") or else the
	// property ("property coaching").
	What string
}

// Error returns that it is not allowed.
func (r *Refusal) Error() string { return r.What + " is not allowed" }

// Authorize returns nil if the caller may set all these properties, by their
// names in the API, in the account. Otherwise it returns a *[Refusal]: of the
// account if no rule for the caller has it, otherwise of the first property in
// the API's order that no such rule allows.
func (s *Set) Authorize(c Caller, accountSID string, properties []string) error {
	if s.unlimited() {
		return nil
	}
	allowed, known := s.Policy.allowed(c, accountSID)
	if !known {
		return &Refusal{accountText(accountSID)}
	}
	if refused := firstOutside(allowed, properties); refused != "" {
		return &Refusal{"property " + refused}
	}
	return nil
}

// unlimited reports whether every caller may change everything.
func (s *Set) unlimited() bool { return s.Policy == nil && !s.Authenticating() }

// allowed returns the properties that the caller may set in the account, and
// whether any rule applies to both. A nil policy has no rule.
func (p *Policy) allowed(c Caller, accountSID string) (allowed propertySet, known bool) {
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

// firstOutside returns the first property that is not allowed. Names that are no
// property come after all that are.
func firstOutside(allowed propertySet, names []string) string {
	var refused propertySet
	unknown := ""
	for _, name := range names {
		property := propertyOf(name)
		if property == 0 && unknown == "" {
			unknown = name
		}
		refused |= property &^ allowed
	}
	if refused != 0 {
		return refused.first()
	}
	return unknown
}

func accountText(sid string) string {
	if sid == "" {
		return "the default account"
	}
	return "account " + sid
}
