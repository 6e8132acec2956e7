//go:build unix

package wire

import (
	"cmp"
	"errors"
	"io"
	"os"
	"syscall"
)

// poll reads the available bytes without blocking. If there are none, it returns
// [os.ErrDeadlineExceeded], after which a TLS connection can still be used.
func (s *socket) poll(p []byte) (n int, err error) {
	var read struct {
		n   int
		err error
	}
	err = s.raw.Read(func(fd uintptr) bool {
		read.n, read.err = syscall.Read(int(fd), p)
		return true // Do not wait.
	})
	switch {
	case err == nil && read.n > 0:
		return read.n, nil
	case errors.Is(read.err, syscall.EAGAIN):
		return 0, os.ErrDeadlineExceeded
	}
	return 0, cmp.Or(err, read.err, io.EOF)
}
