package callers

import (
	"fmt"
	"strings"
)

// Explain says, in lines, what [Set.Authorize] decides and which rules make it
// so. The last line is the decision.
func (s *Set) Explain(c Caller, accountSID string, properties []string) string {
	var text strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	say("%s", describe(c))
	switch {
	case s.unlimited():
		say("there is no policy, and callers need not be known: everything is allowed")
	case s.Policy == nil:
		say("there is no policy: nothing is allowed")
	default:
		for i := range s.Policy.rules {
			say("%s", s.Policy.rules[i].explain(c, accountSID))
		}
		s.Policy.explainEach(say, c, accountSID, properties)
	}
	if err := s.Authorize(c, accountSID, properties); err != nil {
		say("refused: %v", err)
	} else {
		say("allowed")
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
	who := r.who(c)
	switch {
	case who == nil:
		return fmt.Sprintf("%s: is not for this caller", r)
	case !r.hasAccount(accountSID):
		return fmt.Sprintf("%s: is for this caller by %s, and not for %s", r, who, accountText(accountSID))
	default:
		return fmt.Sprintf("%s: is for this caller by %s, and allows %s", r, who, r.properties)
	}
}

// explainEach names the rule that allows each property.
func (p *Policy) explainEach(say func(string, ...any), c Caller, accountSID string, names []string) {
	if _, known := p.allowed(c, accountSID); !known {
		say("%s: no rule for this caller has it", accountText(accountSID))
		return
	}
	for _, name := range names {
		if r := p.allowing(c, accountSID, name); r != nil {
			say("property %s: allowed by %s", name, r)
		} else {
			say("property %s: no rule for this caller and account allows it", name)
		}
	}
}

// allowing is the first rule that allows the property.
func (p *Policy) allowing(c Caller, accountSID, name string) *rule {
	for i := range p.rules {
		r := &p.rules[i]
		if r.properties&propertyOf(name) != 0 && r.hasAccount(accountSID) && r.who(c) != nil {
			return r
		}
	}
	return nil
}
