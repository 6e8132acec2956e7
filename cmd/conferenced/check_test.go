package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/sandbox"
)

// The secrets in the files.
const (
	callerToken = "c4ller-token-0123456789abcdef0123"
	misplaced   = "m1splaced-secret-0123456789abcdef"
)

const subaccountSID = "AC00000000000000000000000000000002"

// securityFiles returns a directory with a valid file for each flag.
type securityFiles struct{ dir string }

func newSecurityFiles(t *testing.T, twilioURL string) securityFiles {
	t.Helper()
	f := securityFiles{t.TempDir()}
	cert, key := servingCertificate(t)
	f.write(t, "secret", sandbox.AuthToken+"\n")
	f.write(t, "accounts", fmt.Sprintf("default: %[1]s\naccounts:\n  - sid: %[1]s\n    auth_token: {file: secret}\n"+
		"    base_url: %[2]s\n    subaccounts: [%[3]s]\n", sandbox.AccountSID, twilioURL, subaccountSID))
	f.write(t, "tokens", fmt.Sprintf("tokens:\n  - name: ui-web\n    sha256: \"%x\"\n", sha256.Sum256([]byte(callerToken))))
	f.write(t, "policy", `rules:
  - name: desktop
    callers: [{token: "ui-*"}, {claims: {groups: agents}}, {san: "spiffe://example.org/*"}]
    accounts: [`+sandbox.AccountSID+`]
    properties: [muted, hold]
  - callers: [{anonymous: true}]
    accounts: ["*"]
    properties: [beep_on_exit]
`)
	f.write(t, "client-ca", cert)
	f.write(t, "tls-cert", cert)
	f.write(t, "tls-key", key)
	return f
}

func (f securityFiles) path(flag string) string { return filepath.Join(f.dir, flag) }

