package callers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"conferenced/service/yamlfile"
)

// maxTokenName is the maximum length of a token's name in characters.
const maxTokenName = 128

// Tokens are the bearer tokens of a file, each with its caller's name. Only
// digests of tokens are kept. A nil *Tokens has none.
type Tokens struct {
	entries map[digest]*token
}

// digest is the SHA-256 of a token.
type digest [sha256.Size]byte

type token struct {
	name    string
	expires time.Time // Zero: never.
}

func (t *token) expired(now time.Time) bool {
	return !t.expires.IsZero() && !now.Before(t.expires)
}

// all returns the entries; none if t is nil.
func (t *Tokens) all() map[digest]*token {
	if t == nil {
		return nil
	}
	return t.entries
}

// Len returns the number of tokens, including expired ones.
func (t *Tokens) Len() int { return len(t.all()) }

// Expired returns the number of tokens that have expired.
func (t *Tokens) Expired(now time.Time) (n int) {
	for _, entry := range t.all() {
		if entry.expired(now) {
			n++
		}
	}
	return n
}

// NextExpiry returns the earliest expiry after now, or zero if there is none.
func (t *Tokens) NextExpiry(now time.Time) (next time.Time) {
	for _, entry := range t.all() {
		if at := entry.expires; now.Before(at) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// Has reports whether a token that has not expired has the name.
func (t *Tokens) Has(name string, now time.Time) bool {
	for _, entry := range t.all() {
		if entry.name == name && !entry.expired(now) {
			return true
		}
	}
	return false
}

// find returns the entry of a presented token, or nil. Its time discloses nothing about
// tokens, because a caller cannot choose the digest that it looks up.
func (t *Tokens) find(presented string) *token {
	return t.all()[sha256.Sum256([]byte(presented))]
}

// ParseTokens reads the text of a tokens file. Errors contain the given name:
//
//	tokens:
//	  - name: ui
//	    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	    expires: 2027-01-31T00:00:00Z
//
// sha256 is the digest of the token. A token has the characters that RFC 6750
// allows: letters, digits, -._~+/, and = at the end. expires is optional. Several
// tokens may have one name, so that a caller can change from one token to the
// next. If the list is empty, no token is accepted.
//
// The error joins all problems, each with its line and key.
func ParseTokens(name string, text []byte) (*Tokens, error) {
	file := yamlfile.Parse(name, text)
	tokens := &Tokens{entries: map[digest]*token{}}
	if root := file.Mapping(); root != nil {
		tokens.read(root.Required("tokens"))
	}
	if err := file.Err(); err != nil {
		return nil, err
	}
	return tokens, nil
}

func (t *Tokens) read(list yamlfile.Value) {
	lines := map[digest]int{}
	for _, v := range list.List(0) {
		m := v.Mapping()
		if m == nil {
			continue
		}
		name, sum := m.Required("name"), m.Required("sha256")
		parsed := yamlfile.Scan(sum, parseDigest)
		if line, twice := lines[parsed]; twice && parsed != (digest{}) {
			sum.Errorf("is also the digest in line %d", line)
		}
		lines[parsed] = sum.Line()
		t.entries[parsed] = &token{
			name:    yamlfile.Scan(name, parseTokenName),
			expires: yamlfile.Scan(m.Get("expires"), parseExpiry),
		}
	}
}

// parseTokenName refuses characters with a special meaning: * in a policy, : in basic
// authentication.
func parseTokenName(name string) (string, error) {
	valid := name != "" && len(name) <= maxTokenName
	for _, c := range []byte(name) {
		valid = valid && (isAlphanumeric(c) || strings.IndexByte("._-/@", c) >= 0)
	}
	if !valid {
		return "", fmt.Errorf("must be 1 to %d letters, digits and ._-/@", maxTokenName)
	}
	return name, nil
}

func parseDigest(text string) (sum digest, err error) {
	decoded, err := hex.DecodeString(text)
	if err != nil || len(decoded) != sha256.Size {
		return sum, errors.New("must be 64 hexadecimal digits")
	}
	copy(sum[:], decoded)
	if sum == sha256.Sum256(nil) || sum == (digest{}) {
		return sum, errors.New("is not the digest of a token")
	}
	return sum, nil
}

func parseExpiry(text string) (time.Time, error) {
	expiry, err := time.Parse(time.RFC3339, text)
	if err != nil || expiry.IsZero() {
		return time.Time{}, errors.New("must be a time as of RFC 3339, such as 2027-01-31T00:00:00Z")
	}
	return expiry, nil
}
