package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/certtest"
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
	pair := certtest.Issue(t, nil, "127.0.0.1") // It is its own CA.
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
	f.write(t, "client-ca", certtest.PEM(pair))
	f.write(t, "tls-cert", certtest.PEM(pair))
	f.write(t, "tls-key", certtest.KeyPEM(t, pair))
	return f
}

func (f securityFiles) path(flag string) string { return filepath.Join(f.dir, flag) }

func (f securityFiles) write(t *testing.T, flag, text string) {
	t.Helper()
	writerIn(t, f.dir)(flag, text)
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

func (r ran) checkOutput(t *testing.T, stdout, stderr string) {
	t.Helper()
	if diff := cmp.Diff(stdout, r.stdout); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(stderr, r.stderr); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
}

// checkWith runs check with an account of the environment and an audit file that does
// not exist.
func checkWith(t *testing.T, args ...string) ran {
	t.Helper()
	environment(t, "TWILIO_ACCOUNT_SID", sandbox.AccountSID, "TWILIO_AUTH_TOKEN", testToken)
	return runCommand(t.Context(), append([]string{"check", "--audit-log=" + filepath.Join(t.TempDir(), "audit")}, args...)...)
}

func TestCheckPrintsWhatItReads(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	f.write(t, "tokens", fmt.Sprintf(`tokens:
  - {name: ui-web, sha256: "%x", expires: %s}
  - {name: ui-web, sha256: "%x"}
  - {name: ui-old, sha256: "%x", expires: 2020-01-01T00:00:00Z}
`, sha256.Sum256([]byte("a")), time.Now().Add(12*24*time.Hour+time.Hour).Format(time.RFC3339), sha256.Sum256([]byte("b")), sha256.Sum256([]byte("c"))))
	tests := []struct {
		name  string
		flags []string
		want  string
	}{
		{"no flag", nil, "anonymous callers; 1 account; plaintext; state in memory\nok\n"},
		{"tokens and a policy", f.flags("tokens", "policy"),
			"3 tokens, 1 expired, one expires in 12 days; 2 rules; 1 account; plaintext; state in memory\nok\n"},
		{"a JWT issuer and Redis", append(f.flags("policy"), "--jwt-issuer=https://login.example", "--jwt-audience=x", "--redis-url=redis://redis.example"),
			"JWTs of https://login.example; 2 rules; 1 account; plaintext; state in Redis at redis.example:6379\nok\n"},
		{"every file", f.all(), "3 tokens, 1 expired, one expires in 12 days; client certificates, a CA expires in "},
		{"accounts", f.flags("accounts"), "anonymous callers; 2 accounts; "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := checkWith(t, test.flags...)
			got.check(t, 0)
			if got.stderr != "" || !strings.HasPrefix(got.stdout, test.want) || !strings.HasSuffix(got.stdout, "\nok\n") {
				t.Errorf("stdout %s, stderr %s, want %s", got.stdout, got.stderr, test.want)
			}
		})
	}
}

func TestCheckWarns(t *testing.T) {
	t.Setenv("CONFERENCED_HTTP_ADR", "127.0.0.1:0")
	t.Setenv("CONFERENCED_FOO", "1")
	got := checkWith(t, "--twilio-base-url=http://127.0.0.1:1")
	got.check(t, 0)
	got.checkOutput(t, `warning: Twilio's credentials are sent in plaintext: --twilio-base-url is not https
warning: no flag reads the variable CONFERENCED_HTTP_ADR: did you mean CONFERENCED_HTTP_ADDR?
warning: no flag reads the variable CONFERENCED_FOO
anonymous callers; 1 account; plaintext; state in memory
ok
`, "")
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
		"--client-ca (CONFERENCED_CLIENT_CA): " + in("client-ca", "has no certificate in PEM"),
		"--tls-key (CONFERENCED_TLS_KEY): " + in("tls-key", "does not go with "+f.path("tls-cert")+": tls: failed to find any PEM data in key input"),
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	if strings.Contains(got.stdout+got.stderr, misplaced) {
		t.Errorf("a secret is repeated:\n%s%s", got.stdout, got.stderr)
	}
}

// TestFilesThatAreMissing: check and serve refuse to go on without one of the files.
func TestFilesThatAreMissing(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	for _, flag := range []string{"accounts", "tokens", "policy", "client-ca", "tls-cert", "tls-key"} {
		t.Run(flag, func(t *testing.T) {
			missing := filepath.Join(t.TempDir(), "missing")
			label := "--" + flag + " (CONFERENCED_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")) + "): "
			args := append(f.all(), "--"+flag+"="+missing)
			for _, got := range []ran{runCommand(t.Context(), append([]string{"check"}, args...)...), runStopped(t, append([]string{"serve"}, args...)...)} {
				got.check(t, exitUsage)
				got.checkOutput(t, "", "conferenced: "+label+missing+": no such file or directory\n")
			}
		})
	}
}

