package callers

import (
	"testing"
)

func TestPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"ui", "ui", true},
		{"ui", "ui-1", false},
		{"ui", "a-ui", false},
		{"ui", "UI", false},
		{"ui", "", false},
		{"*", "", true},
		{"*", "anything/at all", true},
		{"**", "", true},
		{"ui-*", "ui-", true},
		{"ui-*", "ui-1", true},
		{"ui-*", "a-ui-1", false},
		{"*-ui", "a-ui", true},
		{"*-ui", "a-ui-", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*c", "abc", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "acb", false},
		{"ab*bc", "abc", false},
		{"*ab*ab*", "abab", true},
		{"*ab*ab*", "aba", false},
		{"spiffe://example.org/ns/*/sa/ui", "spiffe://example.org/ns/prod/sa/ui", true},
		{"spiffe://example.org/ns/*/sa/ui", "spiffe://example.org/ns/a/b/sa/ui", true},
		{"spiffe://example.org/ns/*/sa/ui", "spiffe://example.org/ns//sa/ui", true},
		{"spiffe://example.org/ns/*/sa/ui", "spiffe://example.org/ns/sa/ui", false},
		{"spiffe://example.org/ns/*/sa/ui", "spiffe://example.org/ns/prod/sa/ui2", false},
		{"spiffe://example.org/*", "spiffe://example.org.evil/x", false},
		{"a.c", "abc", false},
		{"a?c", "abc", false},
		{"[ab]", "a", false},
		{"a\\*", "a\\b", true},
		{"a", "a*", false},
	} {
		if got := newPattern(test.pattern).match(test.text); got != test.want {
			t.Errorf("pattern %q, text %q: got %v", test.pattern, test.text, got)
		}
		if got := newPattern(test.pattern).String(); got != test.pattern {
			t.Errorf("pattern %q shows as %q", test.pattern, got)
		}
	}
}

// FuzzPattern compares with a table of what matches what, filled in step by
// step.
func FuzzPattern(f *testing.F) {
	f.Add("a*b*c", "abbc")
	f.Add("*", "")
	f.Add("ab*ba", "aba")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 200 || len(text) > 200 {
			return
		}
		if got, want := newPattern(pattern).match(text), matchByTable(pattern, text); got != want {
			t.Errorf("pattern %q, text %q: got %v, want %v", pattern, text, got, want)
		}
	})
}

// matchByTable says for each beginning of the pattern which beginnings of the
// text it matches.
func matchByTable(pattern, text string) bool {
	matches := make([]bool, len(text)+1)
	matches[0] = true
	for _, p := range []byte(pattern) {
		next := make([]bool, len(text)+1)
		for i := range next {
			switch {
			case p == '*':
				next[i] = matches[i] || i > 0 && next[i-1]
			case i > 0:
				next[i] = matches[i-1] && text[i-1] == p
			}
		}
		matches = next
	}
	return matches[len(text)]
}
