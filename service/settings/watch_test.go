package settings

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"conferenced/service/certtest"
	"conferenced/service/twilio"
)

// watch runs a test of Watch with the files. The clock is the bubble's.
func watch(t *testing.T, files Files, base Base, test func(t *testing.T, live *Live)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		live, err := NewLive(files, base, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- live.Watch(ctx) }()
		test(t, live)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// watchAccount watches accounts.yaml and token in a new directory.
func watchAccount(t *testing.T, test func(t *testing.T, live *Live, dir string)) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "token", "one")
	accounts := write(t, dir, "accounts.yaml", oneAccount(ac("a")))
	watch(t, Files{Accounts: accounts}, Base{}, func(t *testing.T, live *Live) { test(t, live, dir) })
}

// settle waits until a change must be in force.
func settle() {
	time.Sleep(2 * pollInterval)
	synctest.Wait()
}

func expect(t *testing.T, live *Live, reloads, failures int64) {
	t.Helper()
	if s := live.Status(); s.Reloads != reloads || s.Failures != failures {
		t.Errorf("%d reloads and %d failures, want %d and %d: %s", s.Reloads, s.Failures, reloads, failures, s.LastError)
	}
}

func expectToken(t *testing.T, live *Live, token string) {
	t.Helper()
	settle()
	if !serves(live.Current(), ac("a"), token) {
		t.Errorf("token %s is not in force: %s", token, live.Status().LastError)
	}
}

func TestWatchDetectsChangesOfEachFile(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewCA(t, "ca")
	server := certtest.Issue(t, ca, "localhost")
	write(t, dir, "token", "one")
	files := Files{
		Accounts: write(t, dir, "accounts.yaml", oneAccount(ac("a"))),
		Tokens:   write(t, dir, "tokens.yaml", tokens("1")),
		Policy:   write(t, dir, "policy.yaml", policy("muted")),
		ClientCA: write(t, dir, "ca.pem", certtest.PEM(ca)),
		TLSCert:  write(t, dir, "tls.crt", certtest.PEM(server)),
		TLSKey:   write(t, dir, "tls.key", certtest.KeyPEM(t, server)),
	}
	changes := []struct{ path, text string }{
		{files.Accounts, oneAccount(ac("b"))},
		{filepath.Join(dir, "token"), "two"},
		{files.Tokens, tokens("2")},
		{files.Policy, policy("hold")},
		{files.ClientCA, certtest.PEM(certtest.NewCA(t, "other"))},
		{files.TLSCert, certtest.PEM(server, ca)},
		{files.TLSKey, "\n" + certtest.KeyPEM(t, server)},
	}
	watch(t, files, Base{}, func(t *testing.T, live *Live) {
		for i, change := range changes {
			before := live.Current()
			replace(t, change.path, change.text)
			settle()
			if live.Current() == before {
				t.Errorf("%s: the change is not in force", change.path)
			}
			expect(t, live, int64(i+1), 0)
		}
	})
}

func tokens(digit string) string {
	return "tokens:\n  - name: ui\n    sha256: '" + strings.Repeat(digit, 64) + "'\n"
}

func policy(property string) string {
	return "rules:\n  - callers: [{token: ui}]\n    accounts: ['*']\n    properties: [" + property + "]\n"
}

func TestWatchDoesNotReloadTheSame(t *testing.T) {
	watchAccount(t, func(t *testing.T, live *Live, dir string) {
		replace(t, filepath.Join(dir, "token"), "one")
		write(t, dir, "unrelated", "two")
		settle()
		expect(t, live, 0, 0)
	})
}

// TestWatchWaitsForTheEndOfAChange checks that a change of several files, or of one
// in several steps, is one reload, and that the states in between are not errors.
func TestWatchWaitsForTheEndOfAChange(t *testing.T) {
	watchAccount(t, func(t *testing.T, live *Live, dir string) {
		time.Sleep(pollInterval / 2)
		for i := range 5 {
			write(t, dir, "accounts.yaml", fmt.Sprint("broken ", i))
			time.Sleep(pollInterval)
		}
		write(t, dir, "accounts.yaml", oneAccount(ac("b")))
		settle()
		expect(t, live, 1, 0)
	})
}

func TestWatchKeepsTheSetIfANewFileIsInvalid(t *testing.T) {
	watchAccount(t, func(t *testing.T, live *Live, dir string) {
		before := live.Current()
		replace(t, filepath.Join(dir, "accounts.yaml"), "accounts: [")
		settle()
		settle()
		if live.Current() != before {
			t.Error("an invalid file is in force")
		}
		expect(t, live, 0, 1) // It is reported once.
		replace(t, filepath.Join(dir, "accounts.yaml"), oneAccount(ac("b")))
		settle()
		expect(t, live, 1, 1)
		if s := live.Status(); s.LastError != "" || !serves(live.Current(), ac("b"), "one") {
			t.Errorf("after the repair: %+v", s)
		}
	})
}