func (f securityFiles) write(t *testing.T, flag, text string) {
	t.Helper()
	if err := os.WriteFile(f.path(flag), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// flags returns the flags for the files.
func (f securityFiles) flags(names ...string) []string {
	flags := make([]string, len(names))
	for i, name := range names {
		flags[i] = "--" + name + "=" + f.path(name)
	}
	return flags
}

func (f securityFiles) all() []string {
	return f.flags("accounts", "tokens", "policy", "client-ca", "tls-cert", "tls-key")
}

// servingCertificate returns a certificate for 127.0.0.1 and its key.
func servingCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Close()
	pair := server.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (r ran) checkOutput(t *testing.T, stdout, stderr string) {
	t.Helper()
	if diff := cmp.Diff(stdout, r.stdout); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(stderr, r.stderr); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
}

func TestCheckOfGoodFiles(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	tests := []struct {
		name  string
		flags []string
		want  string
	}{
		{"all", f.all(), "ok\n"},
		{"none", nil, "ok\n"},
		{"the policy alone", f.flags("policy"), "ok\n"},
		{"callers without a policy", f.flags("tokens"), "warning: there is no policy: callers are known, and none may change anything\nok\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := runCommand(t.Context(), append([]string{"check"}, test.flags...)...)
			got.check(t, 0)
			got.checkOutput(t, test.want, "")
		})
	}
}

func TestCheckTakesFilesFromTheEnvironment(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	f.write(t, "policy", "rules: 1\n")
	t.Setenv("CONFERENCED_POLICY", f.path("policy"))
	got := runCommand(t.Context(), "check")
	got.check(t, 2)
	got.checkOutput(t, "", "conferenced: "+f.path("policy")+": line 1: rules: must be a list\n")
}

// TestCheckListsEverything: the mistakes in all files, with their lines and without
// misplaced secrets.
func TestCheckListsEverything(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	f.write(t, "accounts", "default: AC1\naccounts:\n  - sid: "+sandbox.AccountSID+"\n    auth_token: "+misplaced+
		"\n  - sid: "+sandbox.AccountSID+"\n    auth_token: {file: nowhere}\n")
	f.write(t, "tokens", "tokens:\n  - name: ui web\n    sha256: "+misplaced+"\n")
	f.write(t, "policy", "rules:\n  - callers: [{token: ui}]\n    accounts: [\"*\"]\n    properties: [muted, held]\n  - "+misplaced+": 1\n")
	f.write(t, "client-ca", misplaced)
	f.write(t, "tls-key", misplaced)
	got := runCommand(t.Context(), append([]string{"check"}, f.all()...)...)
	got.check(t, 2)
	in := func(flag, text string) string { return f.path(flag) + ": " + text }
	want := []string{
		"conferenced: " + in("accounts", "line 1: default: the account SID must be AC and 32 hexadecimal digits"),
		in("accounts", "line 4: accounts[0].auth_token: must be {env: NAME} or {file: PATH}: a secret must not be in this file"),
		in("accounts", "line 5: accounts[1].sid: is given twice, first in line 3"),
		in("accounts", "line 6: accounts[1].auth_token.file: secret file nowhere: no such file or directory"),
		in("tokens", "line 2: tokens[0].name: must be 1 to 128 letters, digits and ._-/@"),
		in("tokens", "line 3: tokens[0].sha256: must be 64 hexadecimal digits"),
		in("policy", "line 4: rules[0].properties[1]: is not a property; the properties are muted, hold, hold_url, hold_method, "+
			"announce_url, announce_method, wait_url, wait_method, beep_on_exit, end_conference_on_exit, coaching, call_sid_to_coach"),
		in("policy", "line 5: rules[1].accounts: is missing"),
		in("policy", "line 5: rules[1].callers: is missing"),
		in("policy", "line 5: rules[1].properties: is missing"),
		in("policy", "line 5: rules[1]: unknown key: the keys here are name, callers, accounts, operations, properties"),
		in("client-ca", "has no certificate in PEM"),
		in("tls-key", "does not go with "+f.path("tls-cert")+": tls: failed to find any PEM data in key input"),
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	if strings.Contains(got.stdout+got.stderr, misplaced) {
		t.Errorf("a secret is repeated:\n%s%s", got.stdout, got.stderr)
	}
}

func TestCheckOfFilesThatAreMissing(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	for _, flag := range []string{"accounts", "tokens", "policy", "client-ca", "tls-cert", "tls-key"} {
		t.Run(flag, func(t *testing.T) {
			missing := filepath.Join(t.TempDir(), "missing")
			got := runCommand(t.Context(), append(append([]string{"check"}, f.all()...), "--"+flag+"="+missing)...)
			got.check(t, 2)
			got.checkOutput(t, "", "conferenced: "+missing+": no such file or directory\n")
		})
	}
}

func TestCheckExplains(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	const denied = "conferenced: denied\n"
	const main = "--account=" + sandbox.AccountSID
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
	}{
		{"a token that is allowed", []string{"--as=ui-web", main, "--set=muted,hold"}, 0, `caller: token "ui-web"
rule 1 "desktop" (line 2): is for this caller by token "ui-*", and allows update of muted, hold
rule 2 (line 6): is not for this caller
property muted: allowed by rule 1 "desktop" (line 2)
property hold: allowed by rule 1 "desktop" (line 2)
allowed
`},
		{"a token that is not allowed every property", []string{"--as=ui-web", main, "--set=muted,coaching"}, 1, `caller: token "ui-web"
rule 1 "desktop" (line 2): is for this caller by token "ui-*", and allows update of muted, hold
rule 2 (line 6): is not for this caller
property muted: allowed by rule 1 "desktop" (line 2)
property coaching: no rule for this caller and account allows it
refused: property coaching is not allowed
`},
		{"a token in another account", []string{"--as=ui-web", "--account=" + subaccountSID, "--set=muted"}, 1, `caller: token "ui-web"
rule 1 "desktop" (line 2): is for this caller by token "ui-*", and not for account ` + subaccountSID + `
rule 2 (line 6): is not for this caller
account ` + subaccountSID + `: no rule for this caller has it
refused: account ` + subaccountSID + ` is not allowed
`},
		{"a certificate of another name", []string{"--as=x", "--by=mtls", "--san=spiffe://example.com/a", main, "--set=muted"}, 1, `caller: mtls "x"
rule 1 "desktop" (line 2): is not for this caller
rule 2 (line 6): is not for this caller
account ` + sandbox.AccountSID + `: no rule for this caller has it
refused: account ` + sandbox.AccountSID + ` is not allowed
`},
		{"an anonymous caller", []string{"--by=anonymous", "--account=" + subaccountSID, "--set=beep_on_exit"}, 0, `caller: anonymous
rule 1 "desktop" (line 2): is not for this caller
rule 2 (line 6): is for this caller by anonymous, and allows update of beep_on_exit
property beep_on_exit: allowed by rule 2 (line 6)
allowed
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := append(append([]string{"check"}, f.flags("policy")...), test.args...)
			got := runCommand(t.Context(), args...)
			got.check(t, test.code)
			got.checkOutput(t, test.stdout, map[int]string{1: denied}[test.code])
		})
	}
}

func TestCheckDecides(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	const main = "--account=" + sandbox.AccountSID
	tests := []struct {
		name string
		args []string
		code int
	}{
		{"a claim that matches", []string{"--as=x", "--by=jwt", "--claim=groups=agents", main, "--set=hold"}, 0},
		{"one of several values of a claim", []string{"--as=x", "--by=jwt", "--claim=groups=admins|agents", main, "--set=hold"}, 0},
		{"one of several claims", []string{"--as=x", "--by=jwt", "--claim=team=a", "--claim=groups=agents", main, "--set=hold"}, 0},
		{"a claim of another value", []string{"--as=x", "--by=jwt", "--claim=groups=agent", main, "--set=hold"}, 1},
		{"a JWT with the name of a token", []string{"--as=ui-web", "--by=jwt", main, "--set=hold"}, 1},
		{"a SAN that matches", []string{"--as=x", "--by=mtls", "--san=x,spiffe://example.org/a", main, "--set=hold"}, 0},
		{"a token with a SAN", []string{"--as=x", "--san=spiffe://example.org/a", main, "--set=hold"}, 1},
		{"all properties", []string{"--as=ui-web", main}, 1},
		{"the default account", append(f.flags("accounts"), "--as=ui-web", "--set=muted"), 0},
		{"no account where none is known", []string{"--as=ui-web", "--set=muted"}, 1},
		{"a token for the anonymous rule", []string{"--as=x", main, "--set=beep_on_exit"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := runCommand(t.Context(), append(append([]string{"check"}, f.flags("policy")...), test.args...)...)
			got.check(t, test.code)
			want := map[int]string{0: "\nallowed\n", 1: " is not allowed\n"}[test.code]
			if !strings.HasSuffix(got.stdout, want) {
				t.Errorf("stdout: %s", got.stdout)
			}
		})
	}
}

func TestCheckOfInvalidQuestions(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no policy", []string{"--as=ui"}, "conferenced: --as needs --policy\n"},
		{"no policy for anonymous callers", []string{"--by=anonymous"}, "conferenced: --as needs --policy\n"},
		{"no such property", append(f.flags("policy"), "--as=ui", "--set=muted,held"), `conferenced: --set: "held" is not one of muted, hold, `},
		{"no such kind", append(f.flags("policy"), "--as=ui", "--by=name"), "--by must be one of"},
		{"no such flag", []string{"--token=x"}, "unknown flag --token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := runCommand(t.Context(), append([]string{"check"}, test.args...)...)
			got.check(t, 2, test.want)
			if got.stdout != "" {
				t.Errorf("stdout: %s", got.stdout)
			}
		})
	}
}

func TestCheckThatCannotBeWritten(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	for name, args := range map[string][]string{
		"that all is well": nil, "an explanation": append(f.flags("policy"), "--as=ui-web", "--account="+sandbox.AccountSID, "--set=muted"),
		"a warning": f.flags("tokens"),
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			if code := run(t.Context(), append([]string{"check"}, args...), failing{}, &stderr); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(stderr.String(), io.ErrClosedPipe.Error()) {
				t.Errorf("stderr: %s", &stderr)
			}
		})
	}
}
