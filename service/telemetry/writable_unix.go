//go:build unix

package telemetry

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// checkWritable returns an error if no file can be created in the directory.
func checkWritable(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "access", Path: dir, Err: err}
	}
	return nil
}
