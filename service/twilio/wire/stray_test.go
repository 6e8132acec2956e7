package wire

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// timeout408 is the response that load balancers send on a connection that has been
// idle for a long time.
const timeout408 = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// TestDataOnAnIdleConnectionIsNoResponse sends data on an idle connection during the
// call of the permit: after the connection was chosen for a request and before the
// request is written.
func TestDataOnAnIdleConnectionIsNoResponse(t *testing.T) {
	tests := []struct {
		name string
		act  func(peer)
	}{
		{"a 408", func(p peer) { p.write(timeout408) }},
		{"a 408 and a close", func(p peer) { p.write(timeout408); _ = p.Close() }},
		{"another response", func(p peer) { p.write(ok("stray")) }},
		{"an empty line", func(p peer) { p.write("\r\n") }},
		{"a close", func(p peer) { _ = p.Close() }},
		{"a half close", func(p peer) { _ = p.Conn.(interface{ CloseWrite() error }).CloseWrite() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var connections atomic.Int32
			act := make(chan struct{}, 1)
			handle := func(p peer) {
				answerNext := answerOnce(ok("second"))
				if connections.Add(1) == 1 {
					p.read()
					p.write(ok("first"))
					<-act
					tt.act(p)
				}
				answerNext(p)
			}
			each(t, handle, func(t *testing.T, base *url.URL) {
				connections.Store(0)
				transport := newTransport(t)
				post(t, transport, base)
				used, asked := idle(t, transport, base)[0], 0
				got, err := exchange(t.Context(), transport, base, func() error {
					if asked++; asked == 1 {
						act <- struct{}{}
						waitReadable(t, used)
					}
					return nil
				})
				if err != nil || string(got.Body) != "second" || got.Reused || asked != 2 {
					t.Errorf("%+v, %v after %d permits, want the response on a new connection", got, err, asked)
				}
			})
		})
	}
}

// TestHostThatSendsFirst checks that no request is sent to such a host.
func TestHostThatSendsFirst(t *testing.T) {
	base := parse(t, "http://"+listen(t, func(p peer) { p.write(timeout408); p.wait() }))
	h, err := newTransport(t).host(base)
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	waitReadable(t, c)
	if _, sent, err := c.roundTrip(t.Context(), []byte("x"), 1); sent || !errors.Is(err, ErrUnsolicited) {
		t.Errorf("sent %v, error %v", sent, err)
	}
}

// TestTwoResponsesAtOnce has a host that writes a second response. It must not become
// the response to the next request.
func TestTwoResponsesAtOnce(t *testing.T) {
	noContent := "HTTP/1.1 204 No Content\r\n\r\n"
	tests := []struct{ name, answer, surplus string }{
		{"after a body", ok("body"), ok("evil")},
		{"after a long body", ok(long), ok("evil")},
		{"after chunks", chunked("body"), ok("evil")},
		{"after long chunks", chunked(long), ok("evil")},
		{"after no content", noContent, ok("evil")},
		{"an interim one", ok("body"), "HTTP/1.1 100 Continue\r\n\r\n"},
		{"a byte", ok("body"), "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, answerOnce(tt.answer+tt.surplus), func(t *testing.T, base *url.URL) {
				transport := newTransport(t)
				first := post(t, transport, base)
				if kept := idle(t, transport, base); len(kept) == 1 && base.Scheme == "http" {
					waitReadable(t, kept[0]) // The surplus was not read together with the response.
				}
				if second := post(t, transport, base); second.Reused || string(second.Body) != string(first.Body) {
					t.Errorf("%.20q on a connection that was used: %v", second.Body, second.Reused)
				}
			})
		})
	}
}

// TestSurplusTLSRecordIsDetected sends a second TLS record in the same packet as the
// response, so that it is buffered in TLS and not at the socket.
func TestSurplusTLSRecordIsDetected(t *testing.T) {
	for name, end := range map[string]func(*tls.Conn){
		"a second response": func(conn *tls.Conn) { _, _ = conn.Write([]byte(ok("evil"))) },
		"a close_notify":    func(conn *tls.Conn) { _ = conn.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			base := parse(t, "https://"+listen(t, func(p peer) {
				packet := &coalescing{Conn: p.Conn}
				conn := tls.Server(packet, hostTLS)
				p = peer{conn, bufio.NewReader(conn)}
				if _, more := p.read(); !more {
					return
				}
				packet.holding = true
				p.write(ok("body"))
				end(conn)
				_, _ = packet.Conn.Write(packet.held)
				_, _ = packet.Conn.Read(make([]byte, 1)) // Until the client closes.
			}))
			transport := newTransport(t)
			for range 3 {
				if got := post(t, transport, base); string(got.Body) != "body" || got.Reused {
					t.Errorf("%+v", got)
				}
			}
		})
	}
}

// coalescing buffers writes, so that they can be written at once.
type coalescing struct {
	net.Conn
	holding bool
	held    []byte
}

func (c *coalescing) Write(p []byte) (int, error) {
	if !c.holding {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

// SetWriteDeadline does nothing: TLS would prevent writes after close_notify.
func (c *coalescing) SetWriteDeadline(time.Time) error { return nil }
