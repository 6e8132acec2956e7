package settings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/goleak"

	"conferenced/service/twilio"
)

// watched is a Live that is watched until its test ends.
type watched struct {
	*Live
	checks chan bool // What each look at the files found.
}

// watch begins to watch. Nothing but what stirs makes it look: a change that is
// not told of is never seen.
func watch(t *testing.T, files Files) *watched { return watchOver(t, files, Base{}) }

func watchOver(t *testing.T, files Files, base Base) *watched {
	t.Helper()
	before := goleak.IgnoreCurrent()
	live, err := NewLive(files, base, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watched{Live: live, checks: make(chan bool)}
	live.poll = 24 * time.Hour
	live.checked = func(changed bool) {
		select {
		case w.checks <- changed:
		case <-ctx.Done():
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- live.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, before)
	})
	if <-w.checks {
		t.Error("a change was seen before there was any")
	}
	return w
}

// until waits for the look at the files that makes it true.
func (w *watched) until(yes func() bool) {
	for <-w.checks; !yes(); <-w.checks {
	}
}

func (w *watched) untilServes(sid, password string) {
	w.until(func() bool { return serves(w.Current(), sid, password) })
}

func (w *watched) expect(t *testing.T, reloads, failures int64) {
	t.Helper()
	if s := w.Status(); s.Reloads != reloads || s.Failures != failures {
		t.Errorf("%d reloads and %d failures, want %d and %d", s.Reloads, s.Failures, reloads, failures)
	}
}

// watchAccount watches accounts.yaml and token in a new directory.
func watchAccount(t *testing.T) (w *watched, dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, "token", "one")
	return watch(t, Files{Accounts: write(t, dir, "accounts.yaml", oneAccount(ac("a")))}), dir
}

func TestWatchSeesEachFile(t *testing.T) {
	dir := t.TempDir()
	ca := newCA(t, "ca")
	server := ca.server(t, "server")
	write(t, dir, "token", "one")
	files := Files{
		Accounts: write(t, dir, "accounts.yaml", oneAccount(ac("a"))),
		Tokens:   write(t, dir, "tokens.yaml", tokens("1")),
		Policy:   write(t, dir, "policy.yaml", policy("muted")),
		ClientCA: write(t, dir, "ca.pem", ca.certPEM()),
		TLSCert:  write(t, dir, "tls.crt", server.certPEM()),
		TLSKey:   write(t, dir, "tls.key", server.keyPEM(t)),
	}
	w := watch(t, files)
	for i, change := range []struct{ path, text string }{
		{files.Accounts, oneAccount(ac("b"))},
		{filepath.Join(dir, "token"), "two"},
		{files.Tokens, tokens("2")},
		{files.Policy, policy("hold")},
		{files.ClientCA, newCA(t, "other").certPEM()},
		{files.TLSCert, server.certPEM() + ca.certPEM()},
		{files.TLSKey, "\n" + server.keyPEM(t)},
	} {
		before := w.Current()
		replace(t, change.path, change.text)
		w.until(func() bool { return w.Current() != before })
		w.expect(t, int64(i+1), 0)
	}
}

func tokens(digit string) string {
	return "tokens:\n  - name: ui\n    sha256: '" + strings.Repeat(digit, 64) + "'\n"
}

func policy(property string) string {
	return "rules:\n  - callers: [{token: ui}]\n    accounts: ['*']\n    properties: [" + property + "]\n"
}

func TestWatchSeesWhatIsWrittenInPlace(t *testing.T) {
	w, dir := watchAccount(t)
	write(t, dir, "token", "two")
	w.untilServes(ac("a"), "two")
}

func TestWatchDoesNotReloadTheSame(t *testing.T) {
	w, dir := watchAccount(t)
	replace(t, filepath.Join(dir, "token"), "one")
	if <-w.checks {
		t.Error("the same content counts as a change")
	}
	write(t, dir, "unrelated", "two")
	if <-w.checks {
		t.Error("another file counts as a change")
	}
	w.expect(t, 0, 0)
}

