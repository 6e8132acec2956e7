//go:build unix

package wire

import (
	"syscall"
	"testing"
)

// waitReadable waits until the connection has something to read or is at its end,
// and takes nothing from it.
func waitReadable(t testing.TB, c *conn) {
	t.Helper()
	if c.buffer.Buffered() > 0 {
		return
	}
	err := c.socket.raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return err != syscall.EAGAIN
	})
	if err != nil {
		t.Error(err)
	}
}