// explaining returns the flags of a policy and of three ways to authenticate.
func explaining(f securityFiles) []string {
	return append(f.flags("tokens", "policy", "tls-cert", "tls-key", "client-ca"),
		"--jwt-issuer=https://login.example", "--jwt-audience=x")
}

func TestCheckExplains(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	const denied = "conferenced: denied\n"
	tests := []struct {
		name   string
		flags  []string
		args   []string
		code   int
		stdout string
	}{
		{"a token that is allowed", explaining(f), []string{"--as=ui-web", "--set=muted,hold"}, 0, `caller: token "ui-web"
rule 1 "desktop" (line 2): is for this caller by token "ui-*", and allows update of muted, hold
rule 2 (line 6): is not for this caller
property muted: allowed by rule 1 "desktop" (line 2)
property hold: allowed by rule 1 "desktop" (line 2)
allowed
`},
		{"a token that is not allowed every property", explaining(f), []string{"--as=ui-web", "--set=muted,coaching"}, 1, `caller: token "ui-web"
rule 1 "desktop" (line 2): is for this caller by token "ui-*", and allows update of muted, hold
rule 2 (line 6): is not for this caller
property muted: allowed by rule 1 "desktop" (line 2)
property coaching: no rule for this caller and account allows it
refused: property coaching is not allowed
`},
		{"a token in another account", append(explaining(f), f.flags("accounts")...), []string{"--as=ui-web", "--account=" + subaccountSID, "--set=muted"}, 1, `caller: token "ui-web"
rule 1 "desktop" (line 2): is for this caller by token "ui-*", and not for account ` + subaccountSID + `
rule 2 (line 6): is not for this caller
account ` + subaccountSID + `: no rule for this caller has it
refused: account ` + subaccountSID + ` is not allowed
`},
		{"a certificate of another name", explaining(f), []string{"--as=x", "--by=mtls", "--san=spiffe://example.com/a", "--set=muted"}, 1, `caller: mtls "x"
rule 1 "desktop" (line 2): is not for this caller
rule 2 (line 6): is not for this caller
account ` + sandbox.AccountSID + `: no rule for this caller has it
refused: account ` + sandbox.AccountSID + ` is not allowed
`},
		{"an anonymous caller", f.flags("policy"), []string{"--by=anonymous", "--set=beep_on_exit"}, 0, `caller: anonymous
rule 1 "desktop" (line 2): is not for this caller
rule 2 (line 6): is for this caller by anonymous, and allows update of beep_on_exit
property beep_on_exit: allowed by rule 2 (line 6)
allowed
`},
		{"an anonymous caller without a policy", nil, []string{"--by=anonymous"}, 0, `caller: anonymous
there is no policy, and callers need not be known: everything is allowed
allowed
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := checkWith(t, append(test.flags, test.args...)...)
			got.check(t, test.code)
			_, got.stdout, _ = strings.Cut(got.stdout, "\n") // What was read.
			got.checkOutput(t, test.stdout, map[int]string{1: denied}[test.code])
		})
	}
}

func TestCheckDecides(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	f.write(t, "policy", `rules:
  - callers: [{token: "ui-*"}, {claims: {groups: agents}}, {claims: {admin: "true"}}, {claims: {level: "3"}}]
    accounts: [`+sandbox.AccountSID+`]
    properties: [muted, hold]
  - callers: [{san: "spiffe://example.org/*"}, {claims: {sub: "svc-*", scope: write}}]
    accounts: ["*"]
    properties: [hold]
`)
	tests := []struct {
		name string
		args []string
		code int
	}{
		{"a claim that matches", []string{"--as=x", "--by=jwt", `--claims={"groups": "agents"}`, "--set=hold"}, 0},
		{"one of several values of a claim", []string{"--as=x", "--by=jwt", `--claims={"groups": ["admins", "agents"]}`, "--set=hold"}, 0},
		{"one of several claims", []string{"--as=x", "--by=jwt", `--claims={"team": "a", "groups": ["agents"]}`, "--set=hold"}, 0},
		{"a claim of another value", []string{"--as=x", "--by=jwt", `--claims={"groups": "agent"}`, "--set=hold"}, 1},
		{"a boolean", []string{"--as=x", "--by=jwt", `--claims={"admin": true}`, "--set=hold"}, 0},
		{"another boolean", []string{"--as=x", "--by=jwt", `--claims={"admin": false}`, "--set=hold"}, 1},
		{"a number", []string{"--as=x", "--by=jwt", `--claims={"level": 3}`, "--set=hold"}, 0},
		{"a number in another form", []string{"--as=x", "--by=jwt", `--claims={"level": 3.0}`, "--set=hold"}, 1},
		{"an object, which is no claim", []string{"--as=x", "--by=jwt", `--claims={"groups": {"agents": true}}`, "--set=hold"}, 1},
		{"the name, and a word of the scope", []string{"--as=svc-a", "--by=jwt", `--claims={"scope": "read write"}`, "--set=hold"}, 0},
		{"a JWT with the name of a token", []string{"--as=ui-web", "--by=jwt", "--set=hold"}, 1},
		{"a SAN that matches", []string{"--as=x", "--by=mtls", "--san=x,spiffe://example.org/a", "--set=hold"}, 0},
		{"a name that is the SAN", []string{"--as=spiffe://example.org/a", "--by=mtls", "--set=hold"}, 0},
		{"all properties", []string{"--as=ui-web"}, 1},
		{"another operation", []string{"--as=ui-web", "--operation=read"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := checkWith(t, append(explaining(f), test.args...)...)
			got.check(t, test.code)
			want := map[int]string{0: "\nallowed\n", 1: " is not allowed\n"}[test.code]
			if !strings.HasSuffix(got.stdout, want) {
				t.Errorf("stdout: %s", got.stdout)
			}
		})
	}
}

func TestCheckOfQuestionsWithoutAnswer(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	f.write(t, "tokens", fmt.Sprintf(`tokens:
  - {name: ui-web, sha256: "%x"}
  - {name: old, sha256: "%x", expires: 2020-01-01T00:00:00Z}
`, sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))))
	all, withDefault := slices.Clip(explaining(f)), slices.Clip(f.flags("policy"))
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"a kind without a name", append(all, "--by=mtls"), "--as: is needed"},
		{"an empty name", append(all, "--as="), "--as: is needed"},
		{"an account without a name", append(all, "--account="+sandbox.AccountSID), "--as: is needed"},
		{"a name that no token has", append(all, "--as=ui"), `--as: no token that is valid now has the name "ui"`},
		{"a name whose token has expired", append(all, "--as=old"), `--as: no token that is valid now has the name "old"`},
		{"no tokens", append(withDefault, "--as=ui"), `--as: no token that is valid now has the name "ui"`},
		{"no JWTs", append(withDefault, "--as=ui", "--by=jwt"), "--by: no JWT is accepted"},
		{"no client certificates", append(withDefault, "--as=ui", "--by=mtls"), "--by: no client certificate is accepted"},
		{"no anonymous callers", append(all, "--by=anonymous"), "--by: no caller is anonymous"},
		{"an anonymous caller with a name", append(withDefault, "--by=anonymous", "--as=ui"), "--as: cannot be used together with --by anonymous"},
		{"claims of a token", append(all, "--as=ui-web", "--claims={}"), "--claims: needs --by jwt"},
		{"claims that are not JSON", append(all, "--as=ui-web", "--by=jwt", "--claims=admin=true"), "--claims: invalid character"},
		{"claims that are a list", append(all, "--as=ui-web", "--by=jwt", "--claims=[]"), "--claims: the claims are not an object"},
		{"another name among the claims", append(all, "--as=ui-web", "--by=jwt", `--claims={"sub": "x"}`), "--claims: sub is not the name"},
		{"a SAN of a token", append(all, "--as=ui-web", "--san=x"), "--san: needs --by mtls"},
		{"an account that is not configured", append(all, "--as=ui-web", "--account="+subaccountSID), `--account: "` + subaccountSID + `" is not configured`},
		{"properties of a read", append(all, "--as=ui-web", "--operation=read", "--set=muted"), "--set: needs --operation=update"},
		{"no such property", append(all, "--as=ui-web", "--set=muted,held"), `--set: "held" is not one of muted, hold, `},
		{"no such kind", append(all, "--as=ui-web", "--by=name"), "--by must be one of"},
		{"no such flag", []string{"--token=x"}, "unknown flag --token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := checkWith(t, test.args...)
			got.check(t, exitUsage, "conferenced: "+test.want)
		})
	}
}

func TestCheckThatCannotBeWritten(t *testing.T) {
	environment(t, "TWILIO_ACCOUNT_SID", sandbox.AccountSID, "TWILIO_AUTH_TOKEN", testToken)
	for name, args := range map[string][]string{"that all is well": nil, "an explanation": {"--by=anonymous"}} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			if code := run(t.Context(), append([]string{"check"}, args...), output{failing{}, &stderr, false}); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(stderr.String(), io.ErrClosedPipe.Error()) {
				t.Errorf("stderr: %s", &stderr)
			}
		})
	}
}

func TestCheckOfState(t *testing.T) {
	environment(t, "TWILIO_ACCOUNT_SID", "nonsense") // It is not read.
	good := runCommand(t.Context(), "check", "--state="+writeState(t, ownState))
	good.check(t, 0)
	good.checkOutput(t, "anonymous callers; 1 account; plaintext; state in memory\nok\n", "")

	path := writeState(t, strings.Replace(ownState, "label:", "labl:", 1))
	bad := runCommand(t.Context(), "check", "--state="+path)
	bad.check(t, 2)
	want := "conferenced: " + path + ": line 9: accounts[0].conferences[0].participants[0].labl: unknown key"
	if !strings.HasPrefix(bad.stderr, want) {
		t.Errorf("stderr is %s, want %s", bad.stderr, want)
	}
	runCommand(t.Context(), "check", "--accounts=x", "--state="+path).check(t, 2)
}
