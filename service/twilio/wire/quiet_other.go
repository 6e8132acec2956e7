//go:build !unix

package wire

import (
	"errors"
	"os"
	"time"
)

// quiet says whether the connection is open and has nothing to be read. The
// system cannot be asked without waiting here, so it takes a moment.
func (s *socket) quiet() bool {
	var b [1]byte
	_ = s.SetReadDeadline(time.Now().Add(time.Millisecond)) // It fails on what is closed, as reading will.
	_, err := s.Conn.Read(b[:])
	_ = s.SetReadDeadline(s.due)
	return errors.Is(err, os.ErrDeadlineExceeded)
}
