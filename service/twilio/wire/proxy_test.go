package wire

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// via has the transport use the proxy at the address.
func via(t testing.TB, scheme, addr string, user *url.Userinfo) *Transport {
	transport := newTransport(t)
	transport.Proxy = http.ProxyURL(&url.URL{Scheme: scheme, Host: addr, User: user})
	return transport
}

// startProxy returns the address of a proxy, which uses TLS if the scheme is https.
func startProxy(t testing.TB, scheme string, handle func(peer)) (addr string) {
	if scheme == "https" {
		handle = secured(handle)
	}
	return listen(t, handle)
}

// users are the users that a proxy's URL can have, and the header line's value.
var users = map[string]struct {
	user   *url.Userinfo
	header string
}{
	"no user":               {},
	"a user":                {url.User("user"), "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"))},
	"a user and a password": {url.UserPassword("user", "pass word"), "Basic " + base64.StdEncoding.EncodeToString([]byte("user:pass word"))},
}

// tunnel copies bytes between the peer and the address.
func tunnel(p peer, addr string) {
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(p.Conn, to)
		_ = p.Close()
	}()
	_, _ = io.Copy(to, p.requests)
	_ = to.Close()
	<-back
}

func TestPlainRequestThroughAnHTTPProxy(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for name, user := range users {
			t.Run(scheme+", "+name, func(t *testing.T) {
				requests := make(chan *received, 1)
				transport := via(t, scheme, startProxy(t, scheme, func(p peer) {
					for r, more := p.read(); more; r, more = p.read() {
						requests <- r
						p.write(ok("body"))
					}
				}), user.user)
				for _, reused := range []bool{false, true} {
					if got := post(t, transport, parse(t, "http://api.example:81")); string(got.Body) != "body" || got.Reused != reused {
						t.Errorf("%+v", got)
					}
					r := <-requests
					if r.method != "POST" || r.target != "http://api.example:81/path?a=b" || r.host != "api.example:81" || r.body != "form=1" {
						t.Errorf("%+v", r)
					}
					if got := r.header.Get("Proxy-Authorization"); got != user.header {
						t.Errorf("Proxy-Authorization: %q, want %q", got, user.header)
					}
				}
			})
		}
	}
}

