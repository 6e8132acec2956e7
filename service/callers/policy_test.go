package callers

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/properties"
)

var (
	account1 = "AC" + strings.Repeat("1", 32)
	account2 = "AC" + strings.Repeat("2", 32)
)

const policyText = `
rules:
  - name: agents' desktop
    callers:
      - token: "ui-*"
      - claims: {groups: agents, sub: "svc-*"}
      - san: "spiffe://example.org/ns/*/sa/ui"
    accounts: [AC11111111111111111111111111111111]
    properties: [hold, muted]
  - name: supervisors
    callers:
      - claims: {groups: supervisors}
        name: "svc-*"
    accounts: ["*"]
    properties: [coaching, call_sid_to_coach]
  - callers: [{name: "root"}]
    accounts: ["*"]
    properties: ["*"]
  - callers: [{name: "*"}]
    accounts: [AC22222222222222222222222222222222]
    properties: [beep_on_exit]
  - callers: [{anonymous: true}]
    accounts: [AC22222222222222222222222222222222]
    properties: [muted]
`

func TestAuthorize(t *testing.T) {
	set := &Set{Policy: mustParsePolicy(t, policyText), ClientCAs: x509.NewCertPool()}
	token := func(name string) Caller { return Caller{Name: name, Kind: KindToken} }
	jwt := func(name string, groups ...string) Caller {
		return Caller{Name: name, Kind: KindJWT, Claims: map[string][]string{"sub": {name}, "groups": groups}}
	}
	certificate := func(sans ...string) Caller { return Caller{Name: sans[0], Kind: KindCertificate, SANs: sans} }
	const ui = "spiffe://example.org/ns/prod/sa/ui"
	for _, test := range []struct {
		name       string
		caller     Caller
		account    string
		properties []string
		want       string // What is refused; empty: nothing.
	}{
		{"a token", token("ui-1"), account1, []string{"muted", "hold"}, ""},
		{"a token, no property", token("ui-1"), account1, nil, ""},
		{"a token, a property too many", token("ui-1"), account1, []string{"muted", "coaching"}, "property coaching"},
		{"a token, several properties too many", token("ui-1"), account1, []string{"coaching", "wait_url", "muted", "hold_url"}, "property hold_url"},
		{"a token, what is no property", token("ui-1"), account1, []string{"mute"}, "property mute"},
		{"a token, what is no property before one too many", token("ui-1"), account1, []string{"mute", "coaching"}, "property coaching"},
		{"a token, another account", token("ui-1"), account2, []string{"muted"}, "property muted"},
		{"a token, the account of all names", token("ui-1"), account2, []string{"beep_on_exit"}, ""},
		{"a token, an account of no rule", token("ui-1"), "AC" + strings.Repeat("3", 32), []string{"muted"}, "account AC" + strings.Repeat("3", 32)},
		{"a token, no account", token("ui-1"), "", []string{"muted"}, "the default account"},
		{"a token, the account in other digits", token("ui-1"), strings.ToLower(account1), nil, "account " + strings.ToLower(account1)},
		{"a token of another name", token("cron"), account1, []string{"muted"}, "account " + account1},
		{"a token by the name of root", token("root"), account1, properties.Names, ""},
		{"a JWT by the name of a token", jwt("ui-1"), account1, []string{"muted"}, "account " + account1},
		{"a certificate by the name of a token", certificate("ui-1"), account1, []string{"muted"}, "account " + account1},
		{"a JWT", jwt("svc-a", "staff", "agents"), account1, []string{"muted"}, ""},
		{"a JWT, one claim of two", jwt("a", "agents"), account1, []string{"muted"}, "account " + account1},
		{"a JWT, a claim that begins alike", jwt("svc-a", "agents2"), account1, []string{"muted"}, "account " + account1},
		{"a JWT of two rules", jwt("svc-a", "agents", "supervisors"), account1, []string{"muted", "coaching"}, ""},
		{"a JWT by claim, not by name", jwt("a", "supervisors"), account1, []string{"coaching"}, "account " + account1},
		{"a token with claims", Caller{Name: "svc-a", Kind: KindToken, Claims: map[string][]string{"groups": {"supervisors"}}}, account1, nil, "account " + account1},
		{"a certificate", certificate(ui), account1, []string{"hold"}, ""},
		{"a certificate, by its second name", certificate("a", ui), account1, []string{"hold"}, ""},
		{"a certificate, another name", certificate(ui + "2"), account1, []string{"hold"}, "account " + account1},
		{"a token by the name of a certificate", token(ui), account1, []string{"hold"}, "account " + account1},
		{"a JWT with the SANs of a certificate", Caller{Name: "a", Kind: KindJWT, SANs: []string{ui}}, account1, nil, "account " + account1},
		{"anonymous", Caller{}, account2, []string{"muted"}, ""},
		{"anonymous, a property for names", Caller{}, account2, []string{"beep_on_exit"}, "property beep_on_exit"},
		{"anonymous, another account", Caller{}, account1, []string{"muted"}, "account " + account1},
		{"a name, a property for the anonymous", token("x"), account2, []string{"muted"}, "property muted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := set.Authorize(test.caller, test.account, test.properties)
			var got string
			if refusal, ok := errors.AsType[*Refusal](err); ok {
				got = refusal.What
			} else if err != nil {
				t.Errorf("got an error that is no refusal: %v", err)
			}
			if got != test.want {
				t.Errorf("refused %q, want %q", got, test.want)
			}
		})
	}
}

