//go:build unix

package wire

import "syscall"

// quiet says whether the connection is open and has nothing to be read. A host
// that has closed an unused connection, or spoke on it unasked, answers nothing
// that is sent on it.
func (s *socket) quiet() bool {
	if s.raw == nil {
		return true
	}
	silent := false
	err := s.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		silent = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true // It is not waited for.
	})
	return err == nil && silent
}
