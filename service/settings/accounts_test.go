package settings

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/twilio"
)

// secretFiles writes files of secrets into the working directory of the test.
func secretFiles(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"token": "token-of-file\n", "crlf": "token-of-file\r\n", "empty": "\n", "spaced": "two words\n",
		"padded": " token", "unicode": "tokén", "bom": "\ufefftoken-of-file",
	} {
		write(t, ".", name, text)
	}
}

func readAccounts(yaml string) (*twilio.Accounts, error) {
	return parseAccounts("a.yaml", []byte(fill(yaml)), newReading())
}

func fill(yaml string) string {
	return strings.NewReplacer("$A", ac("a"), "$B", ac("b"), "$C", ac("c"), "$D", ac("d"), "$K", sk("1")).Replace(yaml)
}

func TestAccounts(t *testing.T) {
	secretFiles(t)
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
		"accounts: [{sid: $A, auth_token: {file: token}}, {sid: $B, auth_token: {file: crlf}}]",
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
			accounts, err := readAccounts(test.yaml)
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
	secretFiles(t)
	t.Setenv("TOKEN", "token-of-env")
	for name, sid := range map[string]string{"an account": "$A", "a subaccount": "$B"} {
		t.Run(name, func(t *testing.T) {
			yaml := "default: " + sid + "\naccounts: [{sid: $A, auth_token: {env: TOKEN}, subaccounts: [$B]}]"
			accounts, err := readAccounts(yaml)
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
	secretFiles(t)
	t.Setenv("TOKEN", "token-of-env")
	t.Setenv("EMPTY", "")
	t.Setenv("WORDS", "two words\n")
	const (
		sid        = "the account SID must be AC and 32 hexadecimal digits"
		twoForms   = "must be {env: NAME} or {file: PATH}: a secret must not be in this file"
		characters = "the auth token or API key secret has white space or other characters that no token has"
		plain      = "must begin with https://, since credentials are sent there: http:// is for loopback addresses only"
	)
	one := "accounts:\n  - sid: $A\n    auth_token: {env: TOKEN}\n    "
	for _, test := range []struct {
		name, yaml string
		want       []string
	}{
		{"no accounts", "default: $A", []string{"line 1: accounts: is missing", "line 1: default: is not among the accounts and subaccounts"}},
		{"accounts without a value", "accounts:", []string{"line 1: accounts: must be a list"}},
		{"an empty list of accounts", "accounts: []", []string{"line 1: accounts: must not be empty"}},
		{"an account that is text", "accounts: [token-of-file]", []string{"line 1: accounts[0]: must be a mapping (key: value)"}},
		{"an unknown key", one + "name: x", []string{
			"line 4: accounts[0].name: unknown key: the keys here are sid, region, edge, base_url, auth_token, api_key, subaccounts",
		}},
		{"a star without quotes", one + "subaccounts: [*]", []string{"line 4: subaccounts: a value that begins with * must be in quotes"}},

		{"no SID", "accounts: [{auth_token: {env: TOKEN}}]", []string{"line 1: accounts[0].sid: is missing"}},
		{"a SID without a value", "accounts: [{sid: , auth_token: {env: TOKEN}}]", []string{"line 1: accounts[0].sid: has no value"}},
		{"an empty SID", "accounts: [{sid: '', auth_token: {env: TOKEN}}]", []string{"line 1: accounts[0].sid: " + sid}},
		{"another SID", "accounts: [{sid: $K, auth_token: {env: TOKEN}}]", []string{"line 1: accounts[0].sid: " + sid}},
		{"an account twice", one + "\n  - sid: $A\n    auth_token: {env: TOKEN}", []string{"line 5: accounts[1].sid: is given twice, first in line 2"}},
		{"an account that is its own subaccount", one + "subaccounts: [$A]", []string{"line 4: accounts[0].subaccounts[0]: is given twice, first in line 2"}},
		{"a subaccount of two", one + "subaccounts: [$B]\n  - sid: $C\n    auth_token: {env: TOKEN}\n    subaccounts: [$D, $B]", []string{
			"line 7: accounts[1].subaccounts[1]: is given twice, first in line 4",
		}},
		{"a subaccount that is none", one + "subaccounts: [bob]", []string{"line 4: accounts[0].subaccounts[0]: " + sid}},
		{"a default that is not among the accounts", "default: $B\n" + one, []string{"line 1: default: is not among the accounts and subaccounts"}},
		{"a default that is no SID", "default: main\n" + one, []string{"line 1: default: " + sid}},

		{"no credentials", "accounts: [{sid: $A}]", []string{"line 1: accounts[0]: needs auth_token or api_key"}},
		{"both credentials", one + "api_key: {sid: $K, secret: {env: TOKEN}}", []string{"line 4: accounts[0].api_key: cannot be used together with auth_token"}},
		{"a secret in the file", "accounts:\n- sid: $A\n  auth_token: token-of-file", []string{"line 3: accounts[0].auth_token: " + twoForms}},
		{"a secret as a key", "accounts:\n- sid: $A\n  auth_token: {token-of-file}", []string{"line 3: accounts[0].auth_token: " + twoForms}},
		{"a secret without a value", "accounts:\n- sid: $A\n  auth_token:", []string{"line 3: accounts[0].auth_token: " + twoForms}},
		{"a secret from two places", "accounts:\n- sid: $A\n  auth_token: {env: TOKEN, file: token}", []string{"line 3: accounts[0].auth_token: " + twoForms}},
		{"a secret from another place", "accounts:\n- sid: $A\n  auth_token: {vault: TOKEN}", []string{"line 3: accounts[0].auth_token: " + twoForms}},
		{"an API key in the file", "accounts:\n- sid: $A\n  api_key: token-of-file", []string{"line 3: accounts[0].api_key: must be a mapping (key: value)"}},
		{"an API secret in the file", "accounts:\n- sid: $A\n  api_key: {sid: $K, secret: token-of-file}", []string{"line 3: accounts[0].api_key.secret: " + twoForms}},
		{"an API key without keys", "accounts:\n- sid: $A\n  api_key: {}", []string{
			"line 3: accounts[0].api_key.secret: is missing", "line 3: accounts[0].api_key.sid: is missing",
		}},
		{"an API key of an account SID", "accounts:\n- sid: $A\n  api_key: {sid: $A, secret: {env: TOKEN}}", []string{"line 3: accounts[0].api_key.sid: must be SK and 32 hexadecimal digits"}},

		{"an empty variable", "accounts: [{sid: $A, auth_token: {env: EMPTY}}]", []string{"line 1: accounts[0].auth_token.env: environment variable EMPTY: is not set or empty"}},
		{"a variable that is not set", "accounts: [{sid: $A, auth_token: {env: UNSET_HERE}}]", []string{"line 1: accounts[0].auth_token.env: environment variable UNSET_HERE: is not set or empty"}},
		{"a variable of two words", "accounts: [{sid: $A, auth_token: {env: WORDS}}]", []string{"line 1: accounts[0].auth_token.env: environment variable WORDS: " + characters}},
		{"no variable", "accounts: [{sid: $A, auth_token: {env: ''}}]", []string{"line 1: accounts[0].auth_token.env: must be the name of an environment variable"}},
		{"a variable of an impossible name", "accounts: [{sid: $A, auth_token: {env: token-of-file}}]", []string{"line 1: accounts[0].auth_token.env: must be the name of an environment variable"}},
		{"an empty file", "accounts: [{sid: $A, auth_token: {file: empty}}]", []string{"line 1: accounts[0].auth_token.file: secret file empty: is empty"}},
		{"no file", "accounts: [{sid: $A, auth_token: {file: ''}}]", []string{"line 1: accounts[0].auth_token.file: must not be empty"}},
		{"a file that does not exist", "accounts: [{sid: $A, auth_token: {file: /run/secrets/$A}}]", []string{"line 1: accounts[0].auth_token.file: secret file /run/secrets/$A: no such file or directory"}},
		{"a file with a byte order mark", "accounts: [{sid: $A, auth_token: {file: bom}}]", []string{
			"line 1: accounts[0].auth_token.file: secret file bom: begins with a byte order mark (BOM): save it as UTF-8 without one",
		}},
		{"a secret of two words", "accounts: [{sid: $A, auth_token: {file: spaced}}]", []string{"line 1: accounts[0].auth_token.file: secret file spaced: " + characters}},
		{"a secret after a space", "accounts: [{sid: $A, auth_token: {file: padded}}]", []string{"line 1: accounts[0].auth_token.file: secret file padded: " + characters}},
		{"a secret that is not ASCII", "accounts: [{sid: $A, auth_token: {file: unicode}}]", []string{"line 1: accounts[0].auth_token.file: secret file unicode: " + characters}},

		{"a region alone", one + "region: ie1", []string{
			"line 4: accounts[0].region: region ie1 needs an edge too, such as dublin for ie1 or sydney for au1: " +
				"hosts named by region alone (api.ie1.twilio.com) were announced to stop on 2026-04-28",
		}},
		{"a region that is none", one + "region: ie1.evil.com", []string{"line 4: accounts[0].region: the region is not a name such as us1, ie1 or au1"}},
		{"an edge that is none", one + "edge: dub/lin", []string{"line 4: accounts[0].edge: the edge is not a name such as ashburn, dublin or sydney"}},
		{"a region that is too long", one + "region: " + strings.Repeat("a", 32), []string{"line 4: accounts[0].region: must be 1 to 20 characters"}},
		{"an empty region", one + "region: ''", []string{"line 4: accounts[0].region: must be 1 to 20 characters"}},
		{"a base URL and a region", one + "region: ie1\n    base_url: https://example.com", []string{"line 5: accounts[0].base_url: cannot be used together with region or edge"}},
		{"plain HTTP to another host", one + "base_url: http://example.com", []string{"line 4: accounts[0].base_url: " + plain}},
		{"plain HTTP to what looks like a loopback address", one + "base_url: http://127.0.0.1.example.com", []string{"line 4: accounts[0].base_url: " + plain}},
		{"a base URL with a password", one + "base_url: https://me:token-of-file@example.com", []string{
			"line 4: accounts[0].base_url: the base URL must not hold a user name or password",
		}},
		{"a base URL with a path", one + "base_url: https://example.com/v1", []string{
			"line 4: accounts[0].base_url: the base URL must be scheme://host[:port] and nothing after it, not even a slash",
		}},
		{"an empty base URL", one + "base_url: ''", []string{"line 4: accounts[0].base_url: the base URL must begin with https:// or http://"}},

		{"everything at once, in the order of lines", "default: $D\naccounts:\n  - sid: bob\n    edge: [a]\n    auth_token: hunter2\n  - {}\n  - sid: $A\n    subaccounts: [$A]\n    api_key: {sid: x, secret: {env: UNSET_HERE}}\n", []string{
			"line 1: default: is not among the accounts and subaccounts",
			"line 3: accounts[0].sid: " + sid,
			"line 4: accounts[0].edge: must be text",
			"line 5: accounts[0].auth_token: " + twoForms,
			"line 6: accounts[1].sid: is missing",
			"line 6: accounts[1]: needs auth_token or api_key",
			"line 8: accounts[2].subaccounts[0]: is given twice, first in line 7",
			"line 9: accounts[2].api_key.secret.env: environment variable UNSET_HERE: is not set or empty",
			"line 9: accounts[2].api_key.sid: must be SK and 32 hexadecimal digits",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			accounts, err := readAccounts(test.yaml)
			if accounts != nil {
				t.Error("there are accounts")
			}
			var want []string
			for _, line := range test.want {
				want = append(want, "a.yaml: "+fill(line))
			}
			if diff := cmp.Diff(want, lines(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A secret that stands where another value should must not be repeated.
func TestErrorsDoNotRepeatSecrets(t *testing.T) {
	secretFiles(t)
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
		_, err := readAccounts(text)
		if err == nil {
			t.Errorf("%s: no error", yaml)
			continue
		}
		if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), upper) {
			t.Errorf("%s: the error repeats it: %v", yaml, err)
		}
	}
}
