package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// completions are command lines and the words that complete them.
var completions = []struct {
	line string
	want []string
}{
	{"conferenced se", []string{"serve"}},
	{"conferenced completion ", []string{"bash", "fish", "zsh"}},
	{"conferenced serve --log-f", []string{"--log-format"}},
	{"conferenced serve --log-format ", []string{"json", "text"}},
	{"conferenced serve --log-format json --redis-fail", []string{"--redis-failure"}},
	{"conferenced sandbox --no-d", []string{"--no-docs"}},
	{"conferenced help healt", []string{"healthcheck"}},
	{"conferenced serve --tokens x", nil},
	{"conferenced serve x", nil},
}

func TestCompletion(t *testing.T) {
	for _, test := range completions {
		t.Run(test.line, func(t *testing.T) {
			got := runCommand(t.Context(), append([]string{"__complete"}, strings.Split(test.line, " ")[1:]...)...)
			got.check(t, 0)
			var words []string
			for line := range strings.Lines(got.stdout) {
				word, _, _ := strings.Cut(line, "\t")
				words = append(words, word)
			}
			slices.Sort(words)
			if diff := cmp.Diff(test.want, words); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestCompletionScripts runs the scripts in their shells. Zsh completes in a terminal
// only, so its script is only read.
func TestCompletionScripts(t *testing.T) {
	bin := t.TempDir()
	program := "#!/bin/sh\nexec env " + asProgram + "=1 " + os.Args[0] + ` "$@"` + "\n"
	if err := os.WriteFile(filepath.Join(bin, "conferenced"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for shell, script := range map[string]string{
		"bash": `source <(conferenced completion bash); COMP_LINE=$1 COMP_POINT=${#1}; _conferenced; printf '%s\n' "${COMPREPLY[@]}"`,
		"fish": `conferenced completion fish | source; complete -C $argv[1] | string replace -r '\t.*' ''`,
	} {
		for _, test := range append(completions[:5:5], struct {
			line string
			want []string
		}{"conferenced serve --log-format=j", []string{map[string]string{"bash": "json", "fish": "--log-format=json"}[shell]}}) {
			t.Run(shell+" "+test.line, func(t *testing.T) {
				runShell(t, shell, script, test.line, test.want)
			})
		}
	}
	if path, err := exec.LookPath("zsh"); err == nil {
		check := exec.CommandContext(t.Context(), path, "-n", "-c", completionScripts["zsh"])
		if text, err := check.CombinedOutput(); err != nil {
			t.Errorf("zsh: %v: %s", err, text)
		}
	}
}

func runShell(t *testing.T, shell, script, line string, want []string) {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skip(err)
	}
	args := []string{"-c", script, "-", line}
	if shell == "fish" {
		args = []string{"--no-config", "-c", script, line}
	}
	text, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	got := strings.Fields(string(text))
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
