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
)

// maxFileBytes bounds what is read from one file.
const maxFileBytes = 1 << 20

// reading remembers, by their hashes, what the files read through it held. So it
// can tell whether they hold something else by now.
type reading struct {
	sums map[string]sum
	torn bool // One file was read twice and had changed in between.
}

type sum [sha256.Size]byte

func newReading() *reading { return &reading{sums: map[string]sum{}} }

// read returns what the file holds. Its error does not name the file.
func (r *reading) read(path string) ([]byte, error) {
	text, err := readFile(path)
	now := sumOf(text, err)
	if before, ok := r.sums[path]; ok && before != now {
		r.torn = true
	}
	r.sums[path] = now
	return text, err
}

// beside returns a read that takes a relative path from where file is.
func (r *reading) beside(file string) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(file), path)
		}
		return r.read(path)
	}
}

// stale reports whether any of the files has changed, appeared or gone since it
// was read.
func (r *reading) stale() bool {
	if r.torn {
		return true
	}
	for path, before := range r.sums {
		if sumOf(readFile(path)) != before {
			return true
		}
	}
	return false
}

// paths are the files that were read, or should have been, in order.
func (r *reading) paths() []string { return slices.Sorted(maps.Keys(r.sums)) }

func sumOf(text []byte, err error) sum {
	if err != nil {
		return sha256.Sum256([]byte("error " + err.Error()))
	}
	return sha256.Sum256(append([]byte("text "), text...))
}

// readFile returns what a regular file holds. Its errors do not name the file.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	// Anything else may have no end, or never begin.
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
