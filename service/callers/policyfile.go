package callers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"conferenced/service/call"
	"conferenced/service/property"
	"conferenced/service/twilio"
	"conferenced/service/yamlfile"
)

// maxPattern is the maximum length of a pattern or a rule's name in bytes.
const maxPattern = 2048

// ParsePolicy reads the text of a policy. Errors contain the given name:
//
//	rules:
//	  - name: agents' desktop
//	    callers:
//	      - token: "ui-*"
//	      - claims: {groups: agents, sub: "svc-*"}
//	      - san: "spiffe://example.org/ns/*/sa/ui"
//	    accounts: [ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]
//	    operations: [update, read]
//	    properties: [muted, hold]
//
// A rule applies to the callers that one of its entries matches. Within an entry
// everything must match. `token` matches the name of a token. `claims` matches
// one value of each of these claims of a JWT; a number or a boolean has the text
// that it has in JSON. `san` matches a URI of a certificate if it begins with
// spiffe://, otherwise a DNS name. `name` matches the name of any authenticated
// caller, and `anonymous: true` callers that need no authentication. `*` in a
// pattern stands for any characters, also none; as an account or a property it
// means all of them. A rule without `operations` allows update. A rule that allows
// update must have `properties`, and no other rule may. A rule's name is for
// explanations only.
//
// The error joins all problems, each with its line and key.
func ParsePolicy(name string, text []byte) (*Policy, error) {
	file := yamlfile.Parse(name, text)
	policy := new(Policy)
	if root := file.Mapping(); root != nil {
		for i, v := range root.Required("rules").List(1) {
			if m := v.Mapping(); m != nil {
				policy.rules = append(policy.rules, readRule(m, i+1))
			}
		}
	}
	if err := file.Err(); err != nil {
		return nil, err
	}
	return policy, nil
}

func readRule(m *yamlfile.Mapping, number int) rule {
	r := rule{number: number, line: m.Line(), name: yamlfile.Scan(m.Get("name"), parseLine)}
	for _, v := range m.Required("callers").List(1) {
		if entry := v.Mapping(); entry != nil {
			r.callers = append(r.callers, readCallerMatch(entry))
		}
	}
	for _, v := range m.Required("accounts").List(1) {
		r.accounts = append(r.accounts, yamlfile.Scan(v, parseAccount))
	}
	r.operations = readOperations(m)
	invalid := len(r.operations) == 0 || slices.Contains(r.operations, "")
	r.properties = readProperties(m, invalid || slices.Contains(r.operations, call.Update))
	return r
}

// readOperations returns the rule's operations: update alone if it names none.
func readOperations(m *yamlfile.Mapping) []call.Operation {
	named := m.Get("operations")
	if !named.Exists() {
		return []call.Operation{call.Update}
	}
	var operations []call.Operation
	for _, v := range named.List(1) {
		operations = append(operations, yamlfile.Scan(v, ParseOperation))
	}
	return operations
}

// readProperties returns the properties of a rule, which only an update has.
func readProperties(m *yamlfile.Mapping, update bool) (properties property.Set) {
	if !update {
		if unused := m.Get("properties"); unused.Exists() {
			unused.Errorf("needs the operation update: no other operation sets properties")
		}
		return 0
	}
	named := m.Required("properties")
	for _, v := range named.List(1) {
		properties |= yamlfile.Scan(v, parseProperty)
	}
	if properties.Has(property.CallSIDToCoach) && !properties.Has(property.Coaching) {
		named.Errorf("call_sid_to_coach needs coaching too: setting it starts coaching")
	}
	return properties
}

// ParseOperation returns the operation with that name, or an error that lists them.
func ParseOperation(name string) (call.Operation, error) {
	if !slices.Contains(call.Operations(), call.Operation(name)) {
		return "", fmt.Errorf("is not an operation; the operations are %s, %s and %s", call.Update, call.Read, call.Remove)
	}
	return call.Operation(name), nil
}

func readCallerMatch(m *yamlfile.Mapping) callerMatch {
	checkOneKind(m)
	match := callerMatch{
		name:      yamlfile.Scan(m.Get("name"), parsePattern),
		token:     yamlfile.Scan(m.Get("token"), parsePattern),
		san:       yamlfile.Scan(m.Get("san"), parseSANPattern),
		anonymous: yamlfile.Scan(m.Get("anonymous"), parseTrue),
	}
	if claims := m.Get("claims").Mapping(); claims != nil {
		if claims.Len() == 0 {
			claims.Errorf("must not be empty")
		}
		for name, v := range claims.All() {
			match.claims = append(match.claims, claimMatch{name, yamlfile.Scan(v, parsePattern)})
		}
	}
	return match
}

// checkOneKind reports an entry that matches no caller, because it is empty or
// combines kinds that no caller has together.
func checkOneKind(m *yamlfile.Mapping) {
	named := m.Get("name").Exists()
	var kinds []string
	for _, key := range []string{"token", "claims", "san", "anonymous"} {
		if m.Get(key).Exists() {
			kinds = append(kinds, key)
		}
	}
	if named && m.Get("anonymous").Exists() {
		kinds = append(kinds, "name")
	}
	switch {
	case len(kinds) > 1:
		m.Errorf("matches no caller: none has both %s and %s; write two entries", kinds[0], kinds[1])
	case len(kinds) == 0 && !named:
		m.Errorf("must ask for name, token, claims, san or anonymous")
	}
}

// parseLine accepts text that fits on one line.
func parseLine(text string) (string, error) {
	if text == "" || len(text) > maxPattern || strings.ContainsFunc(text, unicode.IsControl) {
		return "", fmt.Errorf("must be 1 to %d bytes without control characters", maxPattern)
	}
	return text, nil
}

func parsePattern(text string) (*pattern, error) {
	text, err := parseLine(text)
	return newPattern(text), err
}

func parseTrue(text string) (bool, error) {
	if !strings.EqualFold(text, "true") {
		return false, errors.New("must be true, or left out")
	}
	return true, nil
}

func parseAccount(text string) (string, error) {
	if text != allAccounts && twilio.ValidateAccountSID(text) != nil {
		return "", errors.New(`must be AC and 32 hexadecimal digits, or "*"`)
	}
	return text, nil
}

func parseProperty(text string) (property.Set, error) {
	if text == "*" {
		return property.All, nil
	}
	known, ok := property.Parse(text)
	if !ok {
		return 0, fmt.Errorf("is not a property; the properties are %s", property.All)
	}
	return property.Of(known), nil
}
