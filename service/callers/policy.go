package callers

import (
	"fmt"
	"slices"
	"strings"

	"conferenced/service/call"
	"conferenced/service/property"
)

// Policy says what callers may change. What no rule allows is refused.
type Policy struct {
	rules []rule
}

// Len returns the number of rules.
func (p *Policy) Len() int {
	if p == nil {
		return 0
	}
	return len(p.rules)
}

// rule allows the callers that it matches to do its operations in its accounts. An
// update may set its properties.
type rule struct {
	number, line int
	name         string
	callers      []callerMatch
	accounts     []string // SIDs, or allAccounts.
	operations   []call.Operation
	properties   property.Set
}

// allAccounts in a rule's accounts means every account.
const allAccounts = "*"

func (r *rule) String() string {
	if r.name == "" {
		return fmt.Sprintf("rule %d (line %d)", r.number, r.line)
	}
	return fmt.Sprintf("rule %d %q (line %d)", r.number, r.name, r.line)
}

// allowed describes what the rule allows, such as "update of muted, hold; read".
func (r *rule) allowed() string {
	allowed := make([]string, len(r.operations))
	for i, operation := range r.operations {
		allowed[i] = string(operation)
		if operation == call.Update {
			allowed[i] += " of " + r.properties.String()
		}
	}
	return strings.Join(allowed, "; ")
}

// match returns the rule's first entry that matches the caller, or nil.
func (r *rule) match(caller Caller) *callerMatch {
	for i := range r.callers {
		if r.callers[i].matches(caller) {
			return &r.callers[i]
		}
	}
	return nil
}

func (r *rule) hasAccount(sid string) bool {
	return slices.Contains(r.accounts, sid) || slices.Contains(r.accounts, allAccounts)
}

// callerMatch is an entry of a rule's callers. It matches callers of one kind or, with
// name alone, of every authenticated kind. Nil fields are not compared.
type callerMatch struct {
	name *pattern // Alone, or with token, san or claims.

	token     *pattern
	san       *sanPattern
	claims    []claimMatch
	anonymous bool
}

// claimMatch matches callers with a claim that has a matching value.
type claimMatch struct {
	claim   string
	pattern *pattern
}

func (m *callerMatch) matches(c Caller) bool {
	if m.anonymous || c.Kind == KindAnonymous {
		return m.anonymous && c.Kind == KindAnonymous
	}
	return (m.name == nil || m.name.match(c.Name)) && m.matchesKind(c)
}

func (m *callerMatch) matchesKind(c Caller) bool {
	switch {
	case m.token != nil:
		return c.Kind == KindToken && m.token.match(c.Name)
	case m.san != nil:
		return c.Kind == KindCertificate && m.san.match(c)
	case m.claims != nil:
		return c.Kind == KindJWT && m.matchesClaims(c.Claims)
	default:
		return m.name != nil
	}
}

func (m *callerMatch) matchesClaims(claims map[string][]string) bool {
	for _, match := range m.claims {
		if !match.pattern.any(claims[match.claim]) {
			return false
		}
	}
	return true
}

// String shows the entry much like the policy.
func (m *callerMatch) String() string {
	if m.anonymous {
		return "anonymous"
	}
	var parts []string
	add := func(key string, p *pattern) {
		if p != nil {
			parts = append(parts, fmt.Sprintf("%s %q", key, p))
		}
	}
	add("name", m.name)
	add("token", m.token)
	if m.san != nil {
		add("san", m.san.pattern)
	}
	for _, match := range m.claims {
		add("claim "+match.claim, match.pattern)
	}
	return strings.Join(parts, " and ")
}
