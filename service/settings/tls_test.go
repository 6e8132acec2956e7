package settings

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"conferenced/service/certtest"
)

// issuedLongAgo returns a certificate that has expired.
func issuedLongAgo(t *testing.T) *tls.Certificate {
	t.Helper()
	return certtest.New(t, nil, &x509.Certificate{NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0)})
}

// serveTLS answers each line with the first DNS name of the client's certificate.
func serveTLS(t *testing.T, config *tls.Config) net.Addr {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(conn.(*tls.Conn))
		}
	}()
	return listener.Addr()
}

func answer(conn *tls.Conn) {
	defer conn.Close()
	lines := bufio.NewReader(conn)
	for {
		if _, err := lines.ReadString('\n'); err != nil {
			return
		}
		name := "nobody"
		if certs := conn.ConnectionState().PeerCertificates; len(certs) > 0 {
			name = certs[0].DNSNames[0]
		}
		if _, err := io.WriteString(conn, name+"\n"); err != nil {
			return
		}
	}
}

// client is a connection.
type client struct {
	*tls.Conn
	lines *bufio.Reader
}

// ask returns the name that the server sees.
func (c *client) ask() (string, error) {
	if _, err := io.WriteString(c, "who am I?\n"); err != nil {
		return "", err
	}
	line, err := c.lines.ReadString('\n')
	return strings.TrimSpace(line), err
}

// dial connects, and returns the result of ask.
func dial(t *testing.T, addr net.Addr, config *tls.Config) (*client, string, error) {
	t.Helper()
	config.ServerName = "localhost"
	conn, err := tls.Dial("tcp", addr.String(), config)
	if err != nil {
		return nil, "", err
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{conn, bufio.NewReader(conn)}
	name, err := c.ask()
	return c, name, err
}

func TestTLSConfigWithoutCertificate(t *testing.T) {
	live, err := NewLive(Files{}, Base{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if live.TLSConfig() != nil {
		t.Error("there is TLS without a certificate")
	}
}

func TestCertificateRotates(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewCA(t, "ca")
	old, next := certtest.Issue(t, ca, "localhost", "old"), certtest.Issue(t, ca, "localhost", "new")
	files := Files{TLSCert: write(t, dir, "crt", certtest.PEM(old)), TLSKey: write(t, dir, "key", certtest.KeyPEM(t, old))}
	live, err := NewLive(files, Base{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	addr := serveTLS(t, live.TLSConfig())
	served := func() string {
		t.Helper()
		c, _, err := dial(t, addr, &tls.Config{RootCAs: certtest.Pool(ca)})
		if err != nil {
			t.Fatal(err)
		}
		return c.ConnectionState().PeerCertificates[0].DNSNames[1]
	}
	if got := served(); got != "old" {
		t.Errorf("before: %s", got)
	}
	open, _, err := dial(t, addr, &tls.Config{RootCAs: certtest.Pool(ca)})
	if err != nil {
		t.Fatal(err)
	}

	// Half of the new pair is refused, and the old pair stays.
	write(t, dir, "crt", certtest.PEM(next))
	if err := live.Reload(); err == nil {
		t.Error("a certificate was loaded without its key")
	}
	if got := served(); got != "old" {
		t.Errorf("half way: %s", got)
	}

	write(t, dir, "key", certtest.KeyPEM(t, next))
	if err := live.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := served(); got != "new" {
		t.Errorf("after: %s", got)
	}
	if _, err := open.ask(); err != nil {
		t.Errorf("a connection that exists: %v", err)
	}
}

func TestClientCARotates(t *testing.T) {
	dir := t.TempDir()
	ca, oldCA, newCA := certtest.NewCA(t, "ca"), certtest.NewCA(t, "old"), certtest.NewCA(t, "new")
	server := certtest.Issue(t, ca, "localhost")
	files := Files{
		ClientCA: write(t, dir, "ca", certtest.PEM(oldCA)),
		TLSCert:  write(t, dir, "crt", certtest.PEM(server)), TLSKey: write(t, dir, "key", certtest.KeyPEM(t, server)),
	}
	live, err := NewLive(files, Base{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	addr := serveTLS(t, live.TLSConfig())
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			config := func(certs ...*tls.Certificate) *tls.Config {
				return &tls.Config{
					RootCAs: certtest.Pool(ca), MinVersion: version, MaxVersion: version,
					// Not Certificates: the client would leave out what the
					// server's list of CAs does not name.
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						if len(certs) == 0 {
							return new(tls.Certificate), nil
						}
						return certs[0], nil
					},
					ClientSessionCache: tls.NewLRUClientSessionCache(1),
				}
			}
			old, next, none := config(certtest.Issue(t, oldCA, "alice")), config(certtest.Issue(t, newCA, "bob")), config()
			trust := func(ca *tls.Certificate) {
				t.Helper()
				write(t, dir, "ca", certtest.PEM(ca))
				if err := live.Reload(); err != nil {
					t.Fatal(err)
				}
			}
			expect := func(when string, config *tls.Config, want string) *client {
				t.Helper()
				c, got, err := dial(t, addr, config)
				if got != want || (err == nil) != (want != "") {
					t.Errorf("%s: got %q, %v, want %q", when, got, err, want)
				}
				return c
			}
			trust(oldCA)
			expect("no certificate", none, "nobody")
			expect("a certificate of the old CA", old, "alice")
			if c := expect("the same, resumed", old, "alice"); c != nil && !c.ConnectionState().DidResume {
				t.Error("sessions are not resumed")
			}
			expect("a certificate of the new CA, too early", next, "")

			trust(newCA)
			expect("no certificate, after", none, "nobody")
			expect("a certificate of the old CA, after, with a session", old, "")
			expect("a certificate of the new CA, after", next, "bob")
		})
	}
}

func TestTLSVersionsAndProtocols(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewCA(t, "ca")
	server := certtest.Issue(t, ca, "localhost")
	files := Files{TLSCert: write(t, dir, "crt", certtest.PEM(server)), TLSKey: write(t, dir, "key", certtest.KeyPEM(t, server))}
	live, err := NewLive(files, Base{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	addr := serveTLS(t, live.TLSConfig())
	for _, test := range []struct {
		name    string
		version uint16
		offered []string
		want    string
		fails   bool
	}{
		{name: "TLS 1.0", version: tls.VersionTLS10, fails: true},
		{name: "TLS 1.1", version: tls.VersionTLS11, fails: true},
		{name: "TLS 1.2", version: tls.VersionTLS12},
		{name: "HTTP/2", version: tls.VersionTLS13, offered: []string{"http/1.1", "h2"}, want: "h2"},
		{name: "HTTP/1.1", version: tls.VersionTLS13, offered: []string{"http/1.1"}, want: "http/1.1"},
		{name: "another protocol", version: tls.VersionTLS13, offered: []string{"smtp"}, fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, err := dial(t, addr, &tls.Config{
				RootCAs: certtest.Pool(ca), MinVersion: test.version, MaxVersion: test.version, NextProtos: test.offered,
			})
			switch {
			case test.fails:
				if err == nil {
					t.Error("it was accepted")
				}
			case err != nil:
				t.Error(err)
			case c.ConnectionState().NegotiatedProtocol != test.want:
				t.Errorf("protocol %q", c.ConnectionState().NegotiatedProtocol)
			}
		})
	}
}
