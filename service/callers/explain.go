package callers

import (
	"fmt"
	"slices"
	"strings"

	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/property"
)

// Explain returns lines of text: the effect of each rule, and then the decision of
// [Set.Authorize].
func (s *Set) Explain(c Caller, accountSID string, operation call.Operation, properties property.Set) string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("%s", describe(c))
	switch {
	case s.unlimited():
		line("there is no policy, and callers need not be known: everything is allowed")
	case s.Policy == nil:
		line("there is no policy: nothing is allowed")
	default:
		for i := range s.Policy.rules {
			line("%s", s.Policy.rules[i].explain(c, accountSID))
		}
		s.Policy.explainEach(line, c, accountSID, operation, properties)
	}
	if err := s.Authorize(c, accountSID, operation, properties); err != nil {
		line("refused: %s is not allowed", outcome.From(err).Detail)
	} else {
		line("allowed")
	}
	return text.String()
}

func describe(c Caller) string {
	if c.Kind == KindAnonymous {
		return "caller: anonymous"
	}
	return fmt.Sprintf("caller: %s %q", c.Kind, c.Name)
}

func (r *rule) explain(c Caller, accountSID string) string {
	match := r.match(c)
	switch {
	case match == nil:
		return fmt.Sprintf("%s: is not for this caller", r)
	case !r.hasAccount(accountSID):
		return fmt.Sprintf("%s: is for this caller by %s, and not for %s", r, match, accountText(accountSID))
	default:
		return fmt.Sprintf("%s: is for this caller by %s, and allows %s", r, match, r.allowed())
	}
}

// explainEach adds a line for each property of an update, or for the operation: the
// rule that allows it.
func (p *Policy) explainEach(
	line func(string, ...any), c Caller, accountSID string, operation call.Operation, properties property.Set,
) {
	rules := slices.Collect(p.rulesFor(c, accountSID))
	if len(rules) == 0 {
		line("%s: no rule for this caller has it", accountText(accountSID))
		return
	}
	explain := func(what string, allows func(*rule) bool) {
		if i := slices.IndexFunc(rules, allows); i >= 0 {
			line("%s: allowed by %s", what, rules[i])
		} else {
			line("%s: no rule for this caller and account allows it", what)
		}
	}
	if operation != call.Update {
		explain("operation "+string(operation), func(r *rule) bool { return slices.Contains(r.operations, operation) })
	}
	for wanted := range properties.Each() {
		explain("property "+wanted.String(), func(r *rule) bool { return r.properties.Has(wanted) })
	}
}
