package wire_test

import (
	"crypto/tls"
	"net/url"
	"strings"
	"testing"

	"conferenced/service/twilio/wire"
)

// TestWhatAConnectionIsKeptAfter: after nothing that leaves a doubt about where
// the answer ends.
func TestWhatAConnectionIsKeptAfter(t *testing.T) {
	tests := []struct {
		name, answer string
		kept         bool
	}{
		{"a length", ok("body"), true},
		{"a long body", ok(long), true},
		{"a length of zero", ok(""), true},
		{"the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", true},
		{"chunks", chunked("body"), true},
		{"long chunks", chunked(long), true},
		{"chunks and trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n1\r\nx\r\n0\r\nT: 1\r\nU: 2\r\n\r\n", true},
		{"interim answers", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 20) + ok("body"), true},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", true},
		{"no content, and a length of zero", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", true},
		{"not modified", "HTTP/1.1 304 Not Modified\r\n\r\n", true},
		{"a long header", "HTTP/1.1 200 OK\r\nA: " + long + "\r\nContent-Length: 1\r\n\r\nx", true},
		{"a long header, and chunks", "HTTP/1.1 200 OK\r\nA: " + long + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
		{"keep-alive", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", true},

		{"a wish to close", "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 1\r\n\r\nx", false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false},
		{"HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", false},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false},
		{"a byte too many", ok("body") + "\n", false},
		{"a second answer", ok("body") + ok("evil"), false},
		{"a second answer after a long body", ok(long) + ok("evil"), false},
		{"a second answer after chunks", chunked("body") + ok("evil"), false},
		{"a second answer after no content", "HTTP/1.1 204 No Content\r\n\r\n" + ok("evil"), false},
		{"an interim answer after the last", ok("body") + "HTTP/1.1 100 Continue\r\n\r\n", false},
		{"chunks and a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n1\r\nx\r\n0\r\n\r\n", false},
		{"a long header, chunks and a length",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: " + long + "\r\ncontent-length: 6\r\n\r\n0\r\n\r\n", false},
		{"an interim answer, then chunks and a length",
			"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
		{"no content, and a length", "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n", false},
		{"no content, and chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"not modified, and a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1\r\n\r\n", false},
		{"an interim answer with a length", "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n" + ok("body"), false},
		{"a name of a header that ends in a blank", "HTTP/1.1 200 OK\r\nContent-Length : 6\r\nContent-Length: 1\r\n\r\nx", false},
		{"a change of protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, answerAll(tt.answer), func(t *testing.T, base *url.URL) {
				pool := newPool(t, wire.Config{})
				post(t, pool, base)
				if got := kept(t, pool, base); got != tt.kept {
					t.Errorf("kept %v, want %v", got, tt.kept)
				}
			})
		})
	}
}

// TestTLSHoldsNothingBack: what came with the answer in one packet, but in
// records of its own, is noticed although nothing is left at the socket.
func TestTLSHoldsNothingBack(t *testing.T) {
	endings := map[string]func(conn *tls.Conn){
		"a second answer": func(conn *tls.Conn) { _, _ = conn.Write([]byte(ok("evil"))) },
		"a farewell":      func(conn *tls.Conn) { _ = conn.CloseWrite() },
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			base := parse(t, "https://"+listen(t, secured(func(p peer) {
				if _, more := p.read(); more {
					p.write(ok("body"))
					end(p.Conn.(*tls.Conn))
					p.wait()
				}
			})))
			pool := newPool(t, wire.Config{})
			for range 3 {
				if got := post(t, pool, base); got.body != "body" || got.used {
					t.Errorf("%+v", got)
				}
			}
		})
	}
}
