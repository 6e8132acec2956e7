package callers

import (
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxPattern is the most bytes that a pattern or a name may have.
const maxPattern = 2048

// ParsePolicy reads a policy:
//
//	rules:
//	  - name: agents' desktop
//	    callers:
//	      - token: "ui-*"
//	      - claims: {groups: agents, sub: "svc-*"}
//	      - san: "spiffe://example.org/ns/*/sa/ui"
//	    accounts: [ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]
//	    properties: [muted, hold]
//
// A rule is for the callers that one of its entries matches; within an entry
// everything must match. `token` matches the names of tokens, `claims` a value
// of each claim of a JWT, `san` a URI or DNS name of a certificate, `name` the
// name of any authenticated caller, and `anonymous: true` callers that need not
// be known. `*` in a pattern stands for any run of characters. `*` as an
// account or a property is all of them. The rule's name is for explanations.
//
// The error joins everything that is wrong, each with its line.
func ParsePolicy(data []byte) (*Policy, error) {
	file := parseYAML(data)
	root := file.mapping(file.root, "", "rules")
	list := file.required(file.root, "", root, "rules")
	policy := new(Policy)
	for i, node := range file.filled(list, "rules") {
		rule := file.rule(node, indexed("rules", i))
		rule.number, rule.line = i+1, node.Line
		policy.rules = append(policy.rules, rule)
	}
	if err := file.err(); err != nil {
		return nil, err
	}
	return policy, nil
}

// rule reads one rule. What cannot be read is reported and left out.
func (f *yamlFile) rule(node *yaml.Node, path string) rule {
	fields := f.mapping(node, path, "name", "callers", "accounts", "properties")
	if fields == nil {
		return rule{}
	}
	var r rule
	if name := fields["name"]; name != nil {
		r.name = f.printable(name, join(path, "name"))
	}
	callers := f.required(node, path, fields, "callers")
	for i, caller := range f.filled(callers, join(path, "callers")) {
		r.callers = append(r.callers, f.callerMatch(caller, indexed(join(path, "callers"), i)))
	}
	f.accounts(f.required(node, path, fields, "accounts"), join(path, "accounts"), &r)
	f.properties(f.required(node, path, fields, "properties"), join(path, "properties"), &r)
	return r
}

func (f *yamlFile) callerMatch(node *yaml.Node, path string) callerMatch {
	fields := f.mapping(node, path, "name", "token", "claims", "san", "anonymous")
	if fields == nil {
		return callerMatch{}
	}
	if len(fields) == 0 {
		f.wrong(node, path, "must ask for name, token, claims, san or anonymous")
	}
	f.oneKind(node, path, fields)
	return callerMatch{
		name:      f.pattern(fields["name"], path+".name"),
		token:     f.pattern(fields["token"], path+".token"),
		san:       f.pattern(fields["san"], path+".san"),
		claims:    f.claims(fields["claims"], path+".claims"),
		anonymous: f.anonymous(fields["anonymous"], path+".anonymous"),
	}
}

// oneKind reports an entry that asks for more than one caller can have.
func (f *yamlFile) oneKind(node *yaml.Node, path string, fields map[string]*yaml.Node) {
	var kinds []string
	for _, key := range []string{"token", "claims", "san", "anonymous"} {
		if fields[key] != nil {
			kinds = append(kinds, key)
		}
	}
	if fields["anonymous"] != nil && fields["name"] != nil {
		kinds = append(kinds, "name")
	}
	if len(kinds) > 1 {
		f.wrong(node, path, "matches nobody: no caller has both %s and %s; make them two entries", kinds[0], kinds[1])
	}
}

func (f *yamlFile) pattern(node *yaml.Node, path string) *pattern {
	if node == nil {
		return nil
	}
	return newPattern(f.printable(node, path))
}

func (f *yamlFile) claims(node *yaml.Node, path string) []claimMatch {
	var claims []claimMatch
	for _, field := range f.fields(node, path) {
		claims = append(claims, claimMatch{field.name, f.pattern(field.value, join(path, field.name))})
	}
	if node != nil && node.Kind == yaml.MappingNode && len(node.Content) == 0 {
		f.wrong(node, path, "must not be empty")
	}
	return claims
}

func (f *yamlFile) anonymous(node *yaml.Node, path string) bool {
	if node == nil {
		return false
	}
	if node.ShortTag() != "!!bool" || !strings.EqualFold(node.Value, "true") {
		f.wrong(node, path, "must be true, or left out")
	}
	return true
}

// accounts reads the rule's accounts: SIDs or `*`.
func (f *yamlFile) accounts(node *yaml.Node, path string, r *rule) {
	for i, element := range f.filled(node, path) {
		sid, ok := f.text(element, indexed(path, i))
		switch {
		case !ok:
		case sid == "*":
			r.allAccounts = true
		case isAccountSID(sid):
			r.accounts = append(r.accounts, sid)
		default:
			f.wrong(element, indexed(path, i), "must be AC and 32 hexadecimal digits, or \"*\"")
		}
	}
}

// properties reads the rule's properties: names or `*`.
func (f *yamlFile) properties(node *yaml.Node, path string, r *rule) {
	for i, element := range f.filled(node, path) {
		name, ok := f.text(element, indexed(path, i))
		switch {
		case !ok:
		case name == "*":
			r.properties = allProperties
		case propertyOf(name) != 0:
			r.properties |= propertyOf(name)
		default:
			f.wrong(element, indexed(path, i), "is not a property; the properties are %s", allProperties)
		}
	}
	coaching, coached := propertyOf("coaching"), propertyOf("call_sid_to_coach")
	if r.properties&coached != 0 && r.properties&coaching == 0 {
		f.wrong(node, path, "call_sid_to_coach needs coaching beside it: to set it is to start coaching")
	}
}

// printable is a text that is not empty and fits on a line.
func (f *yamlFile) printable(node *yaml.Node, path string) string {
	text, ok := f.text(node, path)
	if ok && (text == "" || len(text) > maxPattern || strings.ContainsFunc(text, unicode.IsControl)) {
		f.wrong(node, path, "must be 1 to %d bytes without control characters", maxPattern)
	}
	return text
}

func isAccountSID(sid string) bool {
	digits, ok := strings.CutPrefix(sid, "AC")
	return ok && len(digits) == 32 && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}
