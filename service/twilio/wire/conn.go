package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// bufferBytes is the size of the buffer that answers are read into. One of
	// usual length fits in.
	bufferBytes = 2 << 10
	// maxHead limits the bytes of an answer's header, and of the interim answers
	// (1xx) before it.
	maxHead = 64 << 10
)

// Conn is a connection for one exchange: Send, then Receive. It is for one
// goroutine at a time.
type Conn struct {
	host   *host
	socket *socket
	conn   net.Conn // What is spoken through: the socket, or TLS on it.
	in     bounded
	buffer *bufio.Reader

	idleSince time.Time
	used      bool // For an exchange before this one.

	// Of the exchange:
	guard  *guard        // nil: nothing was sent.
	broken bool          // The request was not written whole.
	over   bool          // The answer has begun, or there will be none.
	whole  bool          // The answer was read to its end, beyond doubt.
	body   *bytes.Buffer // Holds the answer's.
}

// newConn returns the connection to the host that the stream on a socket is.
func newConn(h *host, s *socket, stream net.Conn) *Conn {
	c := &Conn{host: h, socket: s, conn: stream, in: bounded{from: stream}}
	c.buffer = bufio.NewReaderSize(&c.in, bufferBytes)
	return c
}

// begin makes the connection ready for an exchange.
func (c *Conn) begin(now time.Time) {
	c.broken, c.over, c.whole, c.in.left = false, false, false, maxHead
	if timeout := c.host.pool.cfg.AnswerTimeout; timeout > 0 {
		c.socket.due = now.Add(timeout)
		_ = c.conn.SetDeadline(c.socket.due) // It fails on what is closed, as reading will.
	}
}

// alive says whether the host still listens and has said nothing unasked, as far
// as can be told. Not only the socket is asked: the end of the connection, or what
// looks like another answer, may have been read together with the last one.
func (c *Conn) alive() bool {
	c.socket.asked = true
	_, err := c.buffer.Peek(1)
	c.socket.asked = false
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Used says whether the connection has served an exchange before.
func (c *Conn) Used() bool { return c.used }

// Request is a POST. All that it holds is sent as it is.
type Request struct {
	// Path is escaped, and may have a query.
	Path []byte
	// Header is lines that end in CRLF, without Host and Content-Length.
	Header []byte
	Body   []byte
}

// Send writes the request. Its error means that not a byte was written; when
// some were, Receive tells, as the host may have answered those. The end of the
// context interrupts what is under way, now and until the answer.
func (c *Conn) Send(ctx context.Context, r *Request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.guard = watch(ctx, c.conn)
	b := buffers.Get().(*bytes.Buffer)
	defer putBuffer(b)
	b.WriteString(c.host.start)
	b.Write(r.Path)
	b.WriteString(c.host.middle)
	b.Write(r.Header)
	b.WriteString("Content-Length: ")
	b.Write(strconv.AppendInt(b.AvailableBuffer(), int64(len(r.Body)), 10))
	b.WriteString("\r\n\r\n")
	b.Write(r.Body)
	before := c.socket.written
	_, err := c.conn.Write(b.Bytes())
	c.broken = err != nil
	if c.over = c.broken && c.socket.written == before; c.over {
		return err
	}
	return nil
}

// Answer is the host's.
type Answer struct {
	Status int
	Header http.Header
	// Body is valid until the connection is closed. BodyErr says why it is not the
	// whole of it, or nil.
	Body    []byte
	BodyErr error
}

// Receive returns the answer to what was sent. An error means that none came, or
// none that is HTTP. It quotes nothing that the host sent.
func (c *Conn) Receive() (*Answer, error) {
	if c.guard == nil || c.over {
		return nil, ErrNoAnswer
	}
	if c.body == nil {
		c.body = buffers.Get().(*bytes.Buffer)
	}
	c.in.copy = c.body
	if _, err := c.buffer.Peek(1); err != nil {
		c.over = !errors.Is(err, os.ErrDeadlineExceeded)
		return nil, err
	}
	c.over = true
	resp, clear, err := c.head() //nolint:bodyclose // To close it would be to read it to its end.
	if err != nil {
		return nil, err
	}
	a := &Answer{Status: resp.StatusCode, Header: resp.Header}
	if a.Status == http.StatusSwitchingProtocols { // The rest is no body.
		return a, nil
	}
	a.BodyErr = c.readBody(resp)
	a.Body = c.body.Bytes()
	c.whole = a.BodyErr == nil && clear && !c.broken && c.buffer.Buffered() == 0
	return a, nil
}

// head reads the header of the answer, after those of interim ones, and says
// whether it is clear where each of these answers ends.
func (c *Conn) head() (resp *http.Response, clear bool, err error) {
	for clear = true; ; {
		start := c.body.Len() - c.buffer.Buffered()
		resp, err = http.ReadResponse(c.buffer, nil)
		if err != nil {
			return nil, false, c.in.fault()
		}
		read := c.body.Bytes()[start : c.body.Len()-c.buffer.Buffered()]
		clear = clear && endsClearly(resp, read)
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, clear, nil
		}
	}
}

