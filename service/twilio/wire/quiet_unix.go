//go:build unix

package wire

import "syscall"

// quiet says whether the connection is open and has nothing to be read. A host
// that has closed an idle connection, or spoke on it unasked, answers nothing
// that is sent on it.
func quiet(raw syscall.RawConn) bool {
	silent := false
	err := raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		silent = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true // It is not waited for.
	})
	return err == nil && silent
}
