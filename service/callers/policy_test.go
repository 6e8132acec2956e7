package callers

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/property"
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
	certificate := func(sans ...string) Caller {
		c := Caller{Name: sans[0], Kind: KindCertificate}
		for _, san := range sans {
			c.AddSAN(san)
		}
		return c
	}
	const ui = "spiffe://example.org/ns/prod/sa/ui"
	for _, test := range []struct {
		name       string
		caller     Caller
		account    string
		properties property.Set
		want       string // What is refused; empty: nothing.
	}{
		{"a token", token("ui-1"), account1, property.Of(property.Muted, property.Hold), ""},
		{"a token, no property", token("ui-1"), account1, 0, ""},
		{"a token, a property too many", token("ui-1"), account1, property.Of(property.Muted, property.Coaching), "property coaching"},
		{"a token, several properties too many", token("ui-1"), account1, property.Of(property.Coaching, property.WaitURL, property.Muted, property.HoldURL), "property hold_url"},
		{"a token, another account", token("ui-1"), account2, property.Of(property.Muted), "property muted"},
		{"a token, the account of all names", token("ui-1"), account2, property.Of(property.BeepOnExit), ""},
		{"a token, an account of no rule", token("ui-1"), "AC" + strings.Repeat("3", 32), property.Of(property.Muted), "account AC" + strings.Repeat("3", 32)},
		{"a token, no account", token("ui-1"), "", property.Of(property.Muted), "the default account"},
		{"a token, the account in other digits", token("ui-1"), strings.ToLower(account1), 0, "account " + strings.ToLower(account1)},
		{"a token of another name", token("cron"), account1, property.Of(property.Muted), "account " + account1},
		{"a token by the name of root", token("root"), account1, property.All, ""},
		{"a JWT by the name of a token", jwt("ui-1"), account1, property.Of(property.Muted), "account " + account1},
		{"a certificate by the name of a token", certificate("ui-1"), account1, property.Of(property.Muted), "account " + account1},
		{"a JWT", jwt("svc-a", "staff", "agents"), account1, property.Of(property.Muted), ""},
		{"a JWT, one claim of two", jwt("a", "agents"), account1, property.Of(property.Muted), "account " + account1},
		{"a JWT, a claim with the same beginning", jwt("svc-a", "agents2"), account1, property.Of(property.Muted), "account " + account1},
		{"a JWT of two rules", jwt("svc-a", "agents", "supervisors"), account1, property.Of(property.Muted, property.Coaching), ""},
		{"a JWT by claim, not by name", jwt("a", "supervisors"), account1, property.Of(property.Coaching), "account " + account1},
		{"a token with claims", Caller{Name: "svc-a", Kind: KindToken, Claims: map[string][]string{"groups": {"supervisors"}}}, account1, 0, "account " + account1},
		{"a certificate", certificate(ui), account1, property.Of(property.Hold), ""},
		{"a certificate, by its second name", certificate("a", ui), account1, property.Of(property.Hold), ""},
		{"a certificate, another name", certificate(ui + "2"), account1, property.Of(property.Hold), "account " + account1},
		{"a token by the name of a certificate", token(ui), account1, property.Of(property.Hold), "account " + account1},
		{"a JWT with the URIs of a certificate", Caller{Name: "a", Kind: KindJWT, URIs: []string{ui}}, account1, 0, "account " + account1},
		{"anonymous", Caller{}, account2, property.Of(property.Muted), ""},
		{"anonymous, a property for names", Caller{}, account2, property.Of(property.BeepOnExit), "property beep_on_exit"},
		{"anonymous, another account", Caller{}, account1, property.Of(property.Muted), "account " + account1},
		{"a name, a property for the anonymous", token("x"), account2, property.Of(property.Muted), "property muted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := set.Authorize(test.caller, test.account, call.Update, test.properties)
			var got string
			if refusal, ok := errors.AsType[*outcome.Error](err); ok {
				got = refusal.Detail
			} else if err != nil {
				t.Errorf("got an error that is no refusal: %v", err)
			}
			if got != test.want {
				t.Errorf("refused %q, want %q", got, test.want)
			}
		})
	}
}