// endsClearly says whether all who read the answer, the header of which is given
// as it was read too, agree on where it ends. Of the same bytes another may make
// one answer and the beginning of the next; see RFC 9112, section 11.
func endsClearly(resp *http.Response, head []byte) bool {
	if resp.Close || resp.Proto != "HTTP/1.1" {
		return false
	}
	for name := range resp.Header {
		if strings.HasSuffix(name, " ") { // Some take it for the name without.
			return false
		}
	}
	if len(resp.TransferEncoding) > 0 { // net/http drops the length then.
		return !isBodiless(resp.StatusCode) && !bytes.Contains(bytes.ToLower(head), []byte("\ncontent-length"))
	}
	length := resp.Header.Get("Content-Length")
	return !isBodiless(resp.StatusCode) || length == "" || length == "0"
}

func isBodiless(status int) bool {
	return status/100 == 1 || status == http.StatusNoContent || status == http.StatusNotModified
}

// readBody reads the body to its end, but no more than the limit.
func (c *Conn) readBody(resp *http.Response) error {
	c.in.left, c.in.copy = math.MaxInt64, nil
	c.body.Reset()
	limit := c.host.pool.cfg.MaxBody
	if n := resp.ContentLength; 0 < n && n <= limit {
		c.body.Grow(int(n) + bytes.MinRead) // Room to see the end without growing.
	}
	n, err := c.body.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err == nil && n > limit {
		err = ErrBodyTooLong
	}
	return err
}

// Resume puts another context in the place of Send's, also after the end of that
// has interrupted the wait for an answer: Receive may be called again then. It
// reports false if there will be no answer any more: it has begun, the exchange
// has failed, or its time is over.
func (c *Conn) Resume(ctx context.Context) bool {
	due := c.socket.due
	switch {
	case c.guard == nil, c.broken, c.over:
		return false
	case !due.IsZero() && !time.Now().Before(due):
		return false
	}
	c.guard.end()
	if c.conn.SetDeadline(due) != nil {
		return false
	}
	c.guard = watch(ctx, c.conn)
	return true
}

// Close ends the exchange, once. The connection is kept for another if it can
// serve one: nothing was sent, or the answer was read to its end.
func (c *Conn) Close() {
	if c.body != nil {
		putBuffer(c.body)
		c.body, c.in.copy = nil, nil
	}
	if c.guard == nil {
		c.host.keep(c)
		return
	}
	undisturbed := c.guard.end()
	c.guard, c.used = nil, true
	switch {
	case undisturbed && c.whole:
		c.host.keep(c)
	case c.broken:
		_ = c.socket.Close() // TLS would try to take its leave, of one who may not read.
	default:
		_ = c.conn.Close() // Nothing more is expected of it.
	}
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// putBuffer gives the buffer back, unless it became large.
func putBuffer(b *bytes.Buffer) {
	if b.Cap() > 64<<10 {
		return
	}
	b.Reset()
	buffers.Put(b)
}
