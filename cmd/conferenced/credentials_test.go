package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/settings"
	"conferenced/service/twilio"
)

const (
	testAccountSID = "AC00000000000000000000000000000001"
	testKeySID     = "SK00000000000000000000000000000001"
	testToken      = "t0ken-s3cret"
	testSecret     = "k3y-s3cret"
)

// environment sets variables, given as pairs. FILE: in a value stands for the path of a
// file with the text after it.
func environment(t *testing.T, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		value := pairs[i+1]
		if text, ok := strings.CutPrefix(value, "FILE:"); ok {
			value = filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(value, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv(pairs[i], value)
	}
}

func TestCredentials(t *testing.T) {
	tests := []struct {
		name     string
		pairs    []string
		baseURL  string
		username string
		password string
		wantURL  string
	}{
		{
			name:     "an auth token",
			pairs:    []string{"TWILIO_AUTH_TOKEN", testToken},
			username: testAccountSID, password: testToken, wantURL: "https://api.twilio.com",
		},
		{
			name:     "an auth token with a line feed behind it",
			pairs:    []string{"TWILIO_AUTH_TOKEN", testToken + "\n"},
			username: testAccountSID, password: testToken, wantURL: "https://api.twilio.com",
		},
		{
			name:     "an auth token in a file, with a line feed behind it",
			pairs:    []string{"TWILIO_AUTH_TOKEN_FILE", "FILE:" + testToken + "\n"},
			username: testAccountSID, password: testToken, wantURL: "https://api.twilio.com",
		},
		{
			name:     "an API key",
			pairs:    []string{"TWILIO_API_KEY", testKeySID, "TWILIO_API_SECRET", testSecret},
			username: testKeySID, password: testSecret, wantURL: "https://api.twilio.com",
		},
		{
			name:     "an API key whose secret is in a file",
			pairs:    []string{"TWILIO_API_KEY", testKeySID, "TWILIO_API_SECRET_FILE", "FILE:" + testSecret + "\r\n"},
			username: testKeySID, password: testSecret, wantURL: "https://api.twilio.com",
		},
		{
			name: "an API key before an auth token",
			pairs: []string{
				"TWILIO_API_KEY", testKeySID, "TWILIO_API_SECRET", testSecret, "TWILIO_AUTH_TOKEN", testToken,
			},
			username: testKeySID, password: testSecret, wantURL: "https://api.twilio.com",
		},
		{
			name:     "a region and its edge",
			pairs:    []string{"TWILIO_AUTH_TOKEN", testToken, "TWILIO_REGION", "ie1", "TWILIO_EDGE", "dublin"},
			username: testAccountSID, password: testToken, wantURL: "https://api.dublin.ie1.twilio.com",
		},
		{
			name:  "a base URL",
			pairs: []string{"TWILIO_AUTH_TOKEN", testToken}, baseURL: "https://twilio.example:8443/",
			username: testAccountSID, password: testToken, wantURL: "https://twilio.example:8443",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			environment(t, "TWILIO_ACCOUNT_SID", testAccountSID)
			environment(t, test.pairs...)
			live, err := settings.NewLive(settings.Files{}, settings.Base{Environment: true, BaseURL: test.baseURL}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			want := &twilio.Account{
				SID: testAccountSID, Username: test.username,
				Password: twilio.NewSecret(test.password), BaseURL: test.wantURL,
			}
			got, _ := live.Current().Accounts.Lookup("")
			if diff := cmp.Diff(want, got, cmp.Comparer(twilio.Secret.Equal)); diff != "" {
				t.Errorf("the default account (-want +got):\n%s", diff)
			}
			serving := []string{"serve"}
			if test.baseURL != "" {
				serving = append(serving, "--twilio-base-url="+test.baseURL)
			}
			ran := runStopped(t, serving...)
			ran.check(t, 0)
			checkUnsaid(t, ran)
		})
	}
}

func checkUnsaid(t *testing.T, r ran) {
	t.Helper()
	for _, secret := range []string{testToken, testSecret, "p4ssword"} {
		if strings.Contains(r.stdout+r.stderr, secret) {
			t.Errorf("the secret %s is printed:\n%s%s", secret, r.stdout, r.stderr)
		}
	}
}

// The whole error without any configuration.
func TestServeWithoutConfiguration(t *testing.T) {
	got := runStopped(t, "serve")
	want := ran{code: 2, stderr: `conferenced: Twilio is not configured:
TWILIO_ACCOUNT_SID is not set
neither TWILIO_AUTH_TOKEN nor TWILIO_API_KEY and TWILIO_API_SECRET is set (nor TWILIO_AUTH_TOKEN_FILE, TWILIO_API_SECRET_FILE)
To try conferenced without an account, run conferenced sandbox
`}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(ran{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMistakesInCredentials(t *testing.T) {
	token := []string{"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN", testToken}
	with := func(pairs ...string) []string { return append(append([]string{}, token...), pairs...) }
	tests := []struct {
		name  string
		pairs []string
		flags []string
		want  []string
	}{
		{
			"no account", []string{"TWILIO_AUTH_TOKEN", testToken}, nil,
			[]string{"TWILIO_ACCOUNT_SID is not set"},
		},
		{
			"an account that is none", []string{"TWILIO_ACCOUNT_SID", testKeySID, "TWILIO_AUTH_TOKEN", testToken}, nil,
			[]string{"the account SID must be AC and 32 hexadecimal digits"},
		},
		{
			"no credentials", []string{"TWILIO_ACCOUNT_SID", testAccountSID}, nil,
			[]string{"neither TWILIO_AUTH_TOKEN nor TWILIO_API_KEY and TWILIO_API_SECRET is set"},
		},
		{
			"a key without its secret", []string{"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_API_KEY", testKeySID}, nil,
			[]string{"TWILIO_API_KEY is set, but neither TWILIO_API_SECRET nor TWILIO_API_SECRET_FILE"},
		},
		{
			"a key without its secret, and a token", with("TWILIO_API_KEY", testKeySID), nil,
			[]string{"TWILIO_API_KEY is set, but neither TWILIO_API_SECRET nor TWILIO_API_SECRET_FILE"},
		},
		{
			"a secret without its key", []string{"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_API_SECRET", testSecret}, nil,
			[]string{"TWILIO_API_SECRET is set, but not TWILIO_API_KEY"},
		},
		{
			"a key that is none", []string{
				"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_API_KEY", "k3y-s3cret", "TWILIO_API_SECRET", testSecret,
			}, nil,
			[]string{"the username must be an account SID (AC...) or an API key SID (SK...)"},
		},
		{
			"a token with a blank", []string{"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN", testToken + " " + testToken}, nil,
			[]string{"TWILIO_AUTH_TOKEN: ", "has white space"},
		},
		{
			"an account with a line feed", []string{"TWILIO_ACCOUNT_SID", testAccountSID + "\n", "TWILIO_AUTH_TOKEN", testToken}, nil,
			[]string{"TWILIO_ACCOUNT_SID: "},
		},
		{
			"a region with a line feed", with("TWILIO_REGION", "ie1\n", "TWILIO_EDGE", "dublin"), nil,
			[]string{"TWILIO_REGION and TWILIO_EDGE: the region is not a name"},
		},
		{
			"a token of two lines", []string{"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN", testToken + "\n" + testToken}, nil,
			[]string{"TWILIO_AUTH_TOKEN: ", "has a control character or more than one line"},
		},
		{
			"a key's secret with a blank", []string{"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_API_KEY", testKeySID, "TWILIO_API_SECRET", testSecret + " \n"}, nil,
			[]string{"TWILIO_API_SECRET: ", "has white space"},
		},
		{
			"a token after a byte order mark", []string{"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN", "\ufeff" + testToken}, nil,
			[]string{"TWILIO_AUTH_TOKEN: ", "begins with a byte order mark (BOM)"},
		},
		{
			"a file with a byte order mark", []string{"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN_FILE", "FILE:\ufeff" + testToken}, nil,
			[]string{"TWILIO_AUTH_TOKEN_FILE: ", "begins with a byte order mark (BOM)"},
		},
		{
			"a token twice", with("TWILIO_AUTH_TOKEN_FILE", "FILE:"+testToken), nil,
			[]string{"TWILIO_AUTH_TOKEN and TWILIO_AUTH_TOKEN_FILE are both set"},
		},
		{
			"a secret twice", with("TWILIO_API_SECRET", testSecret, "TWILIO_API_SECRET_FILE", "FILE:"+testSecret), nil,
			[]string{"TWILIO_API_SECRET and TWILIO_API_SECRET_FILE are both set"},
		},
		{
			"a file that is not there", []string{"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN_FILE", "/nowhere/token"}, nil,
			[]string{"TWILIO_AUTH_TOKEN_FILE: /nowhere/token: no such file or directory"},
		},
		{
			"a file that is empty", []string{"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN_FILE", "FILE: \n"}, nil,
			[]string{"TWILIO_AUTH_TOKEN_FILE: ", "secret: is empty"},
		},
		{
			"two files that are not there", []string{
				"TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN_FILE", "/nowhere/token",
				"TWILIO_API_KEY", testKeySID, "TWILIO_API_SECRET_FILE", "/nowhere/secret",
			}, nil,
			[]string{"/nowhere/token", "/nowhere/secret"},
		},
		{
			"a region without its edge", with("TWILIO_REGION", "ie1"), nil,
			[]string{"region ie1 needs an edge too, such as dublin", "were announced to stop on 2026-04-28"},
		},
		{
			"a region that is none", with("TWILIO_REGION", "ie1.example/", "TWILIO_EDGE", "dublin"), nil,
			[]string{"the region is not a name"},
		},
		{
			"a region and a base URL", with("TWILIO_REGION", "us1"), []string{"--twilio-base-url=https://twilio.example"},
			[]string{"--twilio-base-url (CONFERENCED_TWILIO_BASE_URL): cannot be used together with TWILIO_REGION or TWILIO_EDGE"},
		},
		{
			"an edge and a base URL", with("TWILIO_EDGE", "dublin"), []string{"--twilio-base-url=https://twilio.example"},
			[]string{"--twilio-base-url (CONFERENCED_TWILIO_BASE_URL): cannot be used together with TWILIO_REGION or TWILIO_EDGE"},
		},
		{
			"a base URL with a password", with(), []string{"--twilio-base-url=https://me:p4ssword@twilio.example"},
			[]string{"the base URL must not hold a user name or password"},
		},
		{
			"a base URL with a path", with(), []string{"--twilio-base-url=https://twilio.example/2010-04-01"},
			[]string{"the base URL must be scheme://host[:port]"},
		},
		{
			"a base URL without a scheme", with(), []string{"--twilio-base-url=twilio.example"},
			[]string{"the base URL must begin with https:// or http://"},
		},
		{
			"everything that is missing or wrong", []string{"TWILIO_REGION", "ie1", "TWILIO_API_KEY", testKeySID}, nil,
			[]string{"TWILIO_ACCOUNT_SID is not set\n", "TWILIO_API_KEY is set, but neither", "needs an edge too"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			environment(t, test.pairs...)
			got := runStopped(t, append([]string{"serve"}, test.flags...)...)
			got.check(t, 2, test.want...)
			checkUnsaid(t, got)
		})
	}
}
