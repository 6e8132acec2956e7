package callers

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// NewToken returns a random token with 256 bits, and its entry in a tokens file. A zero
// time means that the token does not expire. It returns an error if the name is not
// valid.
func NewToken(name string, expires time.Time) (secret, entry string, err error) {
	if _, err := parseTokenName(name); err != nil {
		return "", "", err
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // It never fails.
	secret = hex.EncodeToString(random[:])
	entry = fmt.Sprintf("- name: %q\n  sha256: \"%x\"\n", name, sha256.Sum256([]byte(secret)))
	if !expires.IsZero() {
		entry += fmt.Sprintf("  expires: %s\n", expires.UTC().Format(time.RFC3339))
	}
	return secret, entry, nil
}

var (
	emptyList = regexp.MustCompile(`(?m)^(tokens:)[ \t]*\[[ \t]*\]`)
	listItem  = regexp.MustCompile(`(?m)^([ \t]*)- `)
	noTokens  = regexp.MustCompile(`^([ \t]*(#.*)?\r?\n)*[ \t]*(#.*)?$`) // Empty lines and comments.
)

// AddToken returns the text of a tokens file with an entry of [NewToken] at its end. The
// rest, comments included, stays as it is. A text without a line other than comments is a
// file without tokens.
// Errors contain the name of the file.
func AddToken(file string, text []byte, entry string) ([]byte, error) {
	if noTokens.Match(text) {
		text = append(endLine(text), "tokens: []\n"...)
	}
	before, err := ParseTokens(file, text)
	if err != nil {
		return nil, err
	}
	changed := emptyList.ReplaceAll(text, []byte("$1"))
	indent := []byte("  ")
	if item := listItem.FindSubmatch(changed); item != nil {
		indent = item[1]
	}
	changed = endLine(changed)
	for line := range bytes.Lines([]byte(entry)) {
		changed = append(append(changed, indent...), line...)
	}
	if after, err := ParseTokens(file, changed); err != nil || after.Len() != before.Len()+1 {
		return nil, errors.New(file + ": is not a list with one entry a line: add the entry by hand")
	}
	return changed, nil
}

// endLine ends the last line of the text, if it is not ended.
func endLine(text []byte) []byte {
	if len(text) == 0 || bytes.HasSuffix(text, []byte("\n")) {
		return text
	}
	return append(text, '\n')
}
