//go:build !unix

package wire

import "time"

// poll is like poll on Unix, but waits for a millisecond, because the system has no
// non-blocking read.
func (s *socket) poll(p []byte) (int, error) {
	_ = s.Conn.SetReadDeadline(time.Now().Add(time.Millisecond)) // It fails only if the connection is closed, as Read then does.
	defer func() { _ = s.Conn.SetReadDeadline(s.deadline) }()
	return s.Conn.Read(p)
}
