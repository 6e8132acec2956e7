//go:build unix

package wire

import (
	"cmp"
	"io"
	"os"
	"syscall"
)

// poll reads the available bytes without blocking. If there are none, it returns
// [os.ErrDeadlineExceeded], after which a TLS connection can still be used.
func (s *socket) poll(p []byte) (n int, err error) {
	var readErr error
	err = s.raw.Read(func(fd uintptr) bool {
		n, readErr = syscall.Read(int(fd), p)
		return true // Do not wait.
	})
	switch {
	case err == nil && n > 0:
		return n, nil
	case readErr == syscall.EAGAIN:
		return 0, os.ErrDeadlineExceeded
	}
	return 0, cmp.Or(err, readErr, io.EOF)
}
