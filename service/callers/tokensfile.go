package callers

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxTokenName is the most characters that a token's name may have.
const maxTokenName = 128

// ParseTokens reads a tokens file:
//
//	tokens:
//	  - name: ui
//	    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	    expires: 2027-01-31T00:00:00Z
//
// sha256 is the digest of the token, which has the characters that RFC 6750
// allows: letters, digits, -._~+/ and = at the end. expires may be left out. A
// name may come with several tokens, so that a caller can change over from one
// to the next. A list without tokens is accepted, and then no token is.
//
// The error joins everything that is wrong, each with its line. It shows no
// digest, in whose place somebody may have put a token.
func ParseTokens(data []byte) (*Tokens, error) {
	file := parseYAML(data)
	root := file.mapping(file.root, "", "tokens")
	list := file.required(file.root, "", root, "tokens")
	tokens := new(Tokens)
	lines := make(map[[sha256.Size]byte]int)
	for i, node := range file.list(list, "tokens") {
		path := indexed("tokens", i)
		entry := file.token(node, path)
		if line, twice := lines[entry.digest]; twice && entry.digest != ([sha256.Size]byte{}) {
			file.wrong(node, path+".sha256", "is the digest of line %d too", line)
		}
		lines[entry.digest] = node.Line
		tokens.entries = append(tokens.entries, entry)
	}
	if err := file.err(); err != nil {
		return nil, err
	}
	return tokens, nil
}

// token reads one entry. What cannot be read is reported and left zero.
func (f *yamlFile) token(node *yaml.Node, path string) token {
	fields := f.mapping(node, path, "name", "sha256", "expires")
	if fields == nil {
		return token{}
	}
	var entry token
	if name := f.required(node, path, fields, "name"); name != nil {
		entry.name = f.tokenName(name, path+".name")
	}
	if digest := f.required(node, path, fields, "sha256"); digest != nil {
		entry.digest = f.digest(digest, path+".sha256")
	}
	if expires := fields["expires"]; expires != nil {
		entry.expires = f.instant(expires, path+".expires")
	}
	return entry
}

func (f *yamlFile) tokenName(node *yaml.Node, path string) string {
	name, ok := f.text(node, path)
	if ok && !isTokenName(name) {
		f.wrong(node, path, "must be 1 to %d letters, digits and ._-/@", maxTokenName)
	}
	return name
}

// isTokenName keeps out of names what has a meaning around them: * in a policy,
// : in basic authentication.
func isTokenName(name string) bool {
	for _, c := range []byte(name) {
		if !isAlphanumeric(c) && strings.IndexByte("._-/@", c) < 0 {
			return false
		}
	}
	return name != "" && len(name) <= maxTokenName
}

func (f *yamlFile) digest(node *yaml.Node, path string) (digest [sha256.Size]byte) {
	text, ok := f.text(node, path)
	if !ok {
		return digest
	}
	read, err := hex.DecodeString(text)
	if err != nil || len(read) != sha256.Size {
		f.wrong(node, path, "must be 64 hexadecimal digits")
		return digest
	}
	copy(digest[:], read)
	if digest == sha256.Sum256(nil) || digest == [sha256.Size]byte{} {
		f.wrong(node, path, "is not the digest of a token")
	}
	return digest
}

func (f *yamlFile) instant(node *yaml.Node, path string) time.Time {
	text, ok := f.text(node, path)
	if !ok {
		return time.Time{}
	}
	instant, err := time.Parse(time.RFC3339, text)
	if err != nil || instant.IsZero() {
		f.wrong(node, path, "must be a time as of RFC 3339, such as 2027-01-31T00:00:00Z")
	}
	return instant
}
