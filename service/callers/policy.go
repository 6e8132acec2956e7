package callers

import (
	"fmt"
	"slices"
	"strings"
)

// Policy is what callers may change. What no rule allows is refused.
type Policy struct {
	rules []rule
}

// rule allows its callers to set its properties in its accounts.
type rule struct {
	number, line int
	name         string
	callers      []callerMatch
	accounts     []string // SIDs.
	allAccounts  bool
	properties   propertySet
}

func (r *rule) String() string {
	if r.name == "" {
		return fmt.Sprintf("rule %d (line %d)", r.number, r.line)
	}
	return fmt.Sprintf("rule %d %q (line %d)", r.number, r.name, r.line)
}

// who is what the rule knows the caller by, or nil.
func (r *rule) who(caller Caller) *callerMatch {
	for i := range r.callers {
		if r.callers[i].matches(caller) {
			return &r.callers[i]
		}
	}
	return nil
}

func (r *rule) hasAccount(sid string) bool {
	return r.allAccounts || slices.Contains(r.accounts, sid)
}

// callerMatch matches callers of one kind or, by name alone, of every kind that
// is authenticated.
type callerMatch struct {
	name *pattern // May come with one of the next three.

	token     *pattern
	san       *pattern
	claims    []claimMatch
	anonymous bool
}

// claimMatch asks for a claim of which one value matches.
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
		return c.Kind == KindCertificate && m.san.any(c.SANs)
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

// String is the match much as the policy has it.
func (m *callerMatch) String() string {
	if m.anonymous {
		return "anonymous"
	}
	var asks []string
	ask := func(key string, p *pattern) {
		if p != nil {
			asks = append(asks, fmt.Sprintf("%s %q", key, p))
		}
	}
	ask("name", m.name)
	ask("token", m.token)
	ask("san", m.san)
	for _, match := range m.claims {
		ask("claim "+match.claim, match.pattern)
	}
	return strings.Join(asks, " and ")
}