// TestOperations: a rule without operations allows update alone, and what an update may
// set is what the rules that allow update say.
func TestOperations(t *testing.T) {
	set := &Set{Policy: mustParsePolicy(t, `
rules:
  - {callers: [{token: ui}, {token: old}], accounts: [AC11111111111111111111111111111111], properties: [muted]}
  - {callers: [{token: ui}, {token: reader}], accounts: ["*"], operations: [read]}
  - {callers: [{token: admin}], accounts: ["*"], operations: [update, remove], properties: [hold]}
`)}
	muted, hold := property.Of(property.Muted), property.Of(property.Hold)
	for _, test := range []struct {
		caller, account string
		operation       call.Operation
		properties      property.Set
		want            string // The last line of the explanation.
	}{
		{"old", account1, call.Update, muted, "allowed"},
		{"old", account1, call.Read, 0, "refused: operation read is not allowed"},
		{"old", account1, call.Remove, 0, "refused: operation remove is not allowed"},
		{"old", account2, call.Read, 0, "refused: account " + account2 + " is not allowed"},
		{"ui", account1, call.Update, muted, "allowed"},
		{"ui", account1, call.Read, 0, "allowed"},
		{"ui", account2, call.Read, 0, "allowed"},
		{"ui", account2, call.Update, muted, "refused: operation update is not allowed"},
		{"ui", account1, call.Remove, 0, "refused: operation remove is not allowed"},
		{"reader", account1, call.Update, muted, "refused: operation update is not allowed"},
		{"admin", account1, call.Remove, 0, "allowed"},
		{"admin", account1, call.Update, hold | muted, "refused: property muted is not allowed"},
		{"admin", account1, call.Read, 0, "refused: operation read is not allowed"},
	} {
		t.Run(test.caller+" "+string(test.operation)+" "+test.account, func(t *testing.T) {
			caller := Caller{Name: test.caller, Kind: KindToken}
			allowed := set.Authorize(caller, test.account, test.operation, test.properties) == nil
			text := set.Explain(caller, test.account, test.operation, test.properties)
			if want := "\n" + test.want + "\n"; !strings.HasSuffix(text, want) || allowed != (test.want == "allowed") {
				t.Errorf("allowed: %v; explanation:\n%s", allowed, text)
			}
		})
	}
	const want = `caller: token "ui"
rule 1 (line 3): is for this caller by token "ui", and allows update of muted
rule 2 (line 4): is for this caller by token "ui", and allows read
rule 3 (line 5): is not for this caller
operation read: allowed by rule 2 (line 4)
allowed
`
	if diff := cmp.Diff(want, set.Explain(Caller{Name: "ui", Kind: KindToken}, account1, call.Read, 0)); diff != "" {
		t.Error("explanation (-want +got):\n", diff)
	}
}

// TestSANsHaveKinds matches URIs with patterns for URIs, and DNS names with all
// other patterns.
func TestSANsHaveKinds(t *testing.T) {
	const spiffe = "spiffe://example.org/ui"
	for _, test := range []struct {
		pattern string
		caller  Caller
		want    bool
	}{
		{spiffe, Caller{URIs: []string{spiffe}}, true},
		{"spiffe://*", Caller{URIs: []string{spiffe}}, true},
		{"spiffe://*", Caller{URIs: []string{"https://example.org/"}}, false},
		{spiffe, Caller{DNSNames: []string{spiffe}}, false},
		{"spiffe://*", Caller{DNSNames: []string{spiffe}}, false},
		{"*", Caller{URIs: []string{spiffe}}, false},
		{"*ui", Caller{URIs: []string{spiffe}}, false},
		{"*", Caller{DNSNames: []string{"ui.example.org"}}, true},
		{"UI.example.*", Caller{DNSNames: []string{"ui.example.org"}}, true},
		{"ui.example.org", Caller{URIs: []string{"ui.example.org"}}, false},
		{"*", Caller{}, false},
	} {
		set := &Set{Policy: mustParsePolicy(t, "rules: [{callers: [{san: \""+test.pattern+"\"}], accounts: ['*'], properties: ['*']}]")}
		test.caller.Name, test.caller.Kind = "ui", KindCertificate
		if got := set.Authorize(test.caller, account1, call.Update, 0) == nil; got != test.want {
			t.Errorf("san %s, %+v: allowed %v", test.pattern, test.caller, got)
		}
	}
}

