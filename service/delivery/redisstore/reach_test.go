package redisstore

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"conferenced/service/outcome"
)

func TestOverTLS(t *testing.T) {
	t.Parallel()
	ca, caFile := writeCA(t)
	server := launchTLS(t, ca, "localhost", "--tls-auth-clients", "no")
	cfg := Config{URL: "rediss://localhost:" + server.port, CAFile: caFile, Lease: longLease}
	wantShared(t, dial(t, cfg), dial(t, cfg))
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	ca, caFile := writeCA(t)
	server := launchTLS(t, ca, "127.0.0.1")
	cert, key := writePair(t, ca, "conferenced")
	cfg := Config{URL: "rediss://" + server.address(), CAFile: caFile, Lease: longLease}
	s, book := dialLogged(t, cfg)
	wantUnreached(t, s, book, "") // Redis may say why, or close the connection.

	cfg.CertFile, cfg.KeyFile = cert, key
	wantShared(t, dial(t, cfg), dial(t, cfg))
}

// TestServerThatIsNotVerified: no request is sent to a Redis whose certificate is for
// another name or from an unknown CA.
func TestServerThatIsNotVerified(t *testing.T) {
	t.Parallel()
	ca, caFile := writeCA(t)
	_, otherFile := writeCA(t)
	server := launchTLS(t, ca, "localhost", "--tls-auth-clients", "no")
	plain := launchPlain(t)
	for name, c := range map[string]struct{ url, caFile, cause string }{
		"another CA":   {"rediss://localhost:" + server.port, otherFile, "unknown authority"},
		"the system's": {"rediss://localhost:" + server.port, "", "unknown authority"},
		"another name": {"rediss://" + server.address(), caFile, "cannot validate certificate for 127.0.0.1"},
		"no TLS there": {"rediss://localhost:" + plain.port, caFile, ""},
		"no TLS here":  {"redis://localhost:" + server.port, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, book := dialLogged(t, Config{URL: c.url, CAFile: c.caFile, Lease: longLease, Timeout: 2 * time.Second})
			wantUnreached(t, s, book, c.cause)
		})
	}
}

func TestOldVersionOfTLS(t *testing.T) {
	t.Parallel()
	ca, caFile := writeCA(t)
	server := launchTLS(t, ca, "localhost", "--tls-auth-clients", "no", "--tls-protocols", "TLSv1.1",
		"--tls-ciphers", "ALL:@SECLEVEL=0")
	s, book := dialLogged(t, Config{URL: "rediss://localhost:" + server.port, CAFile: caFile, Lease: longLease})
	wantUnreached(t, s, book, "protocol version")
}

// TestNameInCertificate: the name that the certificate at an address must have.
func TestNameInCertificate(t *testing.T) {
	for _, c := range []struct{ address, urlHost, want string }{
		{"redis.test:6379", "redis.test", "redis.test"},
		{"other.test:6379", "redis.test", "other.test"},
		{"10.0.0.2:6379", "redis.test", "redis.test"},
		{"10.0.0.2:6379", "10.0.0.1", "10.0.0.2"},
		{"[::1]:6379", "10.0.0.1", "::1"},
	} {
		if got := nameAt(c.address, c.urlHost); got != c.want {
			t.Errorf("at %s, with a URL of %s: %q, want %q", c.address, c.urlHost, got, c.want)
		}
	}
}

func TestTLSFilesAreChecked(t *testing.T) {
	ca, caFile := writeCA(t)
	cert, key := writePair(t, ca, "localhost")
	missing, empty, marked := filepath.Join(t.TempDir(), "missing"), writeFile(t, ""), writeFile(t, "\ufeff-----BEGIN")
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"valid":                         {Config{URL: "rediss://redis.test", CAFile: caFile, CertFile: cert, KeyFile: key}, ""},
		"no such CA":                    {Config{URL: "rediss://redis.test", CAFile: missing}, "no such file"},
		"a device as CA":                {Config{URL: "rediss://redis.test", CAFile: os.DevNull}, "is not a regular file"},
		"a CA after a byte order mark":  {Config{URL: "rediss://redis.test", CAFile: marked}, "byte order mark"},
		"a key after a byte order mark": {Config{URL: "rediss://redis.test", CertFile: cert, KeyFile: marked}, "byte order mark"},
		"a CA file without a CA":        {Config{URL: "rediss://redis.test", CAFile: empty}, "no certificate"},
		"no key":                        {Config{URL: "rediss://redis.test", CertFile: cert}, "need each other"},
		"no certificate":                {Config{URL: "rediss://redis.test", KeyFile: key}, "need each other"},
		"a key file without a key":      {Config{URL: "rediss://redis.test", CertFile: cert, KeyFile: caFile}, "CertFile"},
		"plaintext":                     {Config{URL: "redis://redis.test", CAFile: caFile}, "rediss://"},
		"unverified":                    {Config{URL: "rediss://user:hidden@redis.test?skip_verify"}, "always verified"},
	} {
		text := ""
		if err := c.cfg.Validate(); err != nil {
			text = err.Error()
		}
		if (text == "") != (c.want == "") || !strings.Contains(text, c.want) || strings.Contains(text, "hidden") {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

// special is a password of characters that have a meaning in URLs.
const special = `p@ss:w/o%r?d#1&addr=x+y {é}`

func TestPasswords(t *testing.T) {
	t.Parallel()
	server := launchPlain(t, "--requirepass", special)
	right := url.UserPassword("default", special).String()
	for name, cfg := range map[string]Config{
		"in the URL":                   {URL: "redis://" + right + "@" + server.address()},
		"in the URL without a user":    {URL: "redis://" + url.UserPassword("", special).String() + "@" + server.address()},
		"beside the URL":               {URL: "redis://" + server.address(), Password: special},
		"instead of that in the URL":   {URL: "redis://:wrong@" + server.address(), Password: special},
		"beside a URL that has a user": {URL: "redis://default@" + server.address(), Password: special},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Lease = longLease
			wantShared(t, dial(t, cfg), dial(t, cfg))
		})
	}
}