func TestAuthorizeWithoutAPolicy(t *testing.T) {
	if err := new(Set).Authorize(Caller{}, account1, properties.Names); err != nil {
		t.Errorf("anonymous: %v", err)
	}
	set := &Set{Tokens: new(Tokens)}
	err := set.Authorize(Caller{Name: "ui", Kind: KindToken}, account1, nil)
	if want := "account " + account1 + " is not allowed"; errorText(err) != want {
		t.Errorf("a token: got %v, want %s", err, want)
	}
}

func TestExplain(t *testing.T) {
	withPolicy := &Set{Policy: mustParsePolicy(t, policyText)}
	for _, test := range []struct {
		name       string
		set        *Set
		caller     Caller
		account    string
		properties []string
		want       string
	}{
		{
			"a property too many", withPolicy, Caller{Name: "ui-1", Kind: KindToken}, account1,
			[]string{"muted", "coaching"},
			`caller: token "ui-1"
rule 1 "agents' desktop" (line 3): is for this caller by token "ui-*", and allows muted, hold
rule 2 "supervisors" (line 10): is not for this caller
rule 3 (line 16): is not for this caller
rule 4 (line 19): is for this caller by name "*", and not for account AC11111111111111111111111111111111
rule 5 (line 22): is not for this caller
property muted: allowed by rule 1 "agents' desktop" (line 3)
property coaching: no rule for this caller and account allows it
refused: property coaching is not allowed
`,
		},
		{
			"what is allowed", withPolicy,
			Caller{Name: "svc-a", Kind: KindJWT, Claims: map[string][]string{"groups": {"supervisors"}}}, account1,
			[]string{"coaching"},
			`caller: jwt "svc-a"
rule 1 "agents' desktop" (line 3): is not for this caller
rule 2 "supervisors" (line 10): is for this caller by name "svc-*" and claim groups "supervisors", and allows coaching, call_sid_to_coach
rule 3 (line 16): is not for this caller
rule 4 (line 19): is for this caller by name "*", and not for account AC11111111111111111111111111111111
rule 5 (line 22): is not for this caller
property coaching: allowed by rule 2 "supervisors" (line 10)
allowed
`,
		},
		{
			"an account too many", withPolicy, Caller{}, account1, []string{"muted"},
			`caller: anonymous
rule 1 "agents' desktop" (line 3): is not for this caller
rule 2 "supervisors" (line 10): is not for this caller
rule 3 (line 16): is not for this caller
rule 4 (line 19): is not for this caller
rule 5 (line 22): is for this caller by anonymous, and not for account AC11111111111111111111111111111111
account AC11111111111111111111111111111111: no rule for this caller has it
refused: account AC11111111111111111111111111111111 is not allowed
`,
		},
		{
			"no policy", new(Set), Caller{}, account1, []string{"muted"},
			`caller: anonymous
there is no policy, and callers need not be known: everything is allowed
allowed
`,
		},
		{
			"no policy, but tokens", &Set{Tokens: new(Tokens)}, Caller{Name: "ui", Kind: KindToken}, "", nil,
			`caller: token "ui"
there is no policy: nothing is allowed
refused: the default account is not allowed
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.set.Explain(test.caller, test.account, test.properties)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error("explanation (-want +got):\n", diff)
			}
		})
	}
}

func TestParsePolicy(t *testing.T) {
	rule := func(callers, accounts, properties string) string {
		return "rules:\n- callers: " + callers + "\n  accounts: " + accounts + "\n  properties: " + properties + "\n"
	}
	for _, test := range []struct{ name, text, want string }{
		{"the least", rule(`[{name: "*"}]`, `["*"]`, `["*"]`), ""},
		{"a token whose name is digits", rule(`[{token: 123}]`, `["*"]`, `["*"]`), ""},
		{"nothing", "", "line 1: the file is empty"},
		{"no rules", "{}", "line 1: rules: is missing"},
		{"an empty list of rules", "rules: []", "line 1: rules: must not be empty"},
		{"rules that are no list", "rules: {}", "line 1: rules: must be a list"},
		{"a rule that is a text", "rules:\n- all", "line 2: rules[0]: must be a mapping (key: value)"},
		{"a rule of nothing", "rules:\n- {}", "line 2: rules[0].callers: is missing\n" +
			"line 2: rules[0].accounts: is missing\nline 2: rules[0].properties: is missing"},
		{"empty lists", rule("[]", "[]", "[]"), "line 2: rules[0].callers: must not be empty\n" +
			"line 3: rules[0].accounts: must not be empty\nline 4: rules[0].properties: must not be empty"},
		{"an unknown key of the file", "rule: []", "line 1: the file: has the unknown key \"rule\"; its keys are rules\nline 1: rules: is missing"},
		{"an unknown key of a rule", rule(`[{name: a}]`, `["*"]`, `["*"]`) + "  allow: true\n",
			`line 5: rules[0]: has the unknown key "allow"; its keys are name, callers, accounts, properties`},
		{"an unknown key of a caller", rule(`[{names: a}]`, `["*"]`, `["*"]`),
			"line 2: rules[0].callers[0]: has the unknown key \"names\"; its keys are name, token, claims, san, anonymous\n" +
				"line 2: rules[0].callers[0]: must ask for name, token, claims, san or anonymous"},
		{"a caller of nothing", rule(`[{}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0]: must ask for name, token, claims, san or anonymous"},
		{"a caller that is a text", rule(`["*"]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0]: must be a mapping (key: value)"},
		{"a caller of two kinds", rule(`[{token: a, san: b}]`, `["*"]`, `["*"]`),
			"line 2: rules[0].callers[0]: matches nobody: no caller has both token and san; make them two entries"},
		{"an anonymous caller with a name", rule(`[{anonymous: true, name: "*"}]`, `["*"]`, `["*"]`),
			"line 2: rules[0].callers[0]: matches nobody: no caller has both anonymous and name; make them two entries"},
		{"not anonymous", rule(`[{anonymous: false}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].anonymous: must be true, or left out"},
		{"anonymous in quotes", rule(`[{anonymous: "true"}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].anonymous: must be true, or left out"},
		{"no claims", rule(`[{claims: {}}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].claims: must not be empty"},
		{"claims that are a list", rule(`[{claims: [a]}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].claims: must be a mapping (key: value)"},
		{"a claim that is a list", rule(`[{claims: {groups: [a]}}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].claims.groups: must be a text"},
		{"a claim twice", rule(`[{claims: {a: x, a: y}}]`, `["*"]`, `["*"]`), `line 2: rules[0].callers[0].claims: has the key "a" twice`},
		{"an empty pattern", rule(`[{name: ""}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].name: must be 1 to 2048 bytes without control characters"},
		{"a pattern without a value", rule(`[{san: }]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].san: must be a text"},
		{"a pattern of two lines", rule(`[{token: "a\nb"}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].token: must be 1 to 2048 bytes without control characters"},
		{"an account without all digits", rule(`[{name: a}]`, `[AC123]`, `["*"]`), `line 3: rules[0].accounts[0]: must be AC and 32 hexadecimal digits, or "*"`},
		{"a conference as an account", rule(`[{name: a}]`, `["*", CF11111111111111111111111111111111]`, `["*"]`), `line 3: rules[0].accounts[1]: must be AC and 32 hexadecimal digits, or "*"`},
		{"a pattern of accounts", rule(`[{name: a}]`, `["AC*"]`, `["*"]`), `line 3: rules[0].accounts[0]: must be AC and 32 hexadecimal digits, or "*"`},
		{"accounts that are a text", rule(`[{name: a}]`, `"*"`, `["*"]`), "line 3: rules[0].accounts: must be a list"},
		{"a property that does not exist", rule(`[{name: a}]`, `["*"]`, `[muted, mute]`),
			"line 4: rules[0].properties[1]: is not a property; the properties are muted, hold, hold_url, hold_method, announce_url, " +
				"announce_method, wait_url, wait_method, beep_on_exit, end_conference_on_exit, coaching, call_sid_to_coach"},
		{"whom to coach without coaching", rule(`[{name: a}]`, `["*"]`, `[call_sid_to_coach]`),
			"line 4: rules[0].properties: call_sid_to_coach needs coaching beside it: to set it is to start coaching"},
		{"a name that is empty", "rules:\n- name:\n  callers: [{name: a}]\n  accounts: ['*']\n  properties: [muted]", "line 2: rules[0].name: must be a text"},
		{"a star without quotes", rule(`[{name: *}]`, `["*"]`, `["*"]`), "line 2: did not find expected alphabetic or numeric character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy, err := ParsePolicy([]byte(test.text))
			if diff := cmp.Diff(test.want, errorText(err)); diff != "" {
				t.Error("error (-want +got):\n", diff)
			}
			if (policy == nil) != (err != nil) {
				t.Errorf("got policy %v with error %v", policy, err)
			}
		})
	}
}

// FuzzParsePolicy looks for a policy that allows something without saying so.
func FuzzParsePolicy(f *testing.F) {
	f.Add(policyText)
	f.Add("rules: [{callers: [{claims: {a: b}}], accounts: ['*'], properties: ['*']}]")
	f.Fuzz(func(t *testing.T, text string) {
		policy, err := ParsePolicy([]byte(text))
		if err != nil {
			return
		}
		set := &Set{Policy: policy}
		if set.Authorize(Caller{}, account1, nil) == nil && !strings.Contains(text, "anonymous") {
			t.Error("it allows anonymous callers")
		}
		set.Explain(Caller{Name: "a", Kind: KindJWT}, account1, properties.Names)
	})
}
