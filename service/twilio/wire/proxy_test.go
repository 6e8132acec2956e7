package wire_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"conferenced/service/twilio/wire"
)

// via chooses the proxy at the address, with that user if there is one.
func via(scheme, addr, user string) func(*http.Request) (*url.URL, error) {
	u := &url.URL{Scheme: scheme, Host: addr}
	if user != "" {
		name, password, has := strings.Cut(user, ":")
		if u.User = url.User(name); has {
			u.User = url.UserPassword(name, password)
		}
	}
	return http.ProxyURL(u)
}

// tunnel carries what comes from the peer to the address, and back.
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

// connector is an HTTP proxy that connects all with one host.
func connector(asked chan<- *received, addr string) func(peer) {
	return func(p peer) {
		if r, more := p.read(); more {
			asked <- r
			p.write("HTTP/1.1 200 Connection established\r\nContent-Length: 0\r\n\r\n")
			tunnel(p, addr)
		}
	}
}

// promptly speaks TLS before handle does, which may read and write at a time.
func promptly(handle func(peer)) func(peer) {
	return func(p peer) {
		conn := tls.Server(p.Conn, hostTLS)
		defer conn.Close()
		if conn.Handshake() == nil {
			handle(peer{conn, bufio.NewReader(conn)})
		}
	}
}

func TestPlainRequestsThroughAProxy(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for _, user := range []string{"", "user", "user:pass word", "user:"} {
			t.Run(scheme+" "+user, func(t *testing.T) {
				requests := make(chan *received, 1)
				proxy := func(p peer) {
					for r, more := p.read(); more; r, more = p.read() {
						requests <- r
						p.write(ok("body"))
					}
				}
				if scheme == "https" {
					proxy = secured(proxy)
				}
				pool := newPool(t, wire.Config{Proxy: via(scheme, listen(t, proxy), user)})
				for _, used := range []bool{false, true} {
					if got := post(t, pool, parse(t, "http://api.example:81")); got.body != "body" || got.used != used {
						t.Errorf("%+v", got)
					}
					r := <-requests
					if r.method != "POST" || r.target != "http://api.example:81/path?a=b" || r.host != "api.example:81" || r.body != "form=1" {
						t.Errorf("%+v", r)
					}
					if got, want := r.header.Get("Proxy-Authorization"), authorization(user); got != want {
						t.Errorf("Proxy-Authorization: %q, want %q", got, want)
					}
				}
			})
		}
	}
}

// authorization is the header's value for the user.
func authorization(user string) string {
	if user == "" {
		return ""
	}
	if !strings.Contains(user, ":") {
		user += ":"
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user))
}

func TestTLSThroughAProxy(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for _, user := range []string{"", "user:password"} {
			t.Run(scheme+" "+user, func(t *testing.T) {
				requests, asked := make(chan *received, 1), make(chan *received, 1)
				host := listen(t, secured(func(p peer) {
					for r, more := p.read(); more; r, more = p.read() {
						requests <- r
						p.write(ok(long))
					}
				}))
				proxy := connector(asked, host)
				if scheme == "https" {
					proxy = promptly(proxy)
				}
				pool := newPool(t, wire.Config{Proxy: via(scheme, listen(t, proxy), user)})
				for _, used := range []bool{false, true} {
					if got := post(t, pool, parse(t, "https://EXAMPLE.com")); got.body != long || got.used != used {
						t.Errorf("%+v", got)
					}
					r := <-requests
					if r.target != "/path?a=b" || r.host != "EXAMPLE.com" || r.header.Get("Proxy-Authorization") != "" {
						t.Errorf("%+v", r)
					}
				}
				r := <-asked
				if r.method != "CONNECT" || r.target != "EXAMPLE.com:443" || r.host != "EXAMPLE.com:443" {
					t.Errorf("%+v", r)
				}
				if got, want := r.header.Get("Proxy-Authorization"), authorization(user); got != want {
					t.Errorf("Proxy-Authorization: %q, want %q", got, want)
				}
			})
		}
	}
}

