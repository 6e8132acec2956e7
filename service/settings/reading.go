package settings

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"conferenced/service/twilio"
	"conferenced/service/yamlfile"
)

// maxFileBytes is the maximum size of a file.
const maxFileBytes = 1 << 20

// reading reads files and keeps the hashes of their contents, to detect later
// changes.
type reading struct {
	sums contents
	torn bool // A file changed between two reads.
}

// contents maps paths to the hashes of the files' contents, or of the errors of
// reading them.
type contents map[string][sha256.Size]byte

func newReading() *reading { return &reading{sums: contents{}} }

// read returns the content of the file. Its error does not contain the path.
func (r *reading) read(path string) ([]byte, error) {
	text, err := readFile(path)
	sum := sumOf(text, err)
	if before, ok := r.sums[path]; ok && before != sum {
		r.torn = true
	}
	r.sums[path] = sum
	return text, err
}

// readSecret returns the secret in a file, without trailing line ends. A relative
// path is relative to dir. Its error does not contain the path.
func (r *reading) readSecret(dir, path string) (twilio.Secret, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	text, err := r.read(path)
	if err != nil {
		return twilio.Secret{}, err
	}
	return parseSecret(string(text))
}

// parseSecret returns the secret in a file or a variable.
func parseSecret(text string) (twilio.Secret, error) {
	text, err := secretText(text)
	if err != nil {
		return twilio.Secret{}, err
	}
	secret := twilio.NewSecret(text)
	return secret, secret.Validate()
}

// secretText returns the text of a secret without trailing line ends.
func secretText(text string) (string, error) {
	if err := yamlfile.CheckBOM([]byte(text)); err != nil {
		return "", err
	}
	text = strings.TrimRight(text, "\r\n")
	switch {
	case strings.TrimSpace(text) == "":
		return "", errors.New("is empty")
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", errors.New("has a control character or more than one line")
	}
	return text, nil
}

// ReadPassword returns the password in a file, without trailing line ends.
func ReadPassword(path string) (string, error) {
	text, err := readFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	password, err := secretText(string(text))
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return password, nil
}

// changes returns the files that are new or have changed since an earlier reading, sorted.
func (r *reading) changes(earlier *reading) []string {
	changed := []string{}
	for path, sum := range r.sums {
		if earlier.sums[path] != sum {
			changed = append(changed, path)
		}
	}
	slices.Sort(changed)
	return changed
}

// now reads the same files again, and returns their present contents.
func (r *reading) now() contents {
	sums := make(contents, len(r.sums))
	for path := range r.sums {
		sums[path] = sumOf(readFile(path))
	}
	return sums
}

// stale reports whether the files may have changed since they were read.
func (r *reading) stale(now contents) bool { return r.torn || !maps.Equal(r.sums, now) }

func sumOf(text []byte, err error) [sha256.Size]byte {
	if err != nil {
		return sha256.Sum256([]byte("error " + err.Error()))
	}
	return sha256.Sum256(append([]byte("text "), text...))
}

// readFile returns the content of a regular file. Its errors do not contain the path.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, withoutPath(err)
	}
	// Reading a pipe or a device could block or never end.
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	file, err := os.Open(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, withoutPath(err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("is larger than %d KiB", maxFileBytes>>10)
	}
	return text, nil
}

func withoutPath(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}
