package callers

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tokensFile is a tokens file of entries name=token, or name=token=expiry.
func tokensFile(entries ...string) string {
	var text strings.Builder
	text.WriteString("tokens:\n")
	for _, entry := range entries {
		parts := strings.Split(entry, "=")
		fmt.Fprintf(&text, "  - name: %s\n    sha256: %x\n", parts[0], sha256.Sum256([]byte(parts[1])))
		if len(parts) > 2 {
			fmt.Fprintf(&text, "    expires: %s\n", parts[2])
		}
	}
	return text.String()
}

func TestTokens(t *testing.T) {
	clock := newClock()
	set := &Set{Now: clock.now, Tokens: mustParseTokens(t, tokensFile(
		"ui=old-secret=2027-03-01T12:00:00Z", "ui=new-secret", "cron=cron-secret=2027-03-01T13:00:01+01:00",
	))}
	for _, test := range []struct {
		name, token string
		want        Caller
		cause       string
	}{
		{"a token", "new-secret", Caller{Name: "ui", Kind: KindToken}, ""},
		{"a token that expires in a second", "cron-secret", Caller{Name: "cron", Kind: KindToken}, ""},
		{"a token that has just expired", "old-secret", Caller{}, `callers: the token of "ui" has expired`},
		{"another token", "no-secret", Caller{}, errNotOurs.Error()},
		{"the beginning of a token", "new-secre", Caller{}, errNotOurs.Error()},
		{"a token in another case", "NEW-SECRET", Caller{}, errNotOurs.Error()},
		{"the digest of a token", fmt.Sprintf("%x", sha256.Sum256([]byte("new-secret"))), Caller{}, errNotOurs.Error()},
		{"the name of a token", "ui", Caller{}, errNotOurs.Error()},
		{"what looks like a JWT, where none is accepted", "a.b.c", Caller{}, errNotOurs.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+test.token))
			if diff := cmp.Diff(test.cause, errorText(err)); diff != "" {
				t.Error("cause (-want +got):\n", diff)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error("caller (-want +got):\n", diff)
			}
		})
	}
	clock.advance(time.Second)
	if _, err := set.Authenticate(withAuthorization(t.Context(), "Bearer cron-secret")); err == nil {
		t.Error("a token is accepted when it has expired")
	}
}

func TestParseTokens(t *testing.T) {
	digest := strings.Repeat("0a", 32)
	for _, test := range []struct{ name, text, want string }{
		{"an empty list", "tokens: []", ""},
		{"digits alone, which look like a number", "tokens: [{name: ui, sha256: " + strings.Repeat("12", 32) + "}]", ""},
		{"capital digits", "tokens: [{name: ui, sha256: " + strings.ToUpper(digest) + "}]", ""},
		{"a quoted expiry", "tokens: [{name: ui, sha256: " + digest + `, expires: "2027-01-31T00:00:00Z"}]`, ""},
		{"two tokens of one name", tokensFile("ui=a", "ui=b"), ""},
		{"nothing", "", "line 1: the file is empty"},
		{"a comment alone", "# tokens\n", "line 1: the file is empty"},
		{"null", "~", "line 1: the file: must be a mapping (key: value)"},
		{"a list", "- name: ui", "line 1: the file: must be a mapping (key: value)"},
		{"no tokens", "{}", "line 1: tokens: is missing"},
		{"tokens without a value", "tokens:", "line 1: tokens: must be a list"},
		{"no YAML", "tokens: [", "line 1: did not find expected node content"},
		{"a tab", "tokens:\n\t- name: ui", "line 2: found character that cannot start any token"},
		{"two documents", "tokens: []\n---\ntokens: []", "line 2: the file holds a second document"},
		{"a second document that is broken", "tokens: []\n---\ntokens: [", "line 3: did not find expected node content"},
		{"a second key", "tokens: []\ntokens: []", `line 2: the file: has the key "tokens" twice`},
		{"an unknown key", "tokens: []\ntoken: []", `line 2: the file: has the unknown key "token"; its keys are tokens`},
		{"a token in the place of a key", "tokens:\n- " + digest + ": ui",
			"line 2: tokens[0]: has the unknown key (a long one); its keys are name, sha256, expires\n" +
				"line 2: tokens[0].name: is missing\nline 2: tokens[0].sha256: is missing"},
		{"an alias", "tokens:\n- &a {name: ui, sha256: " + digest + "}\n- *a", "line 3: tokens[1]: must be a mapping (key: value)"},
		{"a merge key", "tokens:\n- <<: {name: ui}\n  name: x\n  sha256: " + digest,
			"line 2: tokens[0]: has a merge key, which this file does not support"},
		{"an entry that is a text", "tokens:\n- ui", "line 2: tokens[0]: must be a mapping (key: value)"},
		{"a list as a name", "tokens:\n- name: [ui]\n  sha256: " + digest, "line 2: tokens[0].name: must be a text"},
		{"a name that is a pattern", "tokens:\n- name: ui-*\n  sha256: " + digest,
			"line 2: tokens[0].name: must be 1 to 128 letters, digits and ._-/@"},
		{"a long name", "tokens:\n- name: " + strings.Repeat("x", 129) + "\n  sha256: " + digest,
			"line 2: tokens[0].name: must be 1 to 128 letters, digits and ._-/@"},
		{"the digest of nothing", "tokens:\n- name: ui\n  sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			"line 3: tokens[0].sha256: is not the digest of a token"},
		{"a digest twice", "tokens:\n- name: ui\n  sha256: " + digest + "\n- name: cron\n  sha256: " + digest,
			"line 4: tokens[1].sha256: is the digest of line 2 too"},
		{"everything wrong", `tokens:
  - name: ""
    sha256: secret-token
    expires: tomorrow
  - sha256: ` + digest + `00
    expires: 2027-01-31
  - name: ui
    sha: x
`, `line 2: tokens[0].name: must be 1 to 128 letters, digits and ._-/@
line 3: tokens[0].sha256: must be 64 hexadecimal digits
line 4: tokens[0].expires: must be a time as of RFC 3339, such as 2027-01-31T00:00:00Z
line 5: tokens[1].name: is missing
line 5: tokens[1].sha256: must be 64 hexadecimal digits
line 6: tokens[1].expires: must be a time as of RFC 3339, such as 2027-01-31T00:00:00Z
line 7: tokens[2].sha256: is missing
line 8: tokens[2]: has the unknown key "sha"; its keys are name, sha256, expires`},
		{"a large file", strings.Repeat("#", maxFile+1), "the file is larger than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tokens, err := ParseTokens([]byte(test.text))
			if diff := cmp.Diff(test.want, errorText(err)); diff != "" {
				t.Error("error (-want +got):\n", diff)
			}
			if (tokens == nil) != (err != nil) {
				t.Errorf("got tokens %v with error %v", tokens, err)
			}
		})
	}
}

func FuzzParseTokens(f *testing.F) {
	f.Add(tokensFile("ui=a", "cron=b=2027-01-31T00:00:00Z"))
	f.Add("tokens: [&a {name: x}, *a, ? {}]\n--- !!binary x")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := ParseTokens([]byte(text))
		if err != nil {
			return
		}
		for _, entry := range tokens.entries {
			if !isTokenName(entry.name) || entry.digest == ([sha256.Size]byte{}) {
				t.Errorf("accepted %+v", entry)
			}
		}
	})
}
