package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// socket is a TCP connection that counts the bytes that are written to it, and
// that can be asked whether there is anything to read.
type socket struct {
	net.Conn
	raw     syscall.RawConn // nil: it has none.
	due     time.Time       // When the exchange must have ended; zero: at no time.
	written int64
	asked   bool // Read tells whether there is anything to read, and takes nothing.
}

func newSocket(tcp net.Conn) *socket {
	s := &socket{Conn: tcp}
	if sc, ok := tcp.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn() // It fails on what is closed.
	}
	return s
}

// Write is net.Conn's.
func (s *socket) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	s.written += int64(n)
	return n, err
}

// Read is net.Conn's. When the socket is asked, it returns
// os.ErrDeadlineExceeded, which spoils no TLS connection, if there is nothing to
// read, and otherwise io.EOF.
func (s *socket) Read(p []byte) (int, error) {
	switch {
	case !s.asked:
		return s.Conn.Read(p)
	case s.quiet():
		return 0, os.ErrDeadlineExceeded
	}
	return 0, io.EOF
}

// bounded reads no more than what is left.
type bounded struct {
	from io.Reader
	left int64
	copy io.Writer // nil: no copy is made of what is read.
	err  error     // What Read returned last.
}

// Read is io.Reader's.
func (b *bounded) Read(p []byte) (n int, err error) {
	if b.left <= 0 {
		b.err = ErrHeadTooLong
		return 0, b.err
	}
	n, b.err = b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if b.copy != nil {
		_, _ = b.copy.Write(p[:n]) // It is a buffer.
	}
	return n, b.err
}

// fault says why no header could be read: for what Read returned last, or for
// its grammar. Unlike the errors of net/http it quotes nothing that was read.
func (b *bounded) fault() error {
	if b.err == nil {
		return ErrNoHTTP
	}
	if errors.Is(b.err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return b.err
}