func TestWatchSeesKubernetesSwaps(t *testing.T) {
	dir := t.TempDir()
	version := func(name, sid, token string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), "accounts.yaml", oneAccount(sid))
		write(t, filepath.Join(dir, name), "token", token)
		link(t, dir, name)
	}
	version("..2026_1", ac("a"), "one")
	for _, name := range []string{"accounts.yaml", "token"} {
		if err := os.Symlink("..data/"+name, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w := watch(t, Files{Accounts: filepath.Join(dir, "accounts.yaml")})
	for i, token := range []string{"two", "three", "four"} {
		version(fmt.Sprintf("..2026_%d", i+2), ac("b"), token)
		if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_%d", i+1))); err != nil {
			t.Fatal(err)
		}
		w.untilServes(ac("b"), token)
		w.expect(t, int64(i+1), 0)
	}
}

func TestWatchFollowsWhatTheAccountsName(t *testing.T) {
	w, dir := watchAccount(t)
	elsewhere := t.TempDir()
	secret := write(t, elsewhere, "secret", "two")
	replace(t, filepath.Join(dir, "accounts.yaml"), strings.ReplaceAll(oneAccount(ac("a")), "token}", secret+"}"))
	w.untilServes(ac("a"), "two")
	// Watch looks once more when it watches what is new.
	if <-w.checks {
		t.Error("a change was seen that nobody made")
	}
	replace(t, secret, "three")
	w.untilServes(ac("a"), "three")
	w.expect(t, 2, 0)
}

func TestWatchFollowsWhatTheEnvironmentNames(t *testing.T) {
	secret := write(t, t.TempDir(), "secret", "one\n")
	w := watchOver(t, Files{}, Base{
		Environment: func(readSecret func(string) (string, error)) (*twilio.Accounts, error) {
			password, err := readSecret(secret)
			if err != nil {
				return nil, err
			}
			return twilio.NewAccounts(ac("a"), twilio.Account{
				SID: ac("a"), Username: ac("a"), Password: twilio.NewSecret(password), BaseURL: twilio.DefaultBaseURL,
			})
		},
	})
	replace(t, secret, "two\n")
	w.untilServes(ac("a"), "two")
	replace(t, secret, "")
	w.until(func() bool { return w.Status().LastError == secret+": is empty" })
	if !serves(w.Current(), ac("a"), "two") {
		t.Error("the old secret is not in force any more")
	}
}

func TestWatchKeepsTheOldWhenTheNewIsBroken(t *testing.T) {
	w, dir := watchAccount(t)
	before := w.Current()
	replace(t, filepath.Join(dir, "accounts.yaml"), "accounts: [")
	w.until(func() bool { return w.Status().LastError != "" })
	if w.Current() != before {
		t.Error("a broken file is in force")
	}
	w.expect(t, 0, 1)
	replace(t, filepath.Join(dir, "accounts.yaml"), oneAccount(ac("b")))
	w.untilServes(ac("b"), "one")
	if s := w.Status(); s.LastError != "" {
		t.Errorf("after the repair: %+v", s)
	}
	w.expect(t, 1, 1)
}

func TestWatchSeesAMissingSecretAppear(t *testing.T) {
	w, dir := watchAccount(t)
	later := filepath.Join(dir, "not", "yet")
	replace(t, filepath.Join(dir, "accounts.yaml"), strings.ReplaceAll(oneAccount(ac("a")), "token}", later+"/here}"))
	w.until(func() bool { return w.Status().LastError != "" })
	if err := os.MkdirAll(later, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, later, "here", "two")
	w.untilServes(ac("a"), "two")
}

