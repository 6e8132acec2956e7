package access_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// settingsDir is a directory with the settings' files, which can be replaced while
// the service runs.
type settingsDir struct {
	dir string
	// projected is set if the files are links through ..data, a link to a directory that
	// is replaced atomically, as in a Kubernetes volume.
	projected bool

	texts      map[string]string
	generation int
}

func newSettingsDir(t *testing.T, projected bool) *settingsDir {
	t.Helper()
	return &settingsDir{dir: t.TempDir(), projected: projected, texts: map[string]string{}}
}

func (p *settingsDir) path(name string) string { return filepath.Join(p.dir, name) }

// put replaces the given files, and leaves the others unchanged.
func (p *settingsDir) put(t *testing.T, texts map[string]string) {
	t.Helper()
	maps.Copy(p.texts, texts)
	if p.projected {
		p.project(t)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		write(t, p.path(".new"), texts[name])
		rename(t, p.path(".new"), p.path(name))
	}
}

// project creates a new directory with all files and points ..data to it.
func (p *settingsDir) project(t *testing.T) {
	t.Helper()
	before := p.path(fmt.Sprintf("..generation-%d", p.generation))
	p.generation++
	now := fmt.Sprintf("..generation-%d", p.generation)
	if err := os.Mkdir(p.path(now), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range p.texts {
		write(t, filepath.Join(p.path(now), name), text)
	}
	link(t, now, p.path("..data.new"))
	rename(t, p.path("..data.new"), p.path("..data"))
	if p.generation == 1 {
		for name := range p.texts {
			link(t, "..data/"+name, p.path(name))
		}
	}
	if err := os.RemoveAll(before); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
