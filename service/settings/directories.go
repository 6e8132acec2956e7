package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks bounds the symbolic links on the way to one file, as Linux does.
const maxLinks = 40

// directoriesOf returns the directories in which a change can change what the
// paths lead to, in order and each once.
func directoriesOf(paths []string) []string {
	var dirs []string
	for _, path := range paths {
		dirs = append(dirs, directories(path)...)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// directories returns those that hold the file or a symbolic link on the way to
// it. A way that leads nowhere ends with the directory in which its next step is
// missing.
func directories(path string) []string {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	var dirs []string
	links := 0
	at, steps := root(path), split(path)
	for len(steps) > 0 {
		next := filepath.Join(at, steps[0])
		target, linked, err := step(next)
		if linked {
			links++
		}
		if err != nil || links > maxLinks {
			return append(dirs, at)
		}
		steps = steps[1:]
		switch {
		case linked:
			dirs = append(dirs, at)
			steps = append(split(target), steps...)
			if filepath.IsAbs(target) {
				at = root(target)
			}
		case len(steps) == 0:
			dirs = append(dirs, at)
		default:
			at = next
		}
	}
	return dirs
}

// step returns where path leads if it is a symbolic link.
func step(path string) (target string, linked bool, err error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		return "", false, err
	}
	target, err = os.Readlink(path)
	return target, true, err
}

func root(path string) string { return filepath.VolumeName(path) + string(filepath.Separator) }

// split returns the steps of a path. It does not clean them: a .. behind a
// symbolic link leads up from where the link leads.
func split(path string) []string {
	path = path[len(filepath.VolumeName(path)):]
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}