// TestAProxyThatEndsTheTunnel while the connection is unused.
func TestAProxyThatEndsTheTunnel(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			asked := make(chan *received, 9)
			host := listen(t, secured(func(p peer) {
				if _, more := p.read(); more {
					p.write(ok("body"))
				}
			}))
			proxy := connector(asked, host)
			if scheme == "https" {
				proxy = promptly(proxy)
			}
			pool := newPool(t, wire.Config{Proxy: via(scheme, listen(t, proxy), "")})
			base := parse(t, "https://example.com")
			for range 3 {
				post(t, pool, base)
				eventually(t, func() bool { return pool.Idle(base) == 0 || !kept(t, pool, base) })
			}
		})
	}
}

func TestProxiesThatRefuseATunnel(t *testing.T) {
	tests := []struct {
		name, answer, text string
		ends               bool // The proxy closes the connection.
	}{
		{"407", "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=%[1]s\r\nContent-Length: 0\r\n\r\n", "the proxy answered 407", false},
		{"502", "HTTP/1.1 502 Bad Gateway\r\n\r\n%[1]s", "the proxy answered 502", false},
		{"a redirect", "HTTP/1.1 302 %[1]s\r\nLocation: %[1]s\r\n\r\n", "the proxy answered 302", false},
		{"a success that is no tunnel", "HTTP/1.1 202 Accepted\r\n\r\n", "the proxy answered 202", false},
		{"something in the tunnel", "HTTP/1.1 200 OK\r\n\r\n%[1]s", "the answer is not HTTP", false},
		{"no HTTP", "%[1]s\r\n\r\n", "the answer is not HTTP", false},
		{"no header", "HTTP/1.1 200 OK\r\n%[1]s\r\n\r\n", "the answer is not HTTP", false},
		{"an endless header", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<17), "the answer's header is longer than the limit", false},
		{"a cut header", "HTTP/1.1 200 OK\r\nA: %[1]s", "unexpected EOF", true},
		{"nothing", "", "unexpected EOF", true},
	}
	for _, tt := range tests {
		for _, scheme := range []string{"http", "https"} {
			t.Run(tt.name+" "+scheme, func(t *testing.T) {
				closed := make(chan struct{})
				proxy := func(p peer) {
					defer close(closed)
					if r, more := p.read(); more {
						p.write(strings.ReplaceAll(tt.answer, "%[1]s", r.header.Get("Proxy-Authorization")))
					}
					if !tt.ends {
						p.wait()
					}
				}
				if scheme == "https" {
					proxy = secured(proxy)
				}
				pool := newPool(t, wire.Config{Proxy: via(scheme, listen(t, proxy), "user:secret")})
				_, err := pool.Get(t.Context(), parse(t, "https://example.com"))
				if !errors.Is(err, wire.ErrProxy) || !strings.HasSuffix(err.Error(), ": "+tt.text) {
					t.Errorf("error %v, want %q", err, tt.text)
				}
				wantNoPassword(t, err)
				<-closed
			})
		}
	}
}

func wantNoPassword(t *testing.T, err error) {
	t.Helper()
	for _, private := range []string{"secret", base64.StdEncoding.EncodeToString([]byte("user:secret"))} {
		if strings.Contains(err.Error(), private) {
			t.Errorf("%q shows the password", err)
		}
	}
}

