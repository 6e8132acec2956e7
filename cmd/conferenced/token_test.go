package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"conferenced/service/callers"
)

var newToken = regexp.MustCompile(`^[0-9a-f]{64}\n`)

func TestTokenPrintsTheTokenAndItsEntry(t *testing.T) {
	got := runCommand(t.Context(), "token", "ui-web", "--expires=2090-01-31")
	got.check(t, 0)
	token := strings.TrimSpace(newToken.FindString(got.stdout))
	_, entry, _ := strings.Cut(got.stdout, ":\n\n")
	want := fmt.Sprintf("- name: \"ui-web\"\n  sha256: \"%x\"\n  expires: 2090-01-31T00:00:00Z\n", sha256.Sum256([]byte(token)))
	if token == "" || entry != want {
		t.Errorf("stdout: %s, want the entry %s", got.stdout, want)
	}
	if again := runCommand(t.Context(), "token", "ui-web"); strings.HasPrefix(again.stdout, token) {
		t.Error("the second token is the first one")
	}
}

func TestTokenAppendsTheEntry(t *testing.T) {
	const digest = "3e8f3a0f6f1c5ba0c1b0b6f5a6f5a70e4f6c7d9e2b1a08f7e6d5c4b3a2918070"
	tests := []struct {
		name, before, kept string
		tokens             int
	}{
		{"an empty file", "", "tokens:\n  - name", 1},
		{"comments alone, and no newline at the end", "# ours\n\n  # - name: ui", "# ours\n\n  # - name: ui\ntokens:\n  - name", 1},
		{"an empty list", "# ours\ntokens: [] # none yet\n", "# ours\ntokens: # none yet\n  - name", 1},
		{"a list with comments", "# ours\ntokens:\n  - name: ui # old\n    sha256: " + digest + "\n# end\n",
			"# ours\ntokens:\n  - name: ui # old\n    sha256: " + digest + "\n# end\n  - name", 2},
		{"a list without indentation, and no newline at the end", "tokens:\n- name: ui\n  sha256: " + digest, "tokens:\n- name: ui\n  sha256: " + digest + "\n- name", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			file, link := filepath.Join(dir, "tokens.yaml"), filepath.Join(dir, "link")
			if err := os.WriteFile(file, []byte(test.before), 0o640); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(file, link); err != nil {
				t.Fatal(err)
			}
			got := runCommand(t.Context(), "token", "svc/new", "--append="+link, "--expires=90d")
			got.check(t, 0)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tokens, err := callers.ParseTokens(file, text)
			if err != nil || !strings.HasPrefix(string(text), test.kept) || tokens.Len() != test.tokens {
				t.Fatalf("%v:\n%s", err, text)
			}
			if !tokens.Has("svc/new", time.Now()) || tokens.Has("svc/new", time.Now().AddDate(0, 0, 91)) {
				t.Error("the token does not expire in 90 days")
			}
			if token := newToken.FindString(got.stdout); token != got.stdout || strings.Contains(string(text), strings.TrimSpace(token)) {
				t.Errorf("stdout: %s", got.stdout)
			}
			info, err := os.Lstat(file)
			if err != nil || info.Mode() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}

func TestTokenCreatesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens.yaml")
	runCommand(t.Context(), "token", "ui", "--append="+file).check(t, 0)
	info, err := os.Stat(file)
	if err != nil || info.Mode() != newFileMode {
		t.Errorf("%v, %v", info, err)
	}
}

func TestTokenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := writerIn(t, dir)
	flow := write("flow", "tokens: [{name: ui, sha256: "+strings.Repeat("ab", 32)+"}]\n")
	broken := write("broken", "tokens: 1\n")
	locked := write("locked", "")
	write("locked.new", "")
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"a name with a colon", []string{"a:b"}, "NAME: must be 1 to 128 letters, digits and ._-/@"},
		{"no name", nil, `expected "<name>"`},
		{"a year that the file cannot have", []string{"ui", "--expires=9999999d"}, "--expires: must be before the year 10000"},
		{"a time of the past", []string{"ui", "--expires=2020-01-01"}, "--expires: must be in the future"},
		{"no time", []string{"ui", "--expires=soon"}, "--expires: must be a time such as"},
		{"a list on one line", []string{"ui", "--append=" + flow}, "--append: " + flow + ": is not a list with one entry a line: add the entry by hand"},
		{"an invalid file", []string{"ui", "--append=" + broken}, "--append: " + broken + ": line 1: tokens: must be a list"},
		{"a file that is being changed", []string{"ui", "--append=" + locked}, "--append: " + locked + ".new exists: another process"},
		{"a folder", []string{"ui", "--append=" + dir}, "--append: " + dir + ": is not a regular file"},
		{"a folder that is missing", []string{"ui", "--append=" + dir + "/a/b"}, "--append: open " + dir + "/a/b.new: no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, _ := os.ReadFile(flow)
			got := runCommand(t.Context(), append([]string{"token"}, test.args...)...)
			got.check(t, exitUsage, "conferenced: "+test.want)
			if after, _ := os.ReadFile(flow); string(after) != string(before) || got.stdout != "" {
				t.Errorf("the file has changed: %s, or a token was printed: %s", after, got.stdout)
			}
		})
	}
}
