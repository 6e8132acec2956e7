package wire

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

const (
	bufferBytes    = 2 << 10  // A usual response fits in.
	maxHeaderBytes = 64 << 10 // Of a response and the interim ones (1xx) before it.
)

// conn is a connection to a host. One goroutine at a time uses it.
type conn struct {
	host      *host
	socket    *socket
	stream    net.Conn // The socket, or TLS on it.
	limit     *io.LimitedReader
	buffer    *bufio.Reader // Of the limited stream.
	idleSince time.Time
	reused    bool // It was idle before.
}

func newConn(h *host, tcp net.Conn) *conn {
	s := &socket{Conn: tcp}
	if withRaw, ok := tcp.(syscall.Conn); ok {
		s.raw, _ = withRaw.SyscallConn() // It fails if the connection is closed, as all else does.
	}
	limit := &io.LimitedReader{R: s, N: maxHeaderBytes}
	return &conn{host: h, socket: s, stream: s, limit: limit, buffer: bufio.NewReaderSize(limit, bufferBytes)}
}

// close closes the socket. TLS's close_notify is left out, as it could block.
func (c *conn) close() {
	if c != nil {
		_ = c.socket.Close() // The connection is not used any more.
	}
}

// roundTrip writes the message and reads the response. It reports whether any byte of
// the message was written. The body has at most maxBody bytes. After an error, the
// connection must be closed.
func (c *conn) roundTrip(
	ctx context.Context, message []byte, maxBody int64,
) (response *Response, sent bool, err error) {
	c.socket.deadline = time.Now().Add(c.host.transport.ExchangeTimeout)
	_ = c.stream.SetDeadline(c.socket.deadline) // It fails if Write does.
	if err := c.checkIdle(); err != nil {
		return nil, false, err
	}
	stop := interruptAtEnd(ctx, c.stream)
	before := c.socket.written
	_, writeErr := c.stream.Write(message)
	sent, err = c.socket.written > before, writeErr
	if writeErr == nil || sent { // The host may have answered after reading a part.
		response, err = c.read(maxBody)
	}
	undisturbed := stop()
	if err != nil {
		return nil, sent, cause(ctx, err)
	}
	response.BodyErr = cause(ctx, response.BodyErr)
	response.reusable = response.reusable && writeErr == nil && undisturbed
	return response, sent, nil
}

// cause returns the context's cause if the context has ended, and err otherwise.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// interruptAtEnd makes reads and writes fail after the context ends. The function
// that it returns prevents that, or reports false if the context has already ended.
func interruptAtEnd(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // It fails only if the connection is closed.
}

// checkIdle returns nil if the connection is open and there is nothing to read, in
// the buffer, in TLS or at the socket. It does not wait.
func (c *conn) checkIdle() error {
	c.socket.polling = true
	_, err := c.buffer.Peek(1)
	c.socket.polling = false
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return cmp.Or(err, ErrUnsolicited)
}

// read reads the response to a request that was written.
func (c *conn) read(maxBody int64) (*Response, error) {
	header, err := c.readHeader(nil) //nolint:bodyclose // Its body is read as far as it is of use.
	if err != nil {
		return nil, err
	}
	r := &Response{StatusCode: header.StatusCode, Header: header.Header, Reused: c.reused, conn: c}
	if header.StatusCode == http.StatusSwitchingProtocols { // What follows is no body.
		return r, nil
	}
	c.limit.N = math.MaxInt64
	var body bytes.Buffer
	body.Grow(int(min(max(header.ContentLength, 0), bufferBytes)) + bytes.MinRead)
	_, err = body.ReadFrom(io.LimitReader(header.Body, maxBody+1))
	r.Body, r.BodyErr = body.Bytes(), withoutQuotes(err)
	if int64(len(r.Body)) > maxBody {
		r.BodyErr = ErrTooLarge
	}
	r.reusable = r.BodyErr == nil && !header.Close && c.buffer.Buffered() == 0
	return r, nil
}

// readHeader reads the header of the response to a request, and skips interim
// responses. A nil request is one whose response may have a body.
func (c *conn) readHeader(to *http.Request) (*http.Response, error) {
	c.limit.N = maxHeaderBytes
	for {
		response, err := http.ReadResponse(c.buffer, to)
		switch {
		case err != nil && c.limit.N <= 0:
			return nil, ErrTooLarge
		case err != nil:
			return nil, withoutQuotes(err)
		case response.StatusCode/100 != 1 || response.StatusCode == http.StatusSwitchingProtocols:
			return response, nil
		}
	}
}

// withoutQuotes returns an I/O error unchanged, and ErrMalformed for a parse error,
// whose text may quote the response.
func withoutQuotes(err error) error {
	if _, ok := errors.AsType[net.Error](err); ok || err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return ErrMalformed
}

// socket is a TCP connection that counts the bytes written, and supports non-blocking
// reads.
type socket struct {
	net.Conn
	raw      syscall.RawConn
	deadline time.Time // Of the exchange.
	written  int64     // Bytes.
	polling  bool      // Read is poll.
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	s.written += int64(n)
	return n, err
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if s.polling {
		return s.poll(p)
	}
	return s.Conn.Read(p)
}