// TestProxiesThatSayNothing are waited for until the time limit, or the end of the
// context.
func TestProxiesThatSayNothing(t *testing.T) {
	for _, scheme := range []string{"http", "https", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			base := parse(t, "https://example.com")
			silent := via(scheme, listen(t, func(p peer) { p.wait() }), "user:secret")
			_, err := newPool(t, wire.Config{Proxy: silent, DialTimeout: 20 * time.Millisecond}).Get(t.Context(), base)
			var timeout net.Error
			if !errors.Is(err, wire.ErrProxy) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("error %v, want a timeout", err)
			}
			wantNoPassword(t, err)

			ctx, cancel := context.WithCancel(t.Context())
			silent = via(scheme, listen(t, func(p peer) { cancel(); p.wait() }), "user:secret")
			if _, err := newPool(t, wire.Config{Proxy: silent}).Get(ctx, base); !errors.Is(err, wire.ErrProxy) || ctx.Err() == nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestProxiesThatCannotBeReached(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	for _, scheme := range []string{"http", "https", "socks5", "socks5h"} {
		for _, base := range []string{"http://api.example", "https://api.example"} {
			pool := newPool(t, wire.Config{Proxy: via(scheme, listener.Addr().String(), "user:secret")})
			_, err := pool.Get(t.Context(), parse(t, base))
			if !errors.Is(err, wire.ErrProxy) {
				t.Errorf("%s: error %v", scheme, err)
			}
			wantNoPassword(t, err)
		}
	}
}

func TestAProxyWhoseCertificateIsNotTrusted(t *testing.T) {
	addr := listen(t, secured(answerAll(ok(""))))
	_, port, _ := net.SplitHostPort(addr)
	pool := newPool(t, wire.Config{Proxy: via("https", "localhost:"+port, "user:secret")})
	for _, base := range []string{"http://example.com", "https://example.com"} {
		_, err := pool.Get(t.Context(), parse(t, base))
		if !errors.Is(err, wire.ErrProxy) || errors.Is(err, wire.ErrHandshake) {
			t.Errorf("error %v", err)
		}
	}
}

func TestProxySettingsThatCannotBeUsed(t *testing.T) {
	secret := url.UserPassword("user", "secret")
	tests := []struct {
		name  string
		proxy *url.URL
		err   error
	}{
		{"an error", nil, errors.New("parse http://user:secret@proxy")},
		{"another scheme", &url.URL{Scheme: "ftp", Host: "proxy.example", User: secret}, nil},
		{"no scheme", &url.URL{Host: "proxy.example", User: secret}, nil},
		{"no host", &url.URL{Scheme: "http", User: secret}, nil},
		{"no host's name", &url.URL{Scheme: "http", Host: "a\r\nb", User: secret}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool := newPool(t, wire.Config{Proxy: func(*http.Request) (*url.URL, error) { return tt.proxy, tt.err }})
			_, err := pool.Get(t.Context(), parse(t, "https://example.com"))
			if !errors.Is(err, wire.ErrProxySetting) {
				t.Errorf("error %v", err)
			}
			wantNoPassword(t, err)
		})
	}
}

// TestAProxyIsChosenOncePerHost, even if its choice was not usable before.
func TestAProxyIsChosenOncePerHost(t *testing.T) {
	direct := "http://" + listen(t, answerAll(ok("direct")))
	proxy := via("http", listen(t, answerAll(ok("proxy"))), "")
	var chosen atomic.Int32
	pool := newPool(t, wire.Config{Proxy: func(r *http.Request) (*url.URL, error) {
		if chosen.Add(1) == 1 {
			return nil, errors.New("not now")
		}
		if r.URL.String() == direct && r.Method == "POST" {
			return nil, nil
		}
		return proxy(r)
	}})
	if _, err := pool.Get(t.Context(), parse(t, direct)); !errors.Is(err, wire.ErrProxySetting) {
		t.Errorf("error %v", err)
	}
	for range 3 {
		if got := post(t, pool, parse(t, direct)); got.body != "direct" {
			t.Errorf("%+v", got)
		}
		if got := post(t, pool, parse(t, "http://api.example")); got.body != "proxy" {
			t.Errorf("%+v", got)
		}
	}
	if got := chosen.Load(); got != 3 {
		t.Errorf("a proxy was chosen %d times", got)
	}
}

