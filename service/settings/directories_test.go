package settings

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDirectories(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"conf", "kube/..2026_1", "releases/1/etc", "loop"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(top, "conf"), "plain", "")
	write(t, filepath.Join(top, "kube/..2026_1"), "projected", "")
	write(t, filepath.Join(top, "releases/1/etc"), "released", "")
	for link, target := range map[string]string{
		"kube/..data":     "..2026_1",
		"kube/projected":  "..data/projected",
		"current":         filepath.Join(top, "releases/1/"),
		"conf/up":         "../current/etc/../etc/released",
		"conf/to-nowhere": "../gone/file",
		"loop/a":          "b",
		"loop/b":          "a",
	} {
		if err := os.Symlink(target, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, path string
		want       []string
	}{
		{"a plain file", "conf/plain", []string{"conf"}},
		{"a path with ..", "conf/../conf/./plain", []string{"conf"}},
		{"a file that is missing", "conf/missing", []string{"conf"}},
		{"a directory that is missing", "conf/a/b/c", []string{"conf"}},
		{"a file in place of a directory", "conf/plain/c", []string{"conf/plain"}},
		{"a file of Kubernetes", "kube/projected", []string{"kube", "kube/..2026_1"}},
		{"a linked directory", "current/etc/released", []string{".", "releases/1/etc"}},
		{"a link to a linked directory", "conf/up", []string{".", "conf", "releases/1/etc"}},
		{"a link to nowhere", "conf/to-nowhere", []string{".", "conf"}},
		{"links in a circle", "loop/a", []string{"loop"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want []string
			for _, dir := range test.want {
				want = append(want, filepath.Join(top, dir))
			}
			if diff := cmp.Diff(want, directoriesOf([]string{top + "/" + test.path})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