func TestWatchReadsSecretFilesOfAccounts(t *testing.T) {
	watchAccount(t, func(t *testing.T, live *Live, dir string) {
		secret := write(t, t.TempDir(), "secret", "two")
		replace(t, filepath.Join(dir, "accounts.yaml"), strings.ReplaceAll(oneAccount(ac("a")), "token}", secret+"}"))
		expectToken(t, live, "two")
		replace(t, secret, "three")
		expectToken(t, live, "three")
		expect(t, live, 2, 0)
	})
}

func TestWatchReadsSecretFilesOfTheEnvironment(t *testing.T) {
	secret := write(t, t.TempDir(), "secret", "one\n")
	t.Setenv("TWILIO_ACCOUNT_SID", ac("a"))
	t.Setenv("TWILIO_AUTH_TOKEN_FILE", secret)
	watch(t, Files{}, Base{Environment: true, BaseURL: twilio.DefaultBaseURL}, func(t *testing.T, live *Live) {
		replace(t, secret, "two\n")
		expectToken(t, live, "two")
		replace(t, secret, "")
		expectToken(t, live, "two")
		if s := live.Status(); !strings.Contains(s.LastError, "TWILIO_AUTH_TOKEN_FILE: "+secret+": is empty") {
			t.Errorf("the error is %s", s.LastError)
		}
	})
}

// TestWatchDetectsEveryKindOfChange makes a change that sets the token to two, and
// then writes the token in place.
func TestWatchDetectsEveryKindOfChange(t *testing.T) {
	try := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fresh := func(t *testing.T, dir, token string) {
		t.Helper()
		try(t, os.MkdirAll(dir, 0o700))
		write(t, dir, "token", token)
		write(t, dir, "accounts.yaml", oneAccount(ac("a")))
	}
	for _, test := range []struct {
		name   string
		change func(t *testing.T, top, dir string)
	}{
		{"written in place", func(t *testing.T, _, dir string) { write(t, dir, "token", "two") }},
		{"renamed over", func(t *testing.T, _, dir string) { replace(t, filepath.Join(dir, "token"), "two") }},
		{"the directory deleted and created again", func(t *testing.T, _, dir string) {
			try(t, os.RemoveAll(dir))
			fresh(t, dir, "two")
		}},
		{"the directory deleted, missed and created again", func(t *testing.T, top, dir string) {
			try(t, os.RemoveAll(filepath.Join(top, "a")))
			settle()
			fresh(t, dir, "two")
		}},
		{"the directory replaced by another", func(t *testing.T, top, dir string) {
			fresh(t, filepath.Join(top, "next"), "two")
			try(t, os.Rename(dir, filepath.Join(top, "away")))
			try(t, os.Rename(filepath.Join(top, "next"), dir))
		}},
		{"the directory replaced by a symbolic link", func(t *testing.T, top, dir string) {
			fresh(t, filepath.Join(top, "next"), "two")
			try(t, os.RemoveAll(dir))
			try(t, os.Symlink("../next", dir))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "a", "b")
			fresh(t, dir, "one")
			watch(t, Files{Accounts: filepath.Join(dir, "accounts.yaml")}, Base{}, func(t *testing.T, live *Live) {
				test.change(t, top, dir)
				expectToken(t, live, "two")
				write(t, dir, "token", "three")
				expectToken(t, live, "three")
			})
		})
	}
}

func TestWatchDetectsKubernetesUpdates(t *testing.T) {
	dir := t.TempDir()
	version := func(name, token string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), "accounts.yaml", oneAccount(ac("a")))
		write(t, filepath.Join(dir, name), "token", token)
		link(t, dir, name)
	}
	version("..2026_1", "one")
	for _, name := range []string{"accounts.yaml", "token"} {
		if err := os.Symlink("..data/"+name, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	watch(t, Files{Accounts: filepath.Join(dir, "accounts.yaml")}, Base{}, func(t *testing.T, live *Live) {
		for i, token := range []string{"two", "three", "four"} {
			version(fmt.Sprintf("..2026_%d", i+2), token)
			if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_%d", i+1))); err != nil {
				t.Fatal(err)
			}
			expectToken(t, live, token)
			expect(t, live, int64(i+1), 0)
		}
	})
}