// TestClaimsOfOtherTypes matches numbers and booleans by their text in JSON.
func TestClaimsOfOtherTypes(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public())
	token := issuer.token(t, keyES, map[string]any{"admin": true, "level": 3, "levels": []any{1, 2}})
	for claim, want := range map[string]bool{
		"admin: true": true, "admin: 'true'": true, "admin: \"t*\"": true, "level: 3": true, "levels: 2": true,
		"admin: false": false, "level: 4": false, "level: 3.0": false, "levels: 3": false,
	} {
		set := &Set{
			JWT:    issuer.verifier(t, newClock()),
			Policy: mustParsePolicy(t, "rules: [{callers: [{claims: {"+claim+"}}], accounts: ['*'], properties: ['*']}]"),
		}
		caller, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+token))
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Authorize(caller, account1, call.Update, 0) == nil; got != want {
			t.Errorf("%s: allowed %v", claim, got)
		}
	}
}

func TestAuthorizeWithoutAPolicy(t *testing.T) {
	if err := new(Set).Authorize(Caller{}, account1, call.Update, property.All); err != nil {
		t.Errorf("anonymous: %v", err)
	}
	set := &Set{Tokens: new(Tokens)}
	err := set.Authorize(Caller{Name: "ui", Kind: KindToken}, account1, call.Update, 0)
	if got := outcome.From(err).Detail; got != "account "+account1 {
		t.Errorf("a token: got %v, want the account refused", err)
	}
}

