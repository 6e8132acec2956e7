package settings

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/callers"
	"conferenced/service/certtest"
	"conferenced/service/twilio"
)

func TestLoadWithoutFiles(t *testing.T) {
	accounts, err := twilio.NewAccounts("")
	if err != nil {
		t.Fatal(err)
	}
	jwt := new(callers.JWT)
	set, _, err := load(Files{}, Base{Accounts: accounts, JWT: jwt})
	if err != nil {
		t.Fatal(err)
	}
	if set.Accounts != accounts || set.Callers.JWT != jwt {
		t.Error("the base has changed")
	}
	if len(set.Warnings) != 0 {
		t.Errorf("warnings: %v", set.Warnings)
	}
	if set.Certificate != nil || set.Callers.Tokens != nil || set.Callers.Policy != nil || set.Callers.ClientCAs != nil {
		t.Errorf("the set is not empty: %+v", set)
	}
}

func TestLoadReadsSecretsBesideTheAccounts(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "secrets"), "a", "relative\n")
	absolute := write(t, t.TempDir(), "b", "absolute\n")
	file := write(t, dir, "accounts.yaml", fill("accounts:\n- {sid: $A, auth_token: {file: secrets/a}}\n- {sid: $B, auth_token: {file: "+absolute+"}}"))
	set, _, err := load(Files{Accounts: file}, Base{})
	if err != nil {
		t.Fatal(err)
	}
	if !serves(set, ac("a"), "relative") || !serves(set, ac("b"), "absolute") {
		t.Error("a secret is not what the file contains")
	}
}

func TestLoadReportsEveryProblem(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, dir, "accounts.yaml", "accounts:\n- sid: x\n- auth_token: hunter2\n")
	write(t, dir, "ca.pem", "no certificate")
	write(t, dir, "tls.crt", "no certificate either")
	_, _, err := load(Files{
		Accounts: at("accounts.yaml"), Tokens: at("tokens.yaml"), Policy: dir,
		ClientCA: at("ca.pem"), TLSCert: at("tls.crt"), TLSKey: at("tls.key"),
	}, Base{})
	want := []string{
		at("accounts.yaml") + ": line 2: accounts[0].sid: the account SID must be AC and 32 hexadecimal digits",
		at("accounts.yaml") + ": line 2: accounts[0]: needs auth_token or api_key",
		at("accounts.yaml") + ": line 3: accounts[1].auth_token: must be {env: NAME} or {file: PATH}: a secret must not be in this file",
		at("accounts.yaml") + ": line 3: accounts[1].sid: is missing",
		"settings.Tokens: " + at("tokens.yaml") + ": no such file or directory",
		"settings.Policy: " + dir + ": is not a regular file",
		"settings.ClientCA: " + at("ca.pem") + ": has no certificate in PEM",
		"settings.TLSCert: " + at("tls.crt") + ": has no certificate in PEM",
		"settings.TLSKey: " + at("tls.key") + ": no such file or directory",
	}
	if diff := cmp.Diff(want, lines(err)); diff != "" {
		t.Error(diff)
	}
}

