package wire

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequestBytes(t *testing.T) {
	arrived := make(chan string, 1)
	addr := listen(t, func(p peer) {
		b := make([]byte, 4096)
		for n, err := p.Read(b); err == nil; n, err = p.Read(b) {
			arrived <- string(b[:n])
			p.write(ok(""))
		}
	})
	transport := newTransport(t)
	tests := []struct {
		name, want string
		request    Request
	}{
		{"a form", "POST /p?a=b HTTP/1.1\r\nHost: " + addr + "\r\nX: y\r\nContent-Length: 6\r\n\r\nform=1",
			Request{Method: "POST", Path: "/p?a=b", Header: []byte("X: y\r\n"), Body: []byte("form=1")}},
		{"POST without a body", "POST / HTTP/1.1\r\nHost: " + addr + "\r\nContent-Length: 0\r\n\r\n", Request{Method: "POST", Path: "/"}},
		{"GET", "GET / HTTP/1.1\r\nHost: " + addr + "\r\n\r\n", Request{Method: "GET", Path: "/"}},
		{"DELETE", "DELETE / HTTP/1.1\r\nHost: " + addr + "\r\n\r\n", Request{Method: "DELETE", Path: "/"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := transport.RoundTrip(t.Context(), parse(t, "http://"+addr), &tt.request, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Close(true)
			if got := <-arrived; got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestResponses(t *testing.T) {
	longest := strings.Repeat("x", 200_000)
	tests := []struct {
		name, answer string
		status       int
		body         string
		header       http.Header
		kept         bool // The connection is used again.
	}{
		{"a length", ok("body"), 200, "body", http.Header{"Content-Length": {"4"}}, true},
		{"no body", ok(""), 200, "", http.Header{"Content-Length": {"0"}}, true},
		{"chunks", chunked(long), 200, long, http.Header{}, true},
		{"chunks with extensions and trailers",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n1;a=b\r\nx\r\n0;c\r\nT: 1\r\n\r\n", 200, "x", http.Header{}, true},
		{"no reason", "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", 500, "", http.Header{"Content-Length": {"0"}}, true},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", http.Header{}, true},
		{"interim responses", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + ok("body"), 200, "body",
			http.Header{"Content-Length": {"4"}}, true},
		{"a body as long as the limit", ok(longest), 200, longest, http.Header{"Content-Length": {"200000"}}, true},
		{"chunks as long as the limit", chunked(longest), 200, longest, http.Header{}, true},
		{"Connection: close", "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 1\r\n\r\nx", 200, "x",
			http.Header{"Content-Length": {"1"}}, false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", http.Header{"Content-Length": {"1"}}, false},
		{"a change of protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbytes", 101, "",
			http.Header{"Connection": {"Upgrade"}, "Upgrade": {"x"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, answerAll(tt.answer), func(t *testing.T, base *url.URL) {
				transport := newTransport(t)
				transport.MaxBodyBytes = int64(len(longest))
				for _, reused := range []bool{false, tt.kept} {
					got := post(t, transport, base)
					if got.StatusCode != tt.status || string(got.Body) != tt.body || got.Reused != reused {
						t.Errorf("%d, %.20q, reused %v", got.StatusCode, got.Body, got.Reused)
					}
					if diff := cmp.Diff(tt.header, got.Header); diff != "" {
						t.Error(diff)
					}
				}
			})
		})
	}
}

func TestResponseThatEndsWithTheConnection(t *testing.T) {
	each(t, func(p peer) { p.read(); p.write("HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n" + long) }, func(t *testing.T, base *url.URL) {
		transport := newTransport(t)
		if got := post(t, transport, base); got.StatusCode != 404 || string(got.Body) != long || len(idle(t, transport, base)) != 0 {
			t.Errorf("%d, %.20q", got.StatusCode, got.Body)
		}
	})
}

func TestConnectionIsClosedOnRequest(t *testing.T) {
	closed := make(chan struct{}, 1)
	base := parse(t, "http://"+listen(t, func(p peer) { answerAll(ok(""))(p); closed <- struct{}{} }))
	transport := newTransport(t)
	for range 2 {
		r, err := transport.RoundTrip(t.Context(), base, simple, nil)
		if err != nil || r.Reused {
			t.Fatalf("%+v, %v", r, err)
		}
		r.Close(false)
		<-closed
	}
}

func TestNoResponse(t *testing.T) {
	tests := []struct {
		name, answer string
		want         error
	}{
		{"nothing", "", io.ErrUnexpectedEOF},
		{"a truncated status line", "HTTP/1.1 200 secr", io.ErrUnexpectedEOF},
		{"a truncated header", "HTTP/1.1 200 OK\r\nA: secret", io.ErrUnexpectedEOF},
		{"only an interim response", "HTTP/1.1 100 Continue\r\n\r\n", io.ErrUnexpectedEOF},
		{"another protocol", "220 secret.example ESMTP\r\n\r\n", ErrMalformed},
		{"a status that is not a number", "HTTP/1.1 2xx secret\r\n\r\n", ErrMalformed},
		{"a header line without a colon", "HTTP/1.1 200 OK\r\nsecret\r\n\r\n", ErrMalformed},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", ErrMalformed},
		{"a length that is not a number", "HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n", ErrMalformed},
		{"another encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: secret\r\n\r\n", ErrMalformed},
		{"an endless line", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("secret", 20_000), ErrTooLarge},
		{"endless lines", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: secret\r\n", 20_000), ErrTooLarge},
		{"endless interim responses", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20_000), ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(p peer) { p.read(); p.write(tt.answer) }, func(t *testing.T, base *url.URL) {
				_, err := exchange(t.Context(), newTransport(t), base, nil)
				got, is := errors.AsType[*Error](err)
				if !is || !got.Sent || !errors.Is(err, tt.want) {
					t.Fatalf("%+v, want one that was sent and failed by %v", err, tt.want)
				}
				if strings.Contains(err.Error(), "secr") {
					t.Errorf("%q quotes the response", err)
				}
			})
		})
	}
}

func TestIncompleteBody(t *testing.T) {
	const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	tests := []struct {
		name, answer string
		want         error
	}{
		{"a truncated body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", io.ErrUnexpectedEOF},
		{"a truncated chunk", chunks + "5\r\nbody", io.ErrUnexpectedEOF},
		{"no last chunk", chunks + "4\r\nbody\r\n", io.ErrUnexpectedEOF},
		{"a chunk whose length is not a number", chunks + "4\r\nbody\r\nsecret\r\n", ErrMalformed},
		{"a trailer without a colon", chunks + "4\r\nbody\r\n0\r\nsecret\r\n\r\n", ErrMalformed},
		{"a body over the limit", ok("body" + long), ErrTooLarge},
		{"chunks over the limit", chunks + "4\r\nbody\r\n" + strings.Repeat("1\r\nx\r\n", 10_000), ErrTooLarge},
		{"a body without end", "HTTP/1.1 200 OK\r\n\r\nbody" + strings.Repeat("x", 1<<20), ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(p peer) { p.read(); p.write(tt.answer) }, func(t *testing.T, base *url.URL) {
				transport := newTransport(t)
				transport.MaxBodyBytes = int64(len(long))
				got, err := exchange(t.Context(), transport, base, nil)
				if err != nil || got.StatusCode != 200 || !strings.HasPrefix(string(got.Body), "body") {
					t.Fatalf("%+v, %v", got, err)
				}
				if !errors.Is(got.BodyErr, tt.want) || strings.Contains(got.BodyErr.Error(), "secret") {
					t.Errorf("error %v, want %v", got.BodyErr, tt.want)
				}
				if len(idle(t, transport, base)) != 0 {
					t.Error("the connection is kept")
				}
			})
		})
	}
}