func TestExplain(t *testing.T) {
	withPolicy := &Set{Policy: mustParsePolicy(t, policyText)}
	for _, test := range []struct {
		name       string
		set        *Set
		caller     Caller
		account    string
		properties property.Set
		want       string
	}{
		{
			"a property too many", withPolicy, Caller{Name: "ui-1", Kind: KindToken}, account1,
			property.Of(property.Muted, property.Coaching),
			`caller: token "ui-1"
rule 1 "agents' desktop" (line 3): is for this caller by token "ui-*", and allows update of muted, hold
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
			property.Of(property.Coaching),
			`caller: jwt "svc-a"
rule 1 "agents' desktop" (line 3): is not for this caller
rule 2 "supervisors" (line 10): is for this caller by name "svc-*" and claim groups "supervisors", and allows update of coaching, call_sid_to_coach
rule 3 (line 16): is not for this caller
rule 4 (line 19): is for this caller by name "*", and not for account AC11111111111111111111111111111111
rule 5 (line 22): is not for this caller
property coaching: allowed by rule 2 "supervisors" (line 10)
allowed
`,
		},
		{
			"an account too many", withPolicy, Caller{}, account1, property.Of(property.Muted),
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
			"no policy", new(Set), Caller{}, account1, property.Of(property.Muted),
			`caller: anonymous
there is no policy, and callers need not be known: everything is allowed
allowed
`,
		},
		{
			"no policy, but tokens", &Set{Tokens: new(Tokens)}, Caller{Name: "ui", Kind: KindToken}, "", 0,
			`caller: token "ui"
there is no policy: nothing is allowed
refused: the default account is not allowed
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.set.Explain(test.caller, test.account, call.Update, test.properties)
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
		{"no rules", "{}", "line 1: rules: is missing"},
		{"an empty list of rules", "rules: []", "line 1: rules: must not be empty"},
		{"a rule that is text", "rules:\n- all", "line 2: rules[0]: must be a mapping (key: value)"},
		{"a rule without keys", "rules:\n- {}", "line 2: rules[0].accounts: is missing\n" +
			"line 2: rules[0].callers: is missing\nline 2: rules[0].properties: is missing"},
		{"empty lists", rule("[]", "[]", "[]"), "line 2: rules[0].callers: must not be empty\n" +
			"line 3: rules[0].accounts: must not be empty\nline 4: rules[0].properties: must not be empty"},
		{"an unknown key of a rule", rule(`[{name: a}]`, `["*"]`, `["*"]`) + "  allow: true\n",
			`line 5: rules[0].allow: unknown key: the keys here are name, callers, accounts, operations, properties`},
		{"an unknown key of a caller", rule(`[{names: a}]`, `["*"]`, `["*"]`),
			"line 2: rules[0].callers[0].names: unknown key: the keys here are name, token, claims, san, anonymous\n" +
				"line 2: rules[0].callers[0]: must ask for name, token, claims, san or anonymous"},
		{"a caller of two kinds", rule(`[{token: a, san: b}]`, `["*"]`, `["*"]`),
			"line 2: rules[0].callers[0]: matches no caller: none has both token and san; write two entries"},
		{"an anonymous caller with a name", rule(`[{anonymous: true, name: "*"}]`, `["*"]`, `["*"]`),
			"line 2: rules[0].callers[0]: matches no caller: none has both anonymous and name; write two entries"},
		{"not anonymous", rule(`[{anonymous: false}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].anonymous: must be true, or left out"},
		{"no claims", rule(`[{claims: {}}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].claims: must not be empty"},
		{"claims that are a list", rule(`[{claims: [a]}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].claims: must be a mapping (key: value)"},
		{"a claim that is a list", rule(`[{claims: {groups: [a]}}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].claims.groups: must be text"},
		{"an empty pattern", rule(`[{name: ""}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].name: must be 1 to 2048 bytes without control characters"},
		{"a pattern without a value", rule(`[{san: }]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].san: has no value"},
		{"a pattern of two lines", rule(`[{token: "a\nb"}]`, `["*"]`, `["*"]`), "line 2: rules[0].callers[0].token: must be 1 to 2048 bytes without control characters"},
		{"a SAN that no URI has", rule(`[{san: "spiffe://a/b?c"}]`, `["*"]`, `["*"]`),
			"line 2: rules[0].callers[0].san: matches nothing: a SPIFFE ID has only letters, digits and ./-_ after spiffe://"},
		{"a SAN that no DNS name has", rule(`[{san: "https://a/"}]`, `["*"]`, `["*"]`),
			"line 2: rules[0].callers[0].san: matches nothing: a pattern that does not begin with spiffe:// is for DNS names, which have only letters, digits and .-_"},
		{"an account without all digits", rule(`[{name: a}]`, `[AC123]`, `["*"]`), `line 3: rules[0].accounts[0]: must be AC and 32 hexadecimal digits, or "*"`},
		{"a conference as an account", rule(`[{name: a}]`, `["*", CF11111111111111111111111111111111]`, `["*"]`), `line 3: rules[0].accounts[1]: must be AC and 32 hexadecimal digits, or "*"`},
		{"a pattern of accounts", rule(`[{name: a}]`, `["AC*"]`, `["*"]`), `line 3: rules[0].accounts[0]: must be AC and 32 hexadecimal digits, or "*"`},
		{"accounts that are text", rule(`[{name: a}]`, `"*"`, `["*"]`), "line 3: rules[0].accounts: must be a list"},
		{"a property that does not exist", rule(`[{name: a}]`, `["*"]`, `[muted, mute]`),
			"line 4: rules[0].properties[1]: is not a property; the properties are muted, hold, hold_url, hold_method, announce_url, " +
				"announce_method, wait_url, wait_method, beep_on_exit, end_conference_on_exit, coaching, call_sid_to_coach"},
		{"whom to coach without coaching", rule(`[{name: a}]`, `["*"]`, `[call_sid_to_coach]`),
			"line 4: rules[0].properties: call_sid_to_coach needs coaching too: setting it starts coaching"},
		{"every operation", rule(`[{name: a}]`, `["*"]`, `["*"]`) + "  operations: [update, read, remove]\n", ""},
		{"reading alone", "rules:\n- {callers: [{name: a}], accounts: ['*'], operations: [read, remove]}\n", ""},
		{"reading alone, with properties", rule(`[{name: a}]`, `["*"]`, `[muted]`) + "  operations: [read]\n",
			"line 4: rules[0].properties: needs the operation update: no other operation sets properties"},
		{"update without properties", "rules:\n- {callers: [{name: a}], accounts: ['*'], operations: [update, read]}\n",
			"line 2: rules[0].properties: is missing"},
		{"an operation that does not exist", rule(`[{name: a}]`, `["*"]`, `[muted]`) + "  operations: [create]\n",
			"line 5: rules[0].operations[0]: is not an operation; the operations are update, read and remove"},
		{"no operation", rule(`[{name: a}]`, `["*"]`, `["*"]`) + "  operations: []\n", "line 5: rules[0].operations: must not be empty"},
		{"a star without quotes", rule(`[{name: *}]`, `["*"]`, `["*"]`), "line 2: name: a value that begins with * must be in quotes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy, err := ParsePolicy("", []byte(test.text))
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
		policy, err := ParsePolicy("", []byte(text))
		if err != nil {
			return
		}
		set := &Set{Policy: policy}
		if set.Authorize(Caller{}, account1, call.Update, 0) == nil && !strings.Contains(text, "anonymous") {
			t.Error("it allows anonymous callers")
		}
		set.Explain(Caller{Name: "a", Kind: KindJWT}, account1, call.Update, property.All)
	})
}
