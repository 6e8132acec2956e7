package settings

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"conferenced/service/logtest"
	"conferenced/service/twilio"
)

// Account and key SIDs by a digit.
func ac(digit string) string { return "AC" + strings.Repeat(digit, 32) }
func sk(digit string) string { return "SK" + strings.Repeat(digit, 32) }

// write puts a file into a directory and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// replace renames a new file over an old one.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, filepath.Dir(path), ".new", text)
	if err := os.Rename(filepath.Join(filepath.Dir(path), ".new"), path); err != nil {
		t.Fatal(err)
	}
}

// lines are the problems of an error.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// log is what a logger has written.
type log struct{ logtest.Buffer }

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// oneAccount is an accounts file whose token is in the file token beside it.
func oneAccount(sid string) string {
	return "accounts:\n  - sid: " + sid + "\n    auth_token: {file: token}\n"
}

// serves reports whether the account has that password.
func serves(s *Set, sid, password string) bool {
	account, ok := s.Accounts.Lookup(sid)
	return ok && account.Password.Equal(twilio.NewSecret(password))
}
