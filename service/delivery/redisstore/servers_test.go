package redisstore

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"conferenced/service/certtest"
	"conferenced/service/delivery/redisstore/redistest"
	"conferenced/service/logtest"
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
type logbook struct{ logtest.Buffer }

// count returns how often the text was logged.
func (l *logbook) count(text string) int { return strings.Count(l.String(), text) }

// dialLogged is dial with the store's log.
func dialLogged(t *testing.T, cfg Config) (*Store, *logbook) {
	t.Helper()
	book := &logbook{}
	return dialTo(t, cfg, slog.New(slog.NewTextHandler(book, nil))), book
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
	wantHeld(t, one, key("1"))
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

// writeCA writes the certificate of a new CA to a file.
func writeCA(t *testing.T) (ca *tls.Certificate, file string) {
	t.Helper()
	ca = certtest.NewCA(t, "a CA")
	return ca, writeFile(t, certtest.PEM(ca))
}

// writePair writes a certificate for the name, and its key, to files.
func writePair(t *testing.T, ca *tls.Certificate, name string) (certFile, keyFile string) {
	t.Helper()
	pair := certtest.Issue(t, ca, name)
	return writeFile(t, certtest.PEM(pair)), writeFile(t, certtest.KeyPEM(t, pair))
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// launchTLS starts a Redis that accepts only TLS, and client certificates of the CA.
func launchTLS(t *testing.T, ca *tls.Certificate, name string, more ...string) *node {
	t.Helper()
	cert, key := writePair(t, ca, name)
	caFile := writeFile(t, certtest.PEM(ca))
	return launch(t, func(port string) []string {
		return append([]string{
			"--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--save", "",
			"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", caFile,
		}, more...)
	})
}
