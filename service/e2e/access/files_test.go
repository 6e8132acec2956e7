package access_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// tokenOf returns the bearer token of the caller with that name.
func tokenOf(name string) string { return "token-of-" + name + "-0123456789abcdef" }

// bearer returns the Authorization header for the token.
func bearer(token string) string { return "Bearer " + token }

// accountsText returns an accounts file, with Twilio at the URL.
func accountsText(url string) string {
	return `default: ` + mainSID + `
accounts:
  - sid: ` + mainSID + `
    auth_token: {file: ` + mainTokenFile + `}
    base_url: ` + url + `
    subaccounts: [` + subSID + `]
  - sid: ` + otherSID + `
    api_key: {sid: ` + otherKeySID + `, secret: {file: ` + otherKeyFile + `}}
    base_url: ` + url + `
`
}

// tokensText returns a tokens file of callers with those names.
func tokensText(names ...string) string {
	var text strings.Builder
	text.WriteString("tokens:\n")
	for _, name := range names {
		text.WriteString(tokenEntry(name, tokenOf(name)))
	}
	return text.String()
}

func tokenEntry(name, token string) string {
	return fmt.Sprintf("  - {name: %s, sha256: \"%x\"}\n", name, sha256.Sum256([]byte(token)))
}

// allowAll is a policy that allows every authenticated caller everything.
const allowAll = `rules: [{callers: [{name: "*"}], accounts: ["*"], properties: ["*"]}]` + "\n"

// policyText returns a policy that allows callers of every kind with these names to
// set the properties.
func policyText(accounts string, rules map[string][]string) string {
	var text strings.Builder
	text.WriteString("rules:\n")
	for name, allowed := range rules {
		fmt.Fprintf(&text, "  - callers: [{token: %[1]s}, {claims: {sub: %[1]s}}, {san: %[1]s}]\n"+
			"    accounts: [%[2]s]\n    properties: [%[3]s]\n", name, accounts, strings.Join(allowed, ", "))
	}
	return text.String()
}
