package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// FuzzResponse answers with arbitrary bytes. RoundTrip must interpret them as
// net/http does, and the next request must always get its own response.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"", "HTTP", ok(""), ok("body"), ok("body") + ok("evil"), ok(long), ok(long) + ok("evil"), chunked("body"), chunked(long) + "x",
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
	} {
		f.Add([]byte(seed))
	}
	host := new(scripted)
	base := parse(f, "http://"+listen(f, host.serve))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if len(answer) > 32<<10 { // The limits of headers differ.
			t.Skip()
		}
		host.begin(answer, true)
		want := byNetHTTPClient(base)
		host.begin(answer, true)
		transport := newTransport(t)
		r, err := transport.RoundTrip(t.Context(), base, simple, nil)
		compare(t, r, err, want)
		if err != nil {
			return
		}
		complete := r.reusable
		r.Close(false)
		if complete {
			testNext(t, host, base, answer)
		}
	})
}

// testNext sends a request after one that is answered by those bytes.
func testNext(t *testing.T, host *scripted, base *url.URL, answer []byte) {
	host.begin(answer, false)
	transport := newTransport(t)
	post(t, transport, base)
	one := isOneResponse(answer)
	if kept := idle(t, transport, base); len(kept) == 1 && !one {
		waitReadable(t, kept[0]) // The surplus was not read together with the response.
	}
	next := post(t, transport, base)
	if string(next.Body) != "next" {
		t.Errorf("the next response is %q after %q", next.Body, answer)
	}
	if next.Reused && !one {
		t.Errorf("the connection is used again after %q", answer)
	}
	if !next.Reused && one && strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		t.Errorf("the connection is not used again after %q", answer)
	}
}

// scripted is a host that answers the first request with given bytes, after which it
// may close the connection, and all other requests correctly.
type scripted struct {
	mu     sync.Mutex
	answer []byte
	closes bool
}

func (s *scripted) begin(answer []byte, closes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.closes = answer, closes
	if answer == nil {
		s.answer = []byte{}
	}
}

func (s *scripted) next() (answer []byte, closes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer == nil {
		return []byte(ok("next")), false
	}
	answer, s.answer = s.answer, nil
	return answer, s.closes
}

func (s *scripted) serve(p peer) {
	for closes := false; !closes; {
		if _, more := p.read(); !more {
			return
		}
		var answer []byte
		answer, closes = s.next()
		_, _ = p.Write(answer)
	}
}

// reply is a response as net/http interprets it.
type reply struct {
	status       int
	body         string
	bodyErr, err error
}

func byNetHTTPClient(base *url.URL) reply {
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true, ReadBufferSize: bufferBytes} // ReadBufferSize limits trailers.
	defer transport.CloseIdleConnections()
	request, _ := http.NewRequest(http.MethodPost, base.String()+"/", strings.NewReader("form=1"))
	response, err := transport.RoundTrip(request)
	if err != nil {
		return reply{err: err}
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return reply{status: response.StatusCode}
	}
	body, err := io.ReadAll(response.Body)
	return reply{status: response.StatusCode, body: string(body), bodyErr: err}
}

func compare(t *testing.T, got *Response, err error, want reply) {
	t.Helper()
	switch {
	case (err == nil) != (want.err == nil):
		t.Errorf("error %v, net/http's %v", err, want.err)
	case err != nil:
	case got.StatusCode != want.status:
		t.Errorf("status %d, net/http's %d", got.StatusCode, want.status)
	case (got.BodyErr == nil) != (want.bodyErr == nil):
		t.Errorf("error of the body %v, net/http's %v", got.BodyErr, want.bodyErr)
	case got.BodyErr == nil && string(got.Body) != want.body:
		t.Errorf("body %q, net/http's %q", got.Body, want.body)
	}
}

// isOneResponse reports whether the bytes are exactly one complete response after
// which the connection may be reused.
func isOneResponse(answer []byte) bool {
	rest := bufio.NewReader(bytes.NewReader(answer))
	for {
		response, err := http.ReadResponse(rest, nil)
		switch {
		case err != nil, response.StatusCode == http.StatusSwitchingProtocols:
			return false
		case response.StatusCode/100 == 1:
			continue
		}
		_, err = io.Copy(io.Discard, response.Body)
		_, left := rest.Peek(1)
		return err == nil && errors.Is(left, io.EOF) && !response.Close
	}
}
