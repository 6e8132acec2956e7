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
		{"a token that looks like a JWT, without a JWT issuer", "a.b.c", Caller{}, errNotOurs.Error()},
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
		{"no tokens", "{}", "line 1: tokens: is missing"},
		{"tokens without a value", "tokens:", "line 1: tokens: must be a list"},
		{"an expiry without a value", "tokens: [{name: ui, sha256: " + digest + ", expires: }]", "line 1: tokens[0].expires: has no value"},
		{"an unknown key", "tokens:\n- name: ui\n  sha: x\n  sha256: " + digest, "line 3: tokens[0].sha: unknown key: the keys here are name, sha256, expires"},
		{"a token as a key", "tokens:\n- " + digest + ": ui",
			"line 2: tokens[0].name: is missing\nline 2: tokens[0].sha256: is missing\n" +
				"line 2: tokens[0]: unknown key: the keys here are name, sha256, expires"},
		{"an entry that is text", "tokens:\n- ui", "line 2: tokens[0]: must be a mapping (key: value)"},
		{"a name that is a pattern", "tokens:\n- name: ui-*\n  sha256: " + digest,
			"line 2: tokens[0].name: must be 1 to 128 letters, digits and ._-/@"},
		{"a long name", "tokens:\n- name: " + strings.Repeat("x", 129) + "\n  sha256: " + digest,
			"line 2: tokens[0].name: must be 1 to 128 letters, digits and ._-/@"},
		{"the digest of nothing", "tokens:\n- name: ui\n  sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			"line 3: tokens[0].sha256: is not the digest of a token"},
		{"a digest twice", "tokens:\n- name: ui\n  sha256: " + digest + "\n- name: cron\n  sha256: " + digest,
			"line 5: tokens[1].sha256: is also the digest in line 3"},
		{"everything wrong", `tokens:
  - name: ""
    sha256: secret-token
    expires: tomorrow
  - sha256: ` + digest + `00
    expires: 2027-01-31
`, `line 2: tokens[0].name: must be 1 to 128 letters, digits and ._-/@
line 3: tokens[0].sha256: must be 64 hexadecimal digits
line 4: tokens[0].expires: must be a time as of RFC 3339, such as 2027-01-31T00:00:00Z
line 5: tokens[1].name: is missing
line 5: tokens[1].sha256: must be 64 hexadecimal digits
line 6: tokens[1].expires: must be a time as of RFC 3339, such as 2027-01-31T00:00:00Z`},
	} {
		t.Run(test.name, func(t *testing.T) {
			tokens, err := ParseTokens("", []byte(test.text))
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
		tokens, err := ParseTokens("", []byte(text))
		if err != nil {
			return
		}
		for sum, entry := range tokens.entries {
			if _, err := parseTokenName(entry.name); err != nil || sum == (digest{}) {
				t.Errorf("accepted %+v", entry)
			}
		}
	})
}
