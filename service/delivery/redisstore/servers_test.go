package redisstore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"conferenced/service/delivery/redisstore/redistest"
	"conferenced/service/outcome"
)

// node is a real Redis, or one of its sentinels, on a port of its own.
type node struct {
	*redistest.Server
	port string
}

func (n *node) address() string { return "127.0.0.1:" + n.port }

// launch starts a Redis that ends with the test. args is called again with another
// port if that is in use.
func launch(t testing.TB, args func(port string) []string) *node {
	t.Helper()
	n := startNode(t, t.TempDir(), args)
	t.Cleanup(n.Kill)
	return n
}

// startNode is launch for a node in that directory, which the caller must kill.
func startNode(t testing.TB, dir string, args func(port string) []string) *node {
	t.Helper()
	const ports = 10
	for range ports {
		port := freePort(t)
		n := &node{redistest.NewServer(t, dir, args(port)...), port}
		if n.Start() == nil {
			return n
		}
	}
	t.Fatalf("no redis-server starts on any of %d ports", ports)
	return nil
}

// launchPlain starts a Redis without TLS.
func launchPlain(t testing.TB, more ...string) *node {
	t.Helper()
	return launch(t, func(port string) []string {
		return append([]string{"--bind", "127.0.0.1", "--port", port, "--save", ""}, more...)
	})
}

// command executes a command on a connection of its own.
func command(t testing.TB, address string, words ...string) (string, error) {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true, DisableRetry: true,
	})
	if err != nil {
		return "", err
	}
	defer client.Close()
	answer := client.Do(t.Context(), client.B().Arbitrary(words...).Build())
	if err := answer.Error(); err != nil {
		return "", err
	}
	if text, err := answer.ToString(); err == nil {
		return text, nil
	}
	if number, err := answer.ToInt64(); err == nil {
		return strconv.FormatInt(number, 10), nil
	}
	return answer.String(), nil
}

// order is command for a command that must succeed.
func order(t testing.TB, address string, words ...string) string {
	t.Helper()
	answer, err := command(t, address, words...)
	if err != nil {
		t.Fatalf("%s: %v", words[0], err)
	}
	return answer
}

// logbook has what a store has logged.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count returns how often the text was logged.
func (l *logbook) count(text string) int { return strings.Count(l.String(), text) }

// dialLogged is dial with the store's log.
func dialLogged(t *testing.T, cfg Config) (*Store, *logbook) {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = cfg.Lease / 2
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	book := &logbook{}
	s, err := Dial(cfg, testBounds(), slog.New(slog.NewTextHandler(book, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, book
}

// wantShared wants two replicas to share queues and request ids, and to notify each
// other.
func wantShared(t *testing.T, one, other *Store) {
	t.Helper()
	for _, s := range []*Store{one, other} {
		await(t, "the replica reaches Redis", func() bool { return reaches(t, s) })
		await(t, "the replica listens", func() bool { return s.listens(t) })
	}
	wantNotified(t, one, other)
}

// wantNotified is wantShared for replicas that listen.
func wantNotified(t *testing.T, one, other *Store) {
	t.Helper()
	first := join(t, one, "CA1", announce)
	second := join(t, other, "CA1", announce)
	wantBegins(t, "the first", first)
	wantWaits(t, "the second", second)
	finish(first, outcome.Yes)
	send(t, "the second", second)
	claimNew(t, one, key("1"))
	if err := one.Hold(within(t), key("1")); err != nil {
		t.Errorf("the request id is not held: %v", err)
	}
	one.Settle(key("1"), nil)
	claimNew(t, other, key("1"))
	other.Settle(key("1"), nil)
}

// reaches reports whether the store gets an announcement into a queue in Redis.
func reaches(t *testing.T, s *Store) bool {
	t.Helper()
	e, err := s.Join(within(t), queued("caller", "CA0", announce))
	if err == nil {
		e.Leave()
	}
	return err == nil
}

// wantUnreached wants the store not to reach Redis, and to log why.
func wantUnreached(t *testing.T, s *Store, book *logbook, cause string) {
	t.Helper()
	await(t, "it is logged", func() bool { return book.count("redis cannot be asked") == 1 })
	if !strings.Contains(book.String(), cause) {
		t.Errorf("logged: %s\nwant the cause %q", book, cause)
	}
	if reaches(t, s) {
		t.Error("Redis is reached")
	}
}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

// newAuthority returns a CA with its certificate in a file.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{certificate: template, key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	writePEM(t, a.file, "CERTIFICATE", a.sign(t, template, a.key))
	return a
}

// issue writes a certificate for the name, and its key, to files.
func (a *authority) issue(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	dir, own := t.TempDir(), newKey(t)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, certFile, "CERTIFICATE", a.sign(t, template, own))
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, keyFile, "PRIVATE KEY", der)
	return certFile, keyFile
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, own *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, own.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// launchTLS starts a Redis that accepts only TLS, and client certificates of the CA.
func launchTLS(t *testing.T, ca *authority, name string, more ...string) *node {
	t.Helper()
	cert, key := ca.issue(t, name)
	return launch(t, func(port string) []string {
		return append([]string{
			"--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--save", "",
			"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.file,
		}, more...)
	})
}
