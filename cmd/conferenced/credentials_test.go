package main

import (
	"log/slog"
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
			value = writerIn(t, t.TempDir())("secret", text)
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
			name:     "an auth token with a line feed behind it",
			pairs:    []string{"TWILIO_AUTH_TOKEN", testToken + "\n"},
			username: testAccountSID, password: testToken, wantURL: "https://api.twilio.com",
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
	for _, secret := range []string{testToken, testSecret, misplaced} {
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