func TestWrongPasswordIsLoggedWithoutIt(t *testing.T) {
	t.Parallel()
	server := launchPlain(t, "--requirepass", "right")
	for name, cfg := range map[string]Config{
		"WRONGPASS": {URL: "redis://someone:hidden@" + server.address()},
		"NOAUTH":    {URL: "redis://" + server.address()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.Lease = longLease
			s, book := dialLogged(t, cfg)
			wantUnreached(t, s, book, name)
			if text := book.String(); strings.Contains(text, "hidden") || strings.Contains(text, server.port) {
				t.Errorf("logged: %s", text)
			}
		})
	}
}

// TestDatabases: replicas share state only if they use the same database.
func TestDatabases(t *testing.T) {
	t.Parallel()
	server := launchPlain(t)
	for _, base := range []string{"redis://" + server.address() + "/3", "redis://" + server.address() + "?db=4"} {
		cfg := Config{URL: base, Lease: longLease}
		wantShared(t, dial(t, cfg), dial(t, cfg))
	}
	one := dial(t, Config{URL: "redis://" + server.address() + "/3", Lease: longLease})
	other := dial(t, Config{URL: "redis://" + server.address() + "/4", Lease: longLease})
	first, second := join(t, one, "CA1", muted), join(t, other, "CA1", muted)
	wantBegins(t, "the first", first)
	wantBegins(t, "the second, in the other database", second)
	finish(first, outcome.Yes)
	finish(second, outcome.Yes)
	if keyspace := order(t, server.address(), "INFO", "keyspace"); strings.Contains(keyspace, "db0") {
		t.Errorf("another database is used: %s", keyspace)
	}
}

// documentedACL returns the rules of the user in the package documentation.
func documentedACL(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("redisstore.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^//\s*user conferenced (.*)$`).FindSubmatch(source)
	if found == nil {
		t.Fatal("there is no line `user conferenced …`")
	}
	rules := strings.Fields(string(found[1]))
	for i, rule := range rules {
		if strings.HasPrefix(rule, ">") {
			rules[i] = ">hidden"
		}
	}
	return rules
}

// TestDocumentedUser: the documented user may execute all that the service
// executes, and no command of it is superfluous.
func TestDocumentedUser(t *testing.T) {
	t.Parallel()
	server := launchPlain(t)
	rules := documentedACL(t)
	// These are for clusters, sentinels, other databases, idle connections and the end.
	elsewhere := []string{"+cluster|slots", "+role", "+select", "+ping", "+unsubscribe"}
	for i, rule := range rules {
		if !strings.HasPrefix(rule, "+") || slices.Contains(elsewhere, rule) {
			continue
		}
		user := "without-" + rule[1:]
		order(t, server.address(), append([]string{"ACL", "SETUSER", user}, slices.Delete(slices.Clone(rules), i, i+1)...)...)
		if denied := deniedTo(t, server, user); denied == "" {
			t.Errorf("%s is not needed", rule)
		}
	}
	order(t, server.address(), append([]string{"ACL", "SETUSER", "conferenced"}, rules...)...)
	if denied := deniedTo(t, server, "conferenced"); denied != "" {
		t.Errorf("the documented user is denied: %s", denied)
	}
	cfg := Config{URL: "redis://conferenced:hidden@" + server.address(), Lease: longLease}
	one, other := dial(t, cfg), dial(t, cfg)
	for _, s := range []*Store{one, other} {
		await(t, "the replica listens", func() bool {
			return strings.Contains(order(t, server.address(), "PUBSUB", "CHANNELS"), s.replica)
		})
	}
	wantNotified(t, one, other)
}

// deniedTo executes every step of the scripts as the user, and returns the log of
// what was denied.
func deniedTo(t *testing.T, server *node, user string) string {
	t.Helper()
	order(t, server.address(), "ACL", "LOG", "RESET")
	cfg := Config{URL: "redis://" + user + ":hidden@" + server.address(), Lease: longLease, Timeout: patience}
	one, other := dial(t, cfg), dial(t, cfg)
	executeSteps(one, other)
	one.Close()
	other.Close()
	if log := order(t, server.address(), "ACL", "LOG"); strings.Contains(log, user) {
		return log
	}
	return ""
}
