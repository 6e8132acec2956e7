//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// copyOwner gives the new file the owner and the group of another.
func copyOwner(from fs.FileInfo, to *os.File) error {
	if owner, ok := from.Sys().(*syscall.Stat_t); ok {
		return to.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}