// fakeSOCKS is a SOCKS5 proxy that connects all with one host.
type fakeSOCKS struct {
	addr, to       string
	user, password string // "": none is asked for.
	reply          byte
	asked          chan string
}

func newSOCKS(t *testing.T, user, password, to string) *fakeSOCKS {
	s := &fakeSOCKS{to: to, user: user, password: password, asked: make(chan string, 9)}
	s.addr = listen(t, s.serve)
	return s
}

func (s *fakeSOCKS) url() *url.URL { return &url.URL{Scheme: "socks5", Host: s.addr} }

func (s *fakeSOCKS) serve(p peer) {
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

// greet agrees on a method, RFC 1928, section 3, and if that asks for a password,
// checks it, RFC 1929.
func (s *fakeSOCKS) greet(p peer) bool {
	methods, more := take(p, 1, 1)
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
	user, more := take(p, 1, 1)
	if !more {
		return false
	}
	password, _ := take(p, 0, 1)
	if user != s.user || password != s.password {
		_, _ = p.Write([]byte{1, 1})
		return false
	}
	_, _ = p.Write([]byte{1, 0})
	return true
}

// request reads where to connect.
func (s *fakeSOCKS) request(p peer) (address string, more bool) {
	head, more := read(p, 4)
	if !more {
		return "", false
	}
	switch head[3] {
	case 1:
		ip, _ := read(p, 4)
		address = net.IP(ip).String()
	case 4:
		ip, _ := read(p, 16)
		address = net.IP(ip).String()
	default:
		address, _ = take(p, 0, 1)
	}
	port, more := read(p, 2)
	if !more {
		return "", false
	}
	return net.JoinHostPort(address, fmt.Sprint(int(port[0])<<8|int(port[1]))), true
}

// take skips bytes and reads a text with its length before it.
func take(p peer, skip, size int) (text string, more bool) {
	head, more := read(p, skip+size)
	if !more {
		return "", false
	}
	b, more := read(p, int(head[skip]))
	return string(b), more
}

func read(p peer, n int) ([]byte, bool) {
	b := make([]byte, n)
	_, err := io.ReadFull(p.requests, b)
	return b, err == nil
}

func TestRequestsThroughSOCKS(t *testing.T) {
	for _, scheme := range []string{"socks5", "socks5h"} {
		for _, user := range []string{"", "user:password"} {
			t.Run(scheme+" "+user, func(t *testing.T) {
				name, password, _ := strings.Cut(user, ":")
				each(t, answerAll(ok(long)), func(t *testing.T, base *url.URL) {
					socks := newSOCKS(t, name, password, base.Host)
					pool := newPool(t, wire.Config{Proxy: via(scheme, socks.addr, user)})
					want := map[string]string{"http": "example.com:80", "https": "example.com:443"}[base.Scheme]
					for _, used := range []bool{false, true} {
						if got := post(t, pool, parse(t, base.Scheme+"://example.com")); got.body != long || got.used != used {
							t.Errorf("%+v", got)
						}
					}
					if got := <-socks.asked; got != want {
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
		user  string
		proxy *fakeSOCKS
	}{
		{"a wrong password", "user:secret", &fakeSOCKS{user: "user", password: "another"}},
		{"no password", "", &fakeSOCKS{user: "user", password: "another"}},
		{"a password that is too long", "user:" + strings.Repeat("secret", 100), &fakeSOCKS{user: "user", password: "another"}},
		{"a host that it does not reach", "user:secret", &fakeSOCKS{reply: 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.proxy.asked = make(chan string, 1)
			pool := newPool(t, wire.Config{Proxy: via("socks5", listen(t, tt.proxy.serve), tt.user)})
			_, err := pool.Get(t.Context(), parse(t, "https://example.com"))
			if !errors.Is(err, wire.ErrProxy) {
				t.Errorf("error %v", err)
			}
			wantNoPassword(t, err)
		})
	}
}