func TestTLSThroughAnHTTPProxy(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for name, user := range users {
			t.Run(scheme+", "+name, func(t *testing.T) {
				requests, asked := make(chan *received, 1), make(chan *received, 1)
				host := listen(t, secured(func(p peer) {
					for r, more := p.read(); more; r, more = p.read() {
						requests <- r
						p.write(ok(long))
					}
				}))
				transport := via(t, scheme, startProxy(t, scheme, func(p peer) {
					if r, more := p.read(); more {
						asked <- r
						p.write("HTTP/1.1 200 Connection established\r\nContent-Length: 0\r\n\r\n")
						tunnel(p, host)
					}
				}), user.user)
				for _, reused := range []bool{false, true} {
					if got := post(t, transport, parse(t, "https://example.com")); string(got.Body) != long || got.Reused != reused {
						t.Errorf("%.20q, reused %v", got.Body, got.Reused)
					}
					r := <-requests
					if r.target != "/path?a=b" || r.host != "example.com" || r.header.Get("Proxy-Authorization") != "" {
						t.Errorf("%+v", r)
					}
				}
				r := <-asked
				if r.method != "CONNECT" || r.target != "example.com:443" || r.header.Get("Proxy-Authorization") != user.header {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// wantProxyError checks that nothing was sent because of the proxy, and that the
// error does not contain its password.
func wantProxyError(t *testing.T, err, want error) {
	t.Helper()
	wantNotSent(t, err, want)
	for _, private := range []string{"secret", base64.StdEncoding.EncodeToString([]byte("user:secret"))} {
		if err != nil && strings.Contains(err.Error(), private) {
			t.Errorf("%q shows the password", err)
		}
	}
}

var secretUser = url.UserPassword("user", "secret")

func TestProxyThatRefusesATunnel(t *testing.T) {
	tests := []struct {
		name, answer, text string
	}{
		{"407", "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=%[1]s\r\nContent-Length: 0\r\n\r\n", "the proxy answered 407"},
		{"502", "HTTP/1.1 502 Bad Gateway\r\n\r\n%[1]s", "the proxy answered 502"},
		{"a redirect", "HTTP/1.1 302 %[1]s\r\nLocation: %[1]s\r\n\r\n", "the proxy answered 302"},
		{"a 2xx other than 200", "HTTP/1.1 202 Accepted\r\n\r\n", "the proxy answered 202"},
		{"no HTTP", "%[1]s\r\n\r\n", ErrMalformed.Error()},
		{"an endless header", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<17), ErrTooLarge.Error()},
		{"a cut header", "HTTP/1.1 200 OK\r\nA: %[1]s", "unexpected EOF"},
		{"nothing", "", "unexpected EOF"},
	}
	for _, tt := range tests {
		for _, scheme := range []string{"http", "https"} {
			t.Run(tt.name+", "+scheme, func(t *testing.T) {
				transport := via(t, scheme, startProxy(t, scheme, func(p peer) {
					if r, more := p.read(); more {
						p.write(strings.ReplaceAll(tt.answer, "%[1]s", r.header.Get("Proxy-Authorization")))
						if c, is := p.Conn.(interface{ CloseWrite() error }); is {
							_ = c.CloseWrite()
						}
						p.wait()
					}
				}), secretUser)
				_, err := exchange(t.Context(), transport, parse(t, "https://example.com"), nil)
				wantProxyError(t, err, ErrProxy)
				if err != nil && !strings.HasSuffix(err.Error(), ": "+tt.text) {
					t.Errorf("error %q, want %q", err, tt.text)
				}
			})
		}
	}
}

func TestSilentProxy(t *testing.T) {
	for _, scheme := range []string{"http", "https", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			base := parse(t, "https://example.com")
			transport := via(t, scheme, listen(t, func(p peer) { p.wait() }), secretUser)
			transport.ConnectTimeout = 20 * time.Millisecond
			_, err := exchange(t.Context(), transport, base, nil)
			wantProxyError(t, err, os.ErrDeadlineExceeded)

			ctx, cancel := context.WithCancel(t.Context())
			transport = via(t, scheme, listen(t, func(p peer) { cancel(); p.wait() }), secretUser)
			_, err = exchange(ctx, transport, base, nil)
			wantProxyError(t, err, context.Canceled)
		})
	}
}

func TestUnreachableProxy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	untrusted := listen(t, secured(answerAll(ok(""))))
	_, port, _ := net.SplitHostPort(untrusted)
	for _, base := range []string{"http://api.example", "https://api.example"} {
		for _, scheme := range []string{"http", "https", "socks5", "socks5h"} {
			_, err := exchange(t.Context(), via(t, scheme, listener.Addr().String(), secretUser), parse(t, base), nil)
			wantProxyError(t, err, ErrProxy)
		}
		_, err := exchange(t.Context(), via(t, "https", "localhost:"+port, secretUser), parse(t, base), nil)
		wantProxyError(t, err, ErrProxy)
	}
}

func TestProxySettings(t *testing.T) {
	calls, direct := 0, parse(t, "http://"+listen(t, answerAll(ok("direct"))))
	transport := newTransport(t)
	var proxy *url.URL
	var proxyErr error
	transport.Proxy = func(*http.Request) (*url.URL, error) { calls++; return proxy, proxyErr }
	for name, unusable := range map[string]*url.URL{
		"another scheme": {Scheme: "ftp", Host: "proxy.example", User: secretUser},
		"no scheme":      {Host: "proxy.example", User: secretUser},
		"no host":        {Scheme: "http", User: secretUser},
	} {
		t.Run(name, func(t *testing.T) {
			proxy = unusable
			_, err := exchange(t.Context(), transport, direct, nil)
			wantProxyError(t, err, ErrProxySetting)
		})
	}
	t.Run("an error", func(t *testing.T) {
		proxy, proxyErr = nil, errors.New("parse http://user:secret@proxy")
		_, err := exchange(t.Context(), transport, direct, nil)
		wantProxyError(t, err, ErrProxySetting)
	})
	t.Run("once for each host", func(t *testing.T) {
		calls, proxyErr = 0, nil
		for range 3 {
			post(t, transport, direct)
		}
		if calls != 1 {
			t.Errorf("the proxy was chosen %d times", calls)
		}
	})
}

// socks is a SOCKS5 proxy that connects all with one host.
type socks struct {
	to             string
	user, password string // Empty: not required.
	reply          byte
	asked          chan string
}

func (s *socks) serve(p peer) {
	if !s.greet(p) {
		return
	}
	address, more := s.request(p)
	if !more {
		return
	}
	s.asked <- address
	_, _ = p.Write([]byte{5, s.reply, 0, 1, 0, 0, 0, 0, 0, 0})
	if s.reply == 0 {
		tunnel(p, s.to)
	}
}

// greet negotiates a method (RFC 1928, section 3) and checks the password if the
// method requires one (RFC 1929).
func (s *socks) greet(p peer) bool {
	methods, more := take(p, 1)
	switch {
	case !more:
		return false
	case s.user == "":
		_, _ = p.Write([]byte{5, 0})
		return true
	case !strings.Contains(methods, "\x02"):
		_, _ = p.Write([]byte{5, 0xff})
		return false
	}
	_, _ = p.Write([]byte{5, 2})
	user, _ := take(p, 1)
	password, _ := take(p, 0)
	wrong := user != s.user || password != s.password
	_, _ = p.Write([]byte{1, map[bool]byte{true: 1}[wrong]})
	return !wrong
}

// request reads where to connect: a name.
func (s *socks) request(p peer) (address string, more bool) {
	name, _ := take(p, 4)
	port := make([]byte, 2)
	_, err := io.ReadFull(p.requests, port)
	return net.JoinHostPort(name, fmt.Sprint(int(port[0])<<8|int(port[1]))), err == nil
}

// take skips bytes and reads a text with its length before it.
func take(p peer, skip int) (text string, more bool) {
	head := make([]byte, skip+1)
	if _, err := io.ReadFull(p.requests, head); err != nil {
		return "", false
	}
	b := make([]byte, head[skip])
	_, err := io.ReadFull(p.requests, b)
	return string(b), err == nil
}

func TestRequestThroughSOCKS(t *testing.T) {
	for _, scheme := range []string{"socks5", "socks5h"} {
		for _, user := range []*url.Userinfo{nil, url.UserPassword("user", "password")} {
			t.Run(fmt.Sprint(scheme, ", ", user), func(t *testing.T) {
				each(t, answerAll(ok(long)), func(t *testing.T, base *url.URL) {
					proxy := &socks{to: base.Host, asked: make(chan string, 1)}
					if user != nil {
						proxy.user, proxy.password = "user", "password"
					}
					transport := via(t, scheme, listen(t, proxy.serve), user)
					for _, reused := range []bool{false, true} {
						if got := post(t, transport, parse(t, base.Scheme+"://example.com")); string(got.Body) != long || got.Reused != reused {
							t.Errorf("%.20q, reused %v", got.Body, got.Reused)
						}
					}
					want := map[string]string{"http": "example.com:80", "https": "example.com:443"}[base.Scheme]
					if got := <-proxy.asked; got != want {
						t.Errorf("a connection to %s, want %s", got, want)
					}
				})
			})
		}
	}
}

func TestSOCKSThatRefuses(t *testing.T) {
	tests := []struct {
		name  string
		user  *url.Userinfo
		proxy *socks
	}{
		{"a wrong password", secretUser, &socks{user: "user", password: "another"}},
		{"no password", nil, &socks{user: "user", password: "another"}},
		{"a password that is too long", url.UserPassword("user", strings.Repeat("secret", 100)), &socks{user: "user", password: "another"}},
		{"a host that it does not reach", secretUser, &socks{reply: 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.proxy.asked = make(chan string, 1)
			_, err := exchange(t.Context(), via(t, "socks5", listen(t, tt.proxy.serve), tt.user), parse(t, "https://example.com"), nil)
			wantProxyError(t, err, ErrProxy)
		})
	}
}