func TestWatchOutlivesItsDirectory(t *testing.T) {
	fresh := func(t *testing.T, dir, token string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, dir, "token", token)
		write(t, dir, "accounts.yaml", oneAccount(ac("a")))
	}
	remove := func(t *testing.T, dir string) {
		t.Helper()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	missed := func(w *watched) { w.until(func() bool { return w.Status().LastError != "" }) }
	for _, test := range []struct {
		name   string
		change func(t *testing.T, w *watched, top, dir string)
	}{
		{"deleted, missed and created again", func(t *testing.T, w *watched, _, dir string) {
			remove(t, dir)
			missed(w)
			fresh(t, dir, "two")
		}},
		{"deleted with its parents, missed and created again", func(t *testing.T, w *watched, top, dir string) {
			remove(t, filepath.Join(top, "a"))
			missed(w)
			fresh(t, dir, "two")
		}},
		{"deleted and created again at once", func(t *testing.T, _ *watched, _, dir string) {
			remove(t, dir)
			fresh(t, dir, "two")
		}},
		{"moved away, missed and moved back with another content", func(t *testing.T, w *watched, top, dir string) {
			away := filepath.Join(top, "away")
			rename(t, dir, away)
			missed(w)
			write(t, away, "token", "two")
			rename(t, away, dir)
		}},
		{"exchanged for another", func(t *testing.T, _ *watched, top, dir string) {
			fresh(t, filepath.Join(top, "next"), "two")
			rename(t, dir, filepath.Join(top, "away"))
			rename(t, filepath.Join(top, "next"), dir)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "a", "b")
			fresh(t, dir, "one")
			w := watch(t, Files{Accounts: filepath.Join(dir, "accounts.yaml")})
			test.change(t, w, top, dir)
			w.untilServes(ac("a"), "two")
			// The new directory is watched as the old one was.
			replace(t, filepath.Join(dir, "token"), "three")
			w.untilServes(ac("a"), "three")
		})
	}
}

func TestWatchPollsWhenNothingCanBeTold(t *testing.T) {
	live, dir := liveAccount(t, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	live.checked = func(changed bool) {
		switch looks++; {
		case looks == 1:
			write(t, dir, "token", "two")
		case changed:
			cancel()
		}
	}
	live.watch(ctx, &watcher{logger: live.logger, poll: time.Millisecond})
	if !serves(live.Current(), ac("a"), "two") {
		t.Error("the change was not seen")
	}
}

func TestWhatCannotBeWatchedIsLoggedOnce(t *testing.T) {
	var out log
	dir := t.TempDir()
	w := newWatcher(out.logger(), pollEvery)
	w.close() // From here on, each attempt fails.
	w.aim([]string{filepath.Join(dir, "a"), filepath.Join(dir, "b")})
	w.aim([]string{filepath.Join(dir, "a")})
	if got := strings.Count(out.String(), "changes of files may be seen late"); got != 1 {
		t.Errorf("logged %d times:\n%s", got, out.String())
	}
}

// A burst ends when nothing stirred for a while, but is not waited for for ever.
func TestSettle(t *testing.T) {
	for _, test := range []struct {
		name   string
		events int
		want   time.Duration
	}{
		{"nothing more", 0, quiet},
		{"a burst", 5, 5*quiet/2 + quiet},
		{"no end", 1000, patience},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := make(chan fsnotify.Event)
				w := &watcher{logger: slog.New(slog.DiscardHandler), events: events}
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					for range test.events {
						time.Sleep(quiet / 2) // The bubble's clock.
						select {
						case events <- fsnotify.Event{}:
						case <-ctx.Done():
							return
						}
					}
				}()
				begin := time.Now()
				w.settle(ctx)
				if took := time.Since(begin); took != test.want {
					t.Errorf("settled after %v, want %v", took, test.want)
				}
				cancel()
			})
		})
	}
}

func TestWait(t *testing.T) {
	for _, test := range []struct {
		name  string
		event func(w *watcher, cancel func())
		want  time.Duration
		log   string
	}{
		{"nothing stirs", func(*watcher, func()) {}, pollEvery, ""},
		{"something stirs", func(w *watcher, _ func()) {
			events := make(chan fsnotify.Event, 1)
			events <- fsnotify.Event{}
			w.events = events
		}, 0, ""},
		{"events were lost", func(w *watcher, _ func()) {
			errs := make(chan error, 1)
			errs <- errors.New("overflow")
			w.errors = errs
		}, 0, "overflow"},
		{"the end", func(_ *watcher, cancel func()) { cancel() }, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out log
				w := &watcher{logger: out.logger(), poll: pollEvery}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				test.event(w, cancel)
				begin := time.Now()
				w.wait(ctx)
				if took := time.Since(begin); took != test.want {
					t.Errorf("waited %v, want %v", took, test.want)
				}
				if !strings.Contains(out.String(), test.log) {
					t.Errorf("not logged:\n%s", out.String())
				}
			})
		})
	}
}
