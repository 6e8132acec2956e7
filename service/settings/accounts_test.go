package settings

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/twilio"
)

// secretFiles stands in for the disk.
func secretFiles(path string) ([]byte, error) {
	text, ok := map[string]string{
		"/token":  "token-of-file\n",
		"crlf":    "token-of-file\r\n",
		"empty":   "\n",
		"spaced":  "two words\n",
		"padded":  " token",
		"unicode": "tokén",
	}[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func fill(yaml string) string {
	return strings.NewReplacer("$A", ac("a"), "$B", ac("b"), "$C", ac("c"), "$D", ac("d"), "$K", sk("1")).Replace(yaml)
}

func TestAccounts(t *testing.T) {
	t.Setenv("TOKEN", "token-of-env")
	token := twilio.NewSecret("token-of-env")
	us1 := twilio.DefaultBaseURL
	for _, test := range []struct {
		name, yaml string
		want       []twilio.Account
	}{{
		"an auth token of the environment",
		"accounts: [{sid: $A, auth_token: {env: TOKEN}}]",
		[]twilio.Account{{SID: ac("a"), Username: ac("a"), Password: token, BaseURL: us1}},
	}, {
		"an auth token of a file, without its line end",
		"accounts: [{sid: $A, auth_token: {file: /token}}, {sid: $B, auth_token: {file: crlf}}]",
		[]twilio.Account{
			{SID: ac("a"), Username: ac("a"), Password: twilio.NewSecret("token-of-file"), BaseURL: us1},
			{SID: ac("b"), Username: ac("b"), Password: twilio.NewSecret("token-of-file"), BaseURL: us1},
		},
	}, {
		"an API key",
		"accounts: [{sid: $A, api_key: {sid: $K, secret: {env: TOKEN}}}]",
		[]twilio.Account{{SID: ac("a"), Username: sk("1"), Password: token, BaseURL: us1}},
	}, {
		"a region and its edge",
		"accounts: [{sid: $A, auth_token: {env: TOKEN}, region: ie1, edge: dublin}]",
		[]twilio.Account{{SID: ac("a"), Username: ac("a"), Password: token, BaseURL: "https://api.dublin.ie1.twilio.com"}},
	}, {
		"an edge alone",
		"accounts: [{sid: $A, auth_token: {env: TOKEN}, edge: ashburn}]",
		[]twilio.Account{{SID: ac("a"), Username: ac("a"), Password: token, BaseURL: "https://api.ashburn.us1.twilio.com"}},
	}, {
		"a base URL",
		"accounts: [{sid: $A, auth_token: {env: TOKEN}, base_url: https://example.signalwire.com/}]",
		[]twilio.Account{{SID: ac("a"), Username: ac("a"), Password: token, BaseURL: "https://example.signalwire.com"}},
	}, {
		"plain HTTP to loopback addresses",
		"accounts: [{sid: $A, auth_token: {env: TOKEN}, base_url: 'http://localhost:4010'}," +
			" {sid: $B, auth_token: {env: TOKEN}, base_url: 'http://127.0.0.1:4010'}," +
			" {sid: $C, auth_token: {env: TOKEN}, base_url: 'http://[::1]:4010'}]",
		[]twilio.Account{
			{SID: ac("a"), Username: ac("a"), Password: token, BaseURL: "http://localhost:4010"},
			{SID: ac("b"), Username: ac("b"), Password: token, BaseURL: "http://127.0.0.1:4010"},
			{SID: ac("c"), Username: ac("c"), Password: token, BaseURL: "http://[::1]:4010"},
		},
	}, {
		"subaccounts, with the parent's credentials and host",
		"accounts: [{sid: $A, auth_token: {env: TOKEN}, edge: ashburn, subaccounts: [$B, $C]}]",
		[]twilio.Account{
			{SID: ac("a"), Username: ac("a"), Password: token, BaseURL: "https://api.ashburn.us1.twilio.com"},
			{SID: ac("b"), Username: ac("a"), Password: token, BaseURL: "https://api.ashburn.us1.twilio.com"},
			{SID: ac("c"), Username: ac("a"), Password: token, BaseURL: "https://api.ashburn.us1.twilio.com"},
		},
	}, {
		"subaccounts of an API key",
		"accounts: [{sid: $A, api_key: {sid: $K, secret: {env: TOKEN}}, subaccounts: [$B]}]",
		[]twilio.Account{
			{SID: ac("a"), Username: sk("1"), Password: token, BaseURL: us1},
			{SID: ac("b"), Username: sk("1"), Password: token, BaseURL: us1},
		},
	}} {
		t.Run(test.name, func(t *testing.T) {
			accounts, err := parseAccounts([]byte(fill(test.yaml)), secretFiles)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if got, _ := accounts.Lookup(want.SID); !cmp.Equal(got, &want) {
					t.Error(cmp.Diff(&want, got))
				}
			}
			if _, ok := accounts.Lookup(""); ok {
				t.Error("there is a default account")
			}
		})
	}
}

func TestDefaultAccount(t *testing.T) {
	t.Setenv("TOKEN", "token-of-env")
	for name, sid := range map[string]string{"an account": "$A", "a subaccount": "$B"} {
		t.Run(name, func(t *testing.T) {
			yaml := "default: " + sid + "\naccounts: [{sid: $A, auth_token: {env: TOKEN}, subaccounts: [$B]}]"
			accounts, err := parseAccounts([]byte(fill(yaml)), secretFiles)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := accounts.Lookup(""); !ok || got.SID != fill(sid) {
				t.Errorf("the default account is %q", got.SID)
			}
		})
	}
}

func TestAccountsRefused(t *testing.T) {
	t.Setenv("TOKEN", "token-of-env")
	t.Setenv("EMPTY", "")
	const place = "must be {env: NAME} or {file: PATH}: a secret never stands in this file itself"
	const known = "the fields are sid, auth_token, api_key, region, edge, base_url, subaccounts"
	one := "accounts:\n  - sid: $A\n    auth_token: {env: TOKEN}\n    "
	for _, test := range []struct {
		name, yaml string
		want       []string
	}{
		{"nothing", "", []string{"is empty"}},
		{"a comment only", "# nothing\n", []string{"is empty"}},
		{"null", "~", []string{"line 1: is empty: must be a mapping with the fields default, accounts"}},
		{"broken YAML", "accounts:\n  - sid: [\n", []string{"line 2: is not YAML: did not find expected node content"}},
		{"two documents", "accounts: []\n---\naccounts: []\n", []string{"line 2: a second document begins: only one is read"}},
		{"two documents, the second broken", "accounts: []\n---\n[", []string{"line 3: is not YAML: did not find expected node content"}},
		{"an alias without its anchor", "accounts: *token-of-file", []string{"is not YAML: an alias (*name) without its anchor"}},
		{"a list", "- a", []string{"line 1: must be a mapping with the fields default, accounts"}},
		{"no accounts", "default: $A", []string{
			"line 1: accounts: is missing",
			"line 1: default: $A is not among the accounts and their subaccounts",
		}},
		{"null accounts", "accounts:", []string{"line 1: accounts: is empty: must be a list"}},
		{"an empty list of accounts", "accounts: []", []string{"line 1: accounts: is empty"}},
		{"accounts that are no list", "accounts: {a: b}", []string{"line 1: accounts: must be a list"}},
		{"an account that is text", "accounts: [token-of-file]", []string{
			"line 1: accounts[0]: must be a mapping with the fields sid, auth_token, api_key, region, edge, base_url, subaccounts",
		}},
		{"an unknown field at the top", "account: []\n" + one, []string{"line 1: unknown field account: the fields are default, accounts"}},
		{"an unknown field", one + "name: x", []string{"line 4: accounts[0]: unknown field name: " + known}},
		{"a field that may be a value", one + "token-of-file: x", []string{"line 4: accounts[0]: unknown field: " + known}},
		{"a field that is a list", one + "[a, b]: x", []string{"line 4: accounts[0]: unknown field: " + known}},
		{"a field given twice", one + "edge: dublin\n    edge: ashburn", []string{"line 5: accounts[0].edge: given twice, first in line 4"}},
		{"an alias", one + "subaccounts: &s [$B]\n  - sid: $C\n    auth_token: {env: TOKEN}\n    subaccounts: *s", []string{
			"line 7: accounts[1].subaccounts: is an alias, which is not supported here: write it out",
		}},

		{"no SID", "accounts: [{auth_token: {env: TOKEN}}]", []string{"line 1: accounts[0].sid: is missing"}},
		{"an empty SID", "accounts: [{sid: '', auth_token: {env: TOKEN}}]", []string{"line 1: accounts[0].sid: is empty"}},
		{"a null SID", "accounts: [{sid: , auth_token: {env: TOKEN}}]", []string{"line 1: accounts[0].sid: is empty"}},
		{"a number as SID", "accounts: [{sid: 12, auth_token: {env: TOKEN}}]", []string{"line 1: accounts[0].sid: must be text: put it in quotes"}},
		{"a list as SID", "accounts: [{sid: [], auth_token: {env: TOKEN}}]", []string{"line 1: accounts[0].sid: must be text"}},
		{"another SID", "accounts: [{sid: $K, auth_token: {env: TOKEN}}]", []string{"line 1: accounts[0].sid: must be AC and 32 hexadecimal digits"}},
		{"an account twice", one + "\n  - sid: $A\n    auth_token: {env: TOKEN}", []string{"line 5: accounts[1].sid: $A is given twice, first in line 2"}},
		{"an account that is its own subaccount", one + "subaccounts: [$A]", []string{"line 4: accounts[0].subaccounts[0]: $A is given twice, first in line 2"}},
		{"a subaccount of two", one + "subaccounts: [$B]\n  - sid: $C\n    auth_token: {env: TOKEN}\n    subaccounts: [$D, $B]", []string{
			"line 7: accounts[1].subaccounts[1]: $B is given twice, first in line 4",
		}},
		{"subaccounts that are no list", one + "subaccounts: $B", []string{"line 4: accounts[0].subaccounts: must be a list"}},
		{"a subaccount that is none", one + "subaccounts: [bob]", []string{"line 4: accounts[0].subaccounts[0]: must be AC and 32 hexadecimal digits"}},
		{"a default that is not among the accounts", "default: $B\n" + one, []string{"line 1: default: $B is not among the accounts and their subaccounts"}},
		{"a default that is no SID", "default: main\n" + one, []string{"line 1: default: must be AC and 32 hexadecimal digits"}},

		{"no credentials", "accounts: [{sid: $A}]", []string{"line 1: accounts[0]: needs auth_token or api_key"}},
		{"both credentials", one + "api_key: {sid: $K, secret: {env: TOKEN}}", []string{"line 4: accounts[0]: has both auth_token and api_key: only one of them can be used"}},
		{"a secret in the file", "accounts:\n- sid: $A\n  auth_token: token-of-file", []string{"line 3: accounts[0].auth_token: " + place}},
		{"a secret as a field", "accounts:\n- sid: $A\n  auth_token: {token-of-file}", []string{"line 3: accounts[0].auth_token: " + place}},
		{"a null secret", "accounts:\n- sid: $A\n  auth_token:", []string{"line 3: accounts[0].auth_token: " + place}},
		{"a secret from two places", "accounts:\n- sid: $A\n  auth_token: {env: TOKEN, file: /token}", []string{"line 3: accounts[0].auth_token: " + place}},
		{"a secret from another place", "accounts:\n- sid: $A\n  auth_token: {vault: TOKEN}", []string{"line 3: accounts[0].auth_token: " + place}},
		{"an API key in the file", "accounts:\n- sid: $A\n  api_key: token-of-file", []string{"line 3: accounts[0].api_key: must be a mapping with the fields sid, secret"}},
		{"an API secret in the file", "accounts:\n- sid: $A\n  api_key: {sid: $K, secret: token-of-file}", []string{"line 3: accounts[0].api_key.secret: " + place}},
		{"an API key with nothing", "accounts:\n- sid: $A\n  api_key: {}", []string{
			"line 3: accounts[0].api_key.sid: is missing",
			"line 3: accounts[0].api_key.secret: is missing",
		}},
		{"an API key of an account SID", "accounts:\n- sid: $A\n  api_key: {sid: $A, secret: {env: TOKEN}}", []string{"line 3: accounts[0].api_key.sid: must be SK and 32 hexadecimal digits"}},

		{"an empty variable", "accounts: [{sid: $A, auth_token: {env: EMPTY}}]", []string{"line 1: accounts[0].auth_token.env: environment variable EMPTY: is not set or empty"}},
		{"a variable that is not set", "accounts: [{sid: $A, auth_token: {env: UNSET_HERE}}]", []string{"line 1: accounts[0].auth_token.env: environment variable UNSET_HERE: is not set or empty"}},
		{"no variable", "accounts: [{sid: $A, auth_token: {env: ''}}]", []string{"line 1: accounts[0].auth_token.env: is empty"}},
		{"a variable that has no such name", "accounts: [{sid: $A, auth_token: {env: token-of-file}}]", []string{"line 1: accounts[0].auth_token.env: must be the name of an environment variable"}},
		{"an empty file", "accounts: [{sid: $A, auth_token: {file: empty}}]", []string{"line 1: accounts[0].auth_token.file: secret file empty: is empty"}},
		{"no file", "accounts: [{sid: $A, auth_token: {file: /run/secrets/twilio}}]", []string{"line 1: accounts[0].auth_token.file: secret file /run/secrets/twilio: file does not exist"}},
		{"a file named like an account", "accounts: [{sid: $A, auth_token: {file: /run/$A}}]", []string{"line 1: accounts[0].auth_token.file: secret file /run/$A: file does not exist"}},
		{"a secret of two words", "accounts: [{sid: $A, auth_token: {file: spaced}}]", []string{
			"line 1: accounts[0].auth_token.file: the auth token or API key secret has white space or other characters that no token has",
		}},
		{"a secret behind a space", "accounts: [{sid: $A, auth_token: {file: padded}}]", []string{
			"line 1: accounts[0].auth_token.file: the auth token or API key secret has white space or other characters that no token has",
		}},
		{"a secret that is not ASCII", "accounts: [{sid: $A, auth_token: {file: unicode}}]", []string{
			"line 1: accounts[0].auth_token.file: the auth token or API key secret has white space or other characters that no token has",
		}},

		{"a region alone", one + "region: ie1", []string{
			"line 4: accounts[0].region: region ie1 needs an edge too, such as dublin for ie1 or sydney for au1: " +
				"hosts named by region alone (api.ie1.twilio.com) were announced to stop on 2026-04-28",
		}},
		{"a region that is none", one + "region: ie1.evil.com", []string{"line 4: accounts[0].region: the region is not a name such as us1, ie1 or au1"}},
		{"an edge that is none", one + "edge: dub/lin", []string{"line 4: accounts[0].edge: the edge is not a name such as ashburn, dublin or sydney"}},
		{"a region that is too long", one + "region: " + strings.Repeat("a", 32), []string{"line 4: accounts[0].region: is longer than any that Twilio has"}},
		{"an empty region", one + "region: ''", []string{"line 4: accounts[0].region: is empty"}},
		{"a base URL and a region", one + "region: ie1\n    base_url: https://example.com", []string{
			"line 5: accounts[0].base_url: stands beside region or edge: only one of them can say where Twilio is",
		}},
		{"plain HTTP to another machine", one + "base_url: http://example.com", []string{
			"line 4: accounts[0].base_url: must begin with https://, since credentials are sent there: http:// is for loopback addresses only",
		}},
		{"plain HTTP to what looks like a loopback address", one + "base_url: http://127.0.0.1.example.com", []string{
			"line 4: accounts[0].base_url: must begin with https://, since credentials are sent there: http:// is for loopback addresses only",
		}},
		{"a base URL with a password", one + "base_url: https://me:token-of-file@example.com", []string{
			"line 4: accounts[0].base_url: the base URL must not hold a user name or password",
		}},
		{"a base URL with a path", one + "base_url: https://example.com/v1", []string{
			"line 4: accounts[0].base_url: the base URL must be scheme://host[:port] and nothing after it, not even a slash",
		}},
		{"an empty base URL", one + "base_url: ''", []string{"line 4: accounts[0].base_url: is empty"}},

		{"everything at once, in the order of lines", "default: $D\nname: x\naccounts:\n  - sid: bob\n    edge: [a]\n    auth_token: hunter2\n  - {}\n  - sid: $A\n    api_key: {sid: x, secret: {env: UNSET_HERE}}\n    subaccounts: [$A]\n", []string{
			"line 1: default: $D is not among the accounts and their subaccounts",
			"line 2: unknown field name: the fields are default, accounts",
			"line 4: accounts[0].sid: must be AC and 32 hexadecimal digits",
			"line 5: accounts[0].edge: must be text",
			"line 6: accounts[0].auth_token: " + place,
			"line 7: accounts[1].sid: is missing",
			"line 7: accounts[1]: needs auth_token or api_key",
			"line 9: accounts[2].api_key.sid: must be SK and 32 hexadecimal digits",
			"line 9: accounts[2].api_key.secret.env: environment variable UNSET_HERE: is not set or empty",
			"line 10: accounts[2].subaccounts[0]: $A is given twice, first in line 8",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			accounts, err := parseAccounts([]byte(fill(test.yaml)), secretFiles)
			if accounts != nil {
				t.Error("there are accounts")
			}
			var want []string
			for _, line := range test.want {
				want = append(want, fill(line))
			}
			if diff := cmp.Diff(want, lines(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A secret that stands where another value should must not be repeated.
func TestErrorsDoNotRepeatSecrets(t *testing.T) {
	secret := "0123456789abcdef0123456789abcdef"
	upper := "A123456789ABCDEF0123456789ABCDEF"
	for _, yaml := range []string{
		"$S", "$S: x", "*$S", "&$S", "%$S\n---\na", "!$S a: b: c", "'$S", "\"$S", "[$S", "{$S", "accounts: $S", "default: $S",
		"a: *$S", "a: '\\$S", "a: !!int $S", "accounts: [$S: x]", "accounts: {$S: }",
		"accounts: [{sid: $S}]", "accounts: [{sid: AC$S$S}]", "accounts: [{$S}]", "accounts: [{auth_token: $S}]",
		"accounts: [{auth_token: '$S'}]", "accounts: [{auth_token: [$S]}]", "accounts: [{auth_token: {$S: }}]",
		"accounts: [{auth_token: {env: $S}}]", "accounts: [{auth_token: {env: x$S}}]", "accounts: [{auth_token: {env: $U}}]",
		"accounts: [{auth_token: {file: $S}}]", "accounts: [{auth_token: {file: /x/$S}}]", "accounts: [{auth_token: {env: [$S]}}]",
		"accounts: [{auth_token: {env: TOKEN, $S: x}}]", "accounts: [{auth_token: {? [$S] : x}}]",
		"accounts: [{api_key: $S}]", "accounts: [{api_key: {$S: }}]", "accounts: [{api_key: {sid: $S, secret: $S}}]",
		"accounts: [{api_key: {sid: SK$S$S, secret: {file: $S}}}]",
		"accounts: [{region: $S}]", "accounts: [{edge: $S}]", "accounts: [{edge: $S, region: $S}]",
		"accounts: [{base_url: $S}]", "accounts: [{base_url: 'https://a:$S@b'}]", "accounts: [{base_url: 'http://$S.com'}]",
		"accounts: [{base_url: 'https://b/$S'}]", "accounts: [{base_url: 'https://%$S'}]",
		"accounts: [{subaccounts: $S}]", "accounts: [{subaccounts: [$S]}]",
	} {
		text := strings.NewReplacer("$S", secret, "$U", upper).Replace(yaml)
		_, err := parseAccounts([]byte(text), secretFiles)
		if err == nil {
			t.Errorf("%s: no error", yaml)
			continue
		}
		if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), upper) {
			t.Errorf("%s: the error repeats it: %v", yaml, err)
		}
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add("default: $A\naccounts:\n  - sid: $A\n    auth_token: {env: TOKEN}\n    subaccounts: [$B]\n")
	f.Add("accounts: [{sid: $A, api_key: {sid: $K, secret: {file: /token}}, region: ie1, edge: dublin}]")
	f.Add("accounts: &a [*a, !!binary x, {<<: *a, ? [] : |\n  x\n}]\n--- \n%YAML 1.1")
	f.Fuzz(func(t *testing.T, yaml string) {
		accounts, err := parseAccounts([]byte(fill(yaml)), secretFiles)
		if (accounts == nil) == (err == nil) {
			t.Errorf("accounts %v, error %v", accounts, err)
		}
	})
}
