package yamlfile

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// checkText reports bytes that YAML does not allow, and returns whether there are
// none.
func (d *Document) checkText(text []byte) bool {
	if err := CheckBOM(text); err != nil {
		d.report(1, "", "%v", err)
		return false
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		problem := ""
		switch {
		case r == utf8.RuneError && size == 1:
			problem = "is not UTF-8"
		case unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r':
			problem = "has a control character"
		}
		if problem != "" {
			before := text[:i]
			d.report(lineOf(before), lastKey(before), "%s", problem)
			return false
		}
		i += size
	}
	return true
}

// CheckBOM returns an error if a text begins with a byte order mark of UTF-8 or UTF-16,
// which is invisible in most editors.
func CheckBOM(text []byte) error {
	for _, mark := range []string{"\xef\xbb\xbf", "\xfe\xff", "\xff\xfe"} {
		if bytes.HasPrefix(text, []byte(mark)) {
			return errors.New("begins with a byte order mark (BOM): save it as UTF-8 without one")
		}
	}
	return nil
}

// load returns the root if the text is one document, and nil otherwise.
func (d *Document) load(text []byte) *yaml.Node {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		d.report(1, "", "cannot be read as YAML")
		return nil
	}
	var document, second yaml.Node
	switch err := loader.Load(&document); {
	case errors.Is(err, io.EOF):
		d.report(1, "", "is empty")
		return nil
	case err != nil:
		d.syntaxError(text, err)
		return nil
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
		return document.Content[0]
	case err != nil:
		d.syntaxError(text, err)
	default:
		d.report(second.Line, "", "a second document begins: a file is one document")
	}
	return nil
}

// syntaxError reports an error of the library. Its message is omitted where it may
// quote the text.
func (d *Document) syntaxError(text []byte, err error) {
	at, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		d.report(1, "", "cannot be read as YAML")
		return
	}
	end := offset(text, at.Mark)
	begin := end
	if at.Stage == yaml.ScannerStage && at.ContextMark.Line > 0 {
		begin = offset(text, at.ContextMark) // The position at which an unterminated quote begins.
	}
	key := lastKey(text[:begin])
	// The end of the text may count as a line of its own.
	line := min(lineOf(text[:begin]), lineOf(bytes.TrimRight(text, " \r\n")))
	switch {
	case bytes.HasPrefix(text[end:], []byte("\t")):
		d.report(lineOf(text[:end]), key, "has a tab where YAML needs spaces")
	case begin < len(text) && bytes.IndexByte([]byte("*&!%@`"), text[begin]) >= 0:
		d.report(line, key, "a value that begins with %c must be in quotes", text[begin])
	default:
		d.report(line, key, "is not YAML: %s", at.Message)
	}
}

// lineOf returns the number of the line in which a text ends.
func lineOf(text []byte) int { return 1 + bytes.Count(text, []byte("\n")) }

// offset returns how many bytes of the text are before a mark.
func offset(text []byte, mark yaml.Mark) int {
	lines := bytes.SplitAfterN(text, []byte("\n"), max(mark.Line, 1))
	if len(lines) < mark.Line {
		return len(text)
	}
	rest := lines[len(lines)-1]
	for range mark.Column - 1 {
		_, size := utf8.DecodeRune(rest)
		rest = rest[size:]
	}
	return len(text) - len(rest)
}

var (
	// keyOrQuoted matches keys, and the quoted values and comments that must not be
	// searched for keys.
	keyOrQuoted = regexp.MustCompile(`(?m)"(?:[^"\\]|\\.)*"|'[^'\n]*'|#.*$|([\w.-]+):(?:\s|$)`)
	keyName     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,23}$`)
)

// lastKey returns the last key in a text; "" if there is none, or if it may be a
// secret.
func lastKey(text []byte) string {
	key := ""
	for _, match := range keyOrQuoted.FindAllSubmatch(text, -1) {
		if match[1] != nil {
			key = string(match[1])
		}
	}
	if !isKeyName(key) {
		return ""
	}
	return key
}

// isKeyName reports whether a text looks like a key and not like a misplaced secret.
func isKeyName(text string) bool { return keyName.MatchString(text) }