func TestLoadTLS(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewCA(t, "ca")
	server, other := certtest.Issue(t, ca, "localhost"), certtest.Issue(t, ca, "localhost", "other")
	expired := certtest.New(t, ca, &x509.Certificate{NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0)})
	early := certtest.New(t, ca, &x509.Certificate{NotBefore: time.Unix(4e9, 0), NotAfter: time.Unix(5e9, 0)})
	for name, text := range map[string]string{
		"crt":       certtest.PEM(server, ca),
		"key":       certtest.KeyPEM(t, server),
		"both":      certtest.PEM(server) + certtest.KeyPEM(t, server),
		"other.key": certtest.KeyPEM(t, other),
		"exp.crt":   certtest.PEM(expired), "exp.key": certtest.KeyPEM(t, expired),
		"early.crt": certtest.PEM(early), "early.key": certtest.KeyPEM(t, early),
		"ca":         "The CA of tests:\n" + certtest.PEM(ca),
		"empty":      "",
		"garbled":    certtest.Block("CERTIFICATE", []byte("garbled")),
		"damaged":    strings.Replace(certtest.PEM(ca), "\n", "\n*", 1) + certtest.PEM(ca),
		"cut":        certtest.PEM(ca) + certtest.PEM(ca)[:100],
		"trusted":    certtest.PEM(ca) + certtest.Block("TRUSTED CERTIFICATE", ca.Leaf.Raw),
		"policy":     policy("muted"),
		"bom":        "\ufeff" + certtest.PEM(ca),
		"broken.key": certtest.Block("PRIVATE KEY", []byte("garbled")),
	} {
		write(t, dir, name, text)
	}
	for _, test := range []struct {
		name          string
		ca, crt, key  string
		errs, warning []string
	}{
		{name: "certificate and key", crt: "crt", key: "key"},
		{name: "certificate and key in one file", crt: "both", key: "both"},
		{name: "client CAs too", ca: "ca", crt: "crt", key: "key"},
		{name: "an expired certificate", crt: "exp.crt", key: "exp.key", warning: []string{"$/exp.crt: certificate 1 expired at 2001-09-09T01:46:40Z"}},
		{name: "a certificate of the future", crt: "early.crt", key: "early.key", warning: []string{"$/early.crt: certificate 1 is not valid before 2096-10-02T07:06:40Z"}},
		{name: "an expired client CA", ca: "exp.crt", crt: "crt", key: "key", warning: []string{"$/exp.crt: certificate 1 expired at 2001-09-09T01:46:40Z"}},
		{name: "no key", crt: "crt", errs: []string{"settings.TLSCert: $/crt: is a TLS certificate without a key: name both or neither"}},
		{name: "no certificate", key: "key", errs: []string{"settings.TLSKey: $/key: is a TLS key without a certificate: name both or neither"}},
		{name: "the key of another certificate", crt: "crt", key: "other.key", errs: []string{"settings.TLSKey: $/other.key: does not go with $/crt: tls: private key does not match public key"}},
		{name: "a malformed key", crt: "crt", key: "broken.key", errs: []string{"settings.TLSKey: $/broken.key: does not go with $/crt: tls: failed to parse private key"}},
		{name: "an empty key", crt: "crt", key: "empty", errs: []string{"settings.TLSKey: $/empty: does not go with $/crt: tls: failed to find any PEM data in key input"}},
		{name: "certificate and key swapped", crt: "key", key: "crt", errs: []string{"settings.TLSCert: $/key: has no certificate in PEM"}},
		{name: "files that are missing", crt: "x", key: "y", errs: []string{"settings.TLSCert: $/x: no such file or directory", "settings.TLSKey: $/y: no such file or directory"}},
		{name: "client CAs without TLS", ca: "ca", errs: []string{"settings.ClientCA: $/ca: needs TLS to ask for client certificates: name a TLS certificate and its key too"}},
		{name: "no client CA in the file", ca: "empty", crt: "crt", key: "key", errs: []string{"settings.ClientCA: $/empty: has no certificate in PEM"}},
		{name: "a key as client CA", ca: "key", crt: "crt", key: "key", errs: []string{"settings.ClientCA: $/key: has no certificate in PEM"}},
		{name: "a malformed client CA", ca: "garbled", crt: "crt", key: "key", errs: []string{"settings.ClientCA: $/garbled: PEM block 1: x509: malformed certificate"}},
		{name: "a client CA that is damaged, before another", ca: "damaged", crt: "crt", key: "key", errs: []string{"settings.ClientCA: $/damaged: 1 of 2 PEM blocks are damaged"}},
		{name: "a truncated client CA", ca: "cut", crt: "crt", key: "key", errs: []string{"settings.ClientCA: $/cut: 1 of 2 PEM blocks are damaged"}},
		{name: "a client CA after a byte order mark", ca: "bom", crt: "crt", key: "key", errs: []string{"settings.ClientCA: $/bom: begins with a byte order mark (BOM): save it as UTF-8 without one"}},
		{name: "a client CA in OpenSSL's own form", ca: "trusted", crt: "crt", key: "key", errs: []string{"settings.ClientCA: $/trusted: PEM block 2: must be between BEGIN CERTIFICATE and END CERTIFICATE"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := func(name string) string {
				if name == "" {
					return ""
				}
				return filepath.Join(dir, name)
			}
			set, _, err := load(Files{ClientCA: at(test.ca), TLSCert: at(test.crt), TLSKey: at(test.key), Policy: at("policy")}, Base{})
			if err != nil {
				set = new(Set)
			} else if set.Certificate == nil || (set.Callers.ClientCAs != nil) != (test.ca != "") {
				t.Errorf("certificate %v, client CAs %v", set.Certificate, set.Callers.ClientCAs)
			}
			for what, both := range map[string][2][]string{"errors": {test.errs, lines(err)}, "warnings": {test.warning, set.Warnings}} {
				var want []string
				for _, line := range both[0] {
					want = append(want, strings.ReplaceAll(line, "$", dir))
				}
				if diff := cmp.Diff(want, both[1]); diff != "" {
					t.Errorf("%s: %s", what, diff)
				}
			}
		})
	}
}

// TestLoadIsOneReading checks that the certificate and the key belong together,
// although both files are replaced while they are read.
func TestLoadIsOneReading(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewCA(t, "ca")
	pairs := []*tls.Certificate{certtest.Issue(t, ca, "localhost", "one"), certtest.Issue(t, ca, "localhost", "two")}
	for i, pair := range pairs {
		version := filepath.Join(dir, fmt.Sprintf("..2026_%d", i))
		if err := os.Mkdir(version, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, version, "tls.crt", certtest.PEM(pair))
		write(t, version, "tls.key", certtest.KeyPEM(t, pair))
	}
	for i := range 200 {
		link(t, dir, fmt.Sprintf("..2026_%d", i%2))
		exchanged := make(chan error, 1)
		go func() { exchanged <- swap(dir, fmt.Sprintf("..2026_%d", (i+1)%2)) }()
		_, _, err := load(Files{TLSCert: filepath.Join(dir, "..data/tls.crt"), TLSKey: filepath.Join(dir, "..data/tls.key")}, Base{})
		if err != nil {
			t.Error(err)
		}
		if err := <-exchanged; err != nil {
			t.Fatal(err)
		}
	}
}

