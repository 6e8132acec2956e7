package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"conferenced/service/twilio/wire"
)

// script is a connection on which the bytes of an answer can be read once the
// request for it was written, and then an end.
type script struct {
	net.Conn // nil: nothing else is called.
	answers  [][]byte
	step     int   // How many bytes are read at a time, at most.
	end      error // After the last answer.

	mu     sync.Mutex
	change sync.Cond
	rest   []byte
	begun  bool
	closed bool
}

func newScript(step int, end error, answers ...[]byte) *script {
	s := &script{answers: answers, step: step, end: end}
	s.change.L = &s.mu
	return s
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) > 0 {
		s.rest, s.answers = append(s.rest, s.answers[0]...), s.answers[1:]
	}
	s.begun = true
	s.change.Broadcast()
	return len(p), nil
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed && !s.begun {
		s.change.Wait()
	}
	if s.closed {
		return 0, net.ErrClosed
	}
	n := copy(p[:min(len(p), s.step)], s.rest)
	if s.rest = s.rest[n:]; n > 0 {
		return n, nil
	}
	if len(s.answers) > 0 { // Nothing is said unasked.
		return 0, os.ErrDeadlineExceeded
	}
	return 0, s.end
}

func (s *script) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.change.Broadcast()
	return nil
}

func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// unread is what was not read of the answers, as a socket would tell.
func (s *script) unread() int { return len(s.rest) }

// byNetHTTP is what net/http makes of the answer.
func byNetHTTP(answer []byte, step int) outcome {
	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return newScript(step, io.EOF, answer), nil
		},
		DisableCompression: true,
		DisableKeepAlives:  true,
		ReadBufferSize:     2 << 10, // Which limits trailers.
	}
	defer transport.CloseIdleConnections()
	request, _ := http.NewRequest(http.MethodPost, nowhere.String()+"/", strings.NewReader("form=1"))
	resp, err := transport.RoundTrip(request)
	if err != nil {
		return outcome{err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return outcome{status: resp.StatusCode}
	}
	body, err := io.ReadAll(resp.Body)
	return outcome{status: resp.StatusCode, body: string(body), bodyErr: err}
}

// isOneAnswer says whether the bytes are one complete answer, after which HTTP
// lets another follow, and nothing else.
func isOneAnswer(answer []byte) bool {
	rest := bufio.NewReader(bytes.NewReader(answer))
	for {
		resp, err := http.ReadResponse(rest, nil)
		switch {
		case err != nil, resp.StatusCode == http.StatusSwitchingProtocols:
			return false
		case resp.StatusCode/100 == 1:
			continue
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_, left := rest.Peek(1)
		return err == nil && left == io.EOF && !resp.Close
	}
}

// isPlain says that nothing but a body's length, once, tells where an answer ends.
func isPlain(answer []byte) bool {
	lower := bytes.ToLower(answer)
	return bytes.HasPrefix(lower, []byte("http/1.1 200 ")) && bytes.Count(lower, []byte("content-length")) == 1 &&
		!bytes.Contains(lower, []byte("transfer-encoding")) && !bytes.Contains(lower, []byte(" :"))
}

// FuzzAnswers takes bytes for an answer on a kept connection. Receive must agree
// with net/http on what they are, and the connection may serve another exchange
// only if they are one answer and nothing else.
func FuzzAnswers(f *testing.F) {
	seeds := []string{
		"", "HTTP", ok(""), ok("body"), ok("body") + ok("evil"), ok(long), chunked("body"), chunked(long) + "x",
		"HTTP/1.1 200 OK\r\n\r\nbody", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
		"HTTP/1.1 103 Early Hints\r\n\r\n" + ok("body"), "HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\nxyz" + ok("body"),
		"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody", "HTTP/1.1 304 Not Modified\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbytes",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n1\r\nx\r\n0\r\nT: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"HTTP/1.1 200 OK\r\nContent-Length : 6\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 1\r\n\r\nx", "HTTP/9.9 299\r\nContent-Length: 0\r\n\r\n",
	}
	for _, seed := range seeds {
		for _, step := range []uint16{1, 7, 60_000} {
			f.Add([]byte(seed), step)
		}
	}
	f.Fuzz(func(t *testing.T, answer []byte, step uint16) {
		if step == 0 || len(answer) > 32<<10 { // Header limits differ.
			t.Skip()
		}
		closing := second(t, newPool(t, wire.Config{}), newScript(int(step), io.EOF, []byte(ok("first")), answer))
		compare(t, closing, byNetHTTP(answer, int(step)))

		pool := newPool(t, wire.Config{})
		staying := newScript(int(step), os.ErrDeadlineExceeded, []byte(ok("first")), answer, []byte(ok("third")))
		second(t, pool, staying)
		isKept := staying.unread() == 0 && pool.Idle(nowhere) == 1 && kept(t, pool, nowhere)
		if isKept && !isOneAnswer(answer) {
			t.Errorf("the connection is kept after %q", answer)
		}
		if !isKept && isOneAnswer(answer) && isPlain(answer) {
			t.Errorf("the connection is not kept after %q", answer)
		}
		if !isKept {
			return
		}
		if got := exchange(t.Context(), get(t, pool, nowhere)); got.body != "third" || got.err != nil {
			t.Errorf("%+v after %q", got, answer)
		}
	})
}

// second is the outcome of the second exchange on the connection.
func second(t *testing.T, pool *wire.Pool, s *script) outcome {
	conn, err := pool.Adopt(nowhere, s)
	if err != nil {
		t.Fatal(err)
	}
	if got := exchange(t.Context(), conn); got.body != "first" {
		t.Fatalf("%+v", got)
	}
	return exchange(t.Context(), get(t, pool, nowhere))
}

func compare(t *testing.T, got, want outcome) {
	t.Helper()
	switch {
	case (got.err == nil) != (want.err == nil):
		t.Errorf("error %v, net/http's %v", got.err, want.err)
	case got.status != want.status:
		t.Errorf("status %d, net/http's %d", got.status, want.status)
	case (got.bodyErr == nil) != (want.bodyErr == nil):
		t.Errorf("error of the body %v, net/http's %v", got.bodyErr, want.bodyErr)
	case got.bodyErr == nil && got.body != want.body:
		t.Errorf("body %q, net/http's %q", got.body, want.body)
	}
}
