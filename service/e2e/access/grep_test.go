package access_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// secret is a text that must not be in the outputs.
type secret struct {
	name, value string
	// shown names the outputs that may contain it.
	shown []string
}

// forms returns the encodings in which a text may be contained in another.
func forms(value string) map[string]string {
	quoted := strconv.Quote(value)
	found := map[string]string{
		"as it is":     value,
		"quoted":       quoted[1 : len(quoted)-1],
		"JSON":         inJSON(value),
		"JSON in JSON": inJSON(inJSON(value)),
		"query":        url.QueryEscape(value),
		"path":         url.PathEscape(value),
		"hexadecimal":  hex.EncodeToString([]byte(value)),
	}
	for before := range 3 {
		found[fmt.Sprintf("base64, %d behind", before)] = inBase64(base64.RawStdEncoding, value, before)
		found[fmt.Sprintf("base64 for URLs, %d behind", before)] = inBase64(base64.RawURLEncoding, value, before)
	}
	return found
}

func inJSON(value string) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // A string can always be encoded.
	}
	return string(text[1 : len(text)-1])
}

// inBase64 returns the base64 characters that depend on the value alone, if the
// number of bytes before it is before modulo 3.
func inBase64(encoding *base64.Encoding, value string, before int) string {
	const bits = 6
	first := (before*8 + bits - 1) / bits
	last := (before + len(value)) * 8 / bits
	padded := strings.Repeat("\x00", before) + value + "\x00\x00"
	return encoding.EncodeToString([]byte(padded))[first:last]
}

// find returns the names of the secrets in the text, with their encodings.
func find(text string, secrets []secret) []string {
	var found []string
	for _, s := range secrets {
		for form, written := range forms(s.value) {
			if at := strings.Index(text, written); at >= 0 {
				around := text[max(0, at-60):min(len(text), at+len(written)+20)]
				found = append(found, fmt.Sprintf("%s, %s: …%s…", s.name, form, around))
			}
		}
	}
	slices.Sort(found)
	return found
}

// outputs is all texts that were written, by output.
type outputs map[string]*strings.Builder

func (h outputs) add(where, format string, args ...any) {
	if h[where] == nil {
		h[where] = new(strings.Builder)
	}
	fmt.Fprintf(h[where], format+"\n", args...)
}

// check searches every output for the secrets, and for the control text that it must
// contain.
func (h outputs) check(t *testing.T, secrets []secret, controls map[string]string) {
	t.Helper()
	for where, text := range h {
		hidden := slices.DeleteFunc(slices.Clone(secrets), func(s secret) bool { return slices.Contains(s.shown, where) })
		for _, found := range find(text.String(), hidden) {
			t.Errorf("%s: %s", where, found)
		}
		control := secret{name: "the control", value: controls[where]}
		if control.value == "" || len(find(text.String(), []secret{control})) == 0 {
			t.Errorf("%s: the control %q is not found in %d bytes", where, control.value, text.Len())
		}
	}
	if len(h) != len(controls) {
		t.Errorf("searched %v", slices.Collect(maps.Keys(h)))
	}
}

// TestFindFindsEveryForm checks that find detects each form of a secret within
// another text.
func TestFindFindsEveryForm(t *testing.T) {
	const value = `c0ntr/ol+"s&cret%=<0123456789>`
	s := []secret{{name: "s", value: value}}
	for form, text := range map[string]string{
		"plain":            "x" + value + "y",
		"quoted":           strconv.Quote("x" + value),
		"JSON":             inJSON("x" + value),
		"JSON in JSON":     inJSON(inJSON("x" + value)),
		"query":            "?a=" + url.QueryEscape(value) + "&b=1",
		"path":             "/" + url.PathEscape(value) + "/",
		"hexadecimal":      hex.EncodeToString([]byte("x" + value + "y")),
		"its own base64":   base64.StdEncoding.EncodeToString([]byte(value)),
		"its own for URLs": base64.URLEncoding.EncodeToString([]byte(value)),
	} {
		if len(find(text, s)) == 0 {
			t.Errorf("%s is not found in %s", form, text)
		}
	}
	for before := range 10 {
		for after := range 4 {
			text := "Basic " + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("u", before)+value+strings.Repeat("z", after)))
			if len(find(text, s)) == 0 {
				t.Errorf("%d before and %d after: not found in %s", before, after, text)
			}
		}
	}
	if found := find("x"+value[1:]+" "+strings.ToUpper(value), s); len(found) > 0 {
		t.Errorf("found: %v", found)
	}
}