// link points ..data to a version, and swap replaces it atomically, as Kubernetes
// does.
func link(t *testing.T, dir, version string) {
	t.Helper()
	if err := swap(dir, version); err != nil {
		t.Fatal(err)
	}
}

func swap(dir, version string) error {
	next := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(version, next); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(dir, "..data"))
}

func TestReadingDetectsChanges(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, dir string, r *reading)
		want   bool
	}{
		{"nothing changed", func(*testing.T, string, *reading) {}, false},
		{"written again", func(t *testing.T, dir string, _ *reading) { replace(t, dir+"/a", "a") }, false},
		{"another content", func(t *testing.T, dir string, _ *reading) { write(t, dir, "a", "b") }, true},
		{"gone", func(t *testing.T, dir string, _ *reading) { _ = os.Remove(dir + "/a") }, true},
		{"appeared", func(t *testing.T, dir string, _ *reading) { write(t, dir, "missing", "") }, true},
		{"read twice", func(t *testing.T, dir string, r *reading) { _, _ = r.read(dir + "/a") }, false},
		{"changed between two readings", func(t *testing.T, dir string, r *reading) {
			write(t, dir, "a", "b")
			_, _ = r.read(dir + "/a")
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "a", "a")
			r := newReading()
			if text, err := r.read(dir + "/a"); err != nil || string(text) != "a" {
				t.Fatal(string(text), err)
			}
			if _, err := r.read(dir + "/missing"); err == nil {
				t.Fatal("a missing file was read")
			}
			test.change(t, dir, r)
			if got := r.stale(r.now()); got != test.want {
				t.Errorf("stale: %v", got)
			}
		})
	}
}

func TestLargeFilesAreRefused(t *testing.T) {
	file := write(t, t.TempDir(), "tokens.yaml", strings.Repeat("x", maxFileBytes+1))
	_, _, err := load(Files{Tokens: file}, Base{})
	if diff := cmp.Diff([]string{"settings.Tokens: " + file + ": is larger than 1024 KiB"}, lines(err)); diff != "" {
		t.Error(diff)
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ name, text, want, err string }{
		{name: "a line", text: "hunter2\n", want: "hunter2"},
		{name: "a line of Windows", text: "hunter2\r\n", want: "hunter2"},
		{name: "no line end", text: "hunter2", want: "hunter2"},
		{name: "several line ends", text: "hunter2\n\n", want: "hunter2"},
		{name: "nothing", text: "", err: "is empty"},
		{name: "white space", text: " \n\t\n", err: "is empty"},
		{name: "inner white space", text: "hunter 2", err: "the auth token or API key secret has white space or other characters that no token has"},
		{name: "a byte order mark", text: "\ufeffhunter2", err: "begins with a byte order mark (BOM): save it as UTF-8 without one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			write(t, dir, "secret", test.text)
			got, err := newReading().readSecret(dir, "secret")
			if test.err == "" && !got.Equal(twilio.NewSecret(test.want)) {
				t.Error("it is another secret")
			}
			if test.err != "" && err == nil || err != nil && err.Error() != test.err {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestReadPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	for text, want := range map[string]string{
		"p \u00e4ss\r\n":  "p \u00e4ss",
		"\n":              "ERROR is empty",
		"pass\x00":        "ERROR has a control character or more than one line",
		"pass\nword\n":    "ERROR has a control character or more than one line",
		"\ufeffpass":      "ERROR begins with a byte order mark (BOM): save it as UTF-8 without one",
		"\xff\xfep\x00\n": "ERROR begins with a byte order mark (BOM): save it as UTF-8 without one",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPassword(path)
		if err != nil {
			got = strings.Replace(err.Error(), path+": ", "ERROR ", 1)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestSetDoesNotPrintSecrets(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "token", "hunter2hunter2")
	server := certtest.Issue(t, certtest.NewCA(t, "ca"), "localhost")
	set, _, err := load(Files{
		Accounts: write(t, dir, "accounts.yaml", oneAccount(ac("a"))),
		TLSCert:  write(t, dir, "crt", certtest.PEM(server)), TLSKey: write(t, dir, "key", certtest.KeyPEM(t, server)),
	}, Base{})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, value := range []any{set, *set} {
			text := fmt.Sprintf(format, value)
			if strings.Contains(text, "hunter2") || strings.Contains(text, "PrivateKey") {
				t.Errorf("%s: %s", format, text)
			}
		}
	}
}
