package settings

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"conferenced/service/certtest"
	"conferenced/service/twilio"
)

// liveAccount is a Live of one account.
func liveAccount(t *testing.T, logger *slog.Logger) (live *Live, dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, "token", "hunter1hunter1\n")
	live, err := NewLive(Files{Accounts: write(t, dir, "accounts.yaml", oneAccount(ac("a")))}, Base{}, logger)
	if err != nil {
		t.Fatal(err)
	}
	return live, dir
}

func TestNewLiveRefusesInvalidFiles(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "accounts.yaml", oneAccount(ac("a")))
	live, err := NewLive(Files{Accounts: file}, Base{}, slog.New(slog.DiscardHandler))
	want := file + ": line 3: accounts[0].auth_token.file: secret file token: no such file or directory"
	if live != nil || err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
}

func TestReload(t *testing.T) {
	var out log
	live, dir := liveAccount(t, out.logger())
	began := live.Current()
	if !serves(began, ac("a"), "hunter1hunter1") {
		t.Fatal("the first set is not what the files contain")
	}
	if s := live.Status(); s.Reloads != 0 || s.Failures != 0 || s.LastError != "" || s.LoadedAt.IsZero() || !s.LastErrorAt.IsZero() {
		t.Errorf("after the start: %+v", s)
	}

	write(t, dir, "token", "hunter2hunter2\n")
	if err := live.Reload(); err != nil {
		t.Fatal(err)
	}
	if !serves(live.Current(), ac("a"), "hunter2hunter2") {
		t.Error("the new secret is not in force")
	}
	if !serves(began, ac("a"), "hunter1hunter1") {
		t.Error("the old set has changed")
	}
	if s := live.Status(); s.Reloads != 1 || s.Failures != 0 || s.LastError != "" {
		t.Errorf("after a reload: %+v", s)
	}
	if text := out.String(); !strings.Contains(text, `msg="settings reloaded" changed=[`+filepath.Join(dir, "token")+"]\n") {
		t.Errorf("not logged:\n%s", text)
	}
}

func TestReloadIsAtomic(t *testing.T) {
	var out log
	live, dir := liveAccount(t, out.logger())
	before := live.Current()

	// The new secret is valid, and the accounts are not.
	write(t, dir, "token", "hunter2hunter2\n")
	write(t, dir, "accounts.yaml", oneAccount(ac("a"))+"  - auth_token: hunter3hunter3\n")
	err := live.Reload()
	if err == nil {
		t.Fatal("an invalid file was loaded")
	}
	if live.Current() != before {
		t.Error("another set is in force")
	}
	s := live.Status()
	if s.Reloads != 0 || s.Failures != 1 || s.LastError != err.Error() || s.LastErrorAt.Before(s.LoadedAt) {
		t.Errorf("after a failure: %+v", s)
	}
	if text := out.String(); !strings.Contains(text, "not reloaded") || !strings.Contains(text, "accounts.yaml: line 4") {
		t.Errorf("not logged:\n%s", text)
	}

	write(t, dir, "accounts.yaml", oneAccount(ac("a")))
	if err := live.Reload(); err != nil {
		t.Fatal(err)
	}
	if !serves(live.Current(), ac("a"), "hunter2hunter2") {
		t.Error("the new secret is not in force")
	}
	if s := live.Status(); s.Reloads != 1 || s.Failures != 1 || s.LastError != "" || !s.LastErrorAt.Equal(time.Time{}) {
		t.Errorf("after the repair: %+v", s)
	}
	if text := out.String(); !strings.Contains(text, "changed=["+filepath.Join(dir, "token")+"]\n") {
		t.Errorf("it is not logged what has changed since the Set in force was read:\n%s", text)
	}
	for _, secret := range []string{"hunter1", "hunter2", "hunter3"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s was logged:\n%s", secret, out.String())
		}
	}
}

func TestWarningsAreLogged(t *testing.T) {
	var out log
	dir := t.TempDir()
	expired := issuedLongAgo(t)
	if _, err := NewLive(Files{
		TLSCert: write(t, dir, "crt", certtest.PEM(expired)), TLSKey: write(t, dir, "key", certtest.KeyPEM(t, expired)),
	}, Base{}, out.logger()); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "crt: certificate 1 expired at") {
		t.Errorf("not logged:\n%s", text)
	}
}

func TestLiveIsSafeForConcurrentUse(t *testing.T) {
	live, dir := liveAccount(t, slog.New(slog.DiscardHandler))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				if err := live.Reload(); err != nil {
					t.Error(err)
				}
			}
		})
		group.Go(func() {
			for range 500 {
				if account, ok := live.Current().Accounts.Lookup(ac("a")); !ok || account.Password.Equal(twilio.Secret{}) {
					t.Error("there is no account")
				}
				_ = live.Status()
			}
		})
	}
	group.Wait()
	if s := live.Status(); s.Reloads != 200 {
		t.Errorf("%+v", s)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}
