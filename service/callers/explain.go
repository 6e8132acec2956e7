package callers

import (
	"fmt"
	"strings"

	"conferenced/service/outcome"
	"conferenced/service/property"
)

// Explain returns lines of text: the effect of each rule, and then the decision of
// [Set.Authorize].
func (s *Set) Explain(c Caller, accountSID string, properties property.Set) string {
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
		s.Policy.explainEach(line, c, accountSID, properties)
	}
	if err := s.Authorize(c, accountSID, properties); err != nil {
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
		return fmt.Sprintf("%s: is for this caller by %s, and allows %s", r, match, r.properties)
	}
}

// explainEach adds a line for each property: the rule that allows it.
func (p *Policy) explainEach(line func(string, ...any), c Caller, accountSID string, properties property.Set) {
	if _, known := p.allowed(c, accountSID); !known {
		line("%s: no rule for this caller has it", accountText(accountSID))
		return
	}
	for wanted := range properties.Each() {
		if r := p.allowing(c, accountSID, wanted); r != nil {
			line("property %s: allowed by %s", wanted, r)
		} else {
			line("property %s: no rule for this caller and account allows it", wanted)
		}
	}
}

// allowing returns the first rule that allows the property, or nil.
func (p *Policy) allowing(c Caller, accountSID string, wanted property.Property) *rule {
	for i := range p.rules {
		r := &p.rules[i]
		if r.properties.Has(wanted) && r.hasAccount(accountSID) && r.match(c) != nil {
			return r
		}
	}
	return nil
}
