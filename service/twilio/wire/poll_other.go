//go:build !unix

package wire

import "time"

// poll is like that of Unix, but waits for a millisecond: the system offers no
// read that does not wait.
func (s *socket) poll(p []byte) (int, error) {
	_ = s.Conn.SetReadDeadline(time.Now().Add(time.Millisecond)) // It fails if the connection is closed, as Read does.
	defer func() { _ = s.Conn.SetReadDeadline(time.Time{}) }()
	return s.Conn.Read(p)
}
