package server

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/connectivity"

	"conferenced/service/certtest"
	"conferenced/service/sandbox"
	"conferenced/service/settings"
)

// aging sets the minimum age, so that every connection is old.
func aging(s *setup) {
	s.MaxConnectionAge, s.MaxConnectionAgeGrace = minConnectionAge, patience
}

func TestAnOldConnectionOfGRPC(t *testing.T) {
	r := start(t, aging)
	if code, words := newRawHTTP2(t, connect(t, r.GRPC)).awaitGoAway(t); code != http2.ErrCodeNo || words != "max_age" {
		t.Errorf("GOAWAY with %v, %q", code, words)
	}
}

// TestACallOutlivesTheAgeOfItsConnection, and the next call uses a new connection.
func TestACallOutlivesTheAgeOfItsConnection(t *testing.T) {
	h := newHolds()
	r := start(t, aging, h.setup)
	underWay := h.begin(t, r, bothWays[0], sandbox.AgentSID)
	for state := connectivity.Ready; state == connectivity.Ready; state = r.conn.GetState() {
		if !r.conn.WaitForStateChange(t.Context(), state) {
			t.Fatal("the client was not told")
		}
	}
	close(h.let)
	checkDone(t, r, underWay, sandbox.AgentSID)
	for range 20 {
		if got := callGRPC(t, t.Context(), r, muting(sandbox.AgentSID)); got.status != nil {
			t.Fatal(got.status)
		}
	}
}

func TestConnectionsOfHTTPAreKept(t *testing.T) {
	for _, age := range []time.Duration{0, time.Hour} {
		r := start(t, func(s *setup) { s.MaxConnectionAge, s.MaxConnectionAgeGrace = age, patience })
		for range 2 {
			if postREST(t, r) {
				t.Errorf("not with an age of %v", age)
			}
		}
	}
}

func TestAnOldConnectionOfHTTP(t *testing.T) {
	r := start(t, aging, func(s *setup) { s.box.Latency = 2 * minConnectionAge })
	for range 3 {
		if !postREST(t, r) {
			t.Error("it is kept")
		}
	}
}

// TestAnOldConnectionOfHTTP2 serves calls until the client has the GOAWAY and opens a
// new connection.
func TestAnOldConnectionOfHTTP2(t *testing.T) {
	files, trusted := tlsFiles(t)
	r := start(t, aging, func(s *setup) {
		s.Settings = withFiles(t, s.Settings, files)
		s.box.Latency = 2 * minConnectionAge
	})
	client := newHTTP2Client(t, r, trusted)
	for until := time.Now().Add(patience); client.connections < 3; {
		if time.Now().After(until) {
			t.Fatalf("%d connections", client.connections)
		}
		if got := client.post(t); got != http.StatusOK {
			t.Fatalf("HTTP status %d", got)
		}
	}
}

// http2Client is a client of a server with TLS, which counts its connections.
type http2Client struct {
	*http.Transport
	url         string
	connections int
}

func newHTTP2Client(t *testing.T, r *running, trusted *x509.CertPool) *http2Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http2Client{Transport: transport, url: "https://" + r.HTTP.String() + agentPath}
}

// post makes an update with headers given as pairs, and returns the HTTP status.
func (c *http2Client) post(t *testing.T, header ...string) int {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if !got.Reused {
			c.connections++
		}
	}})
	outgoing, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(`{"muted": true}`))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		outgoing.Header.Set(header[i], header[i+1])
	}
	incoming, err := c.RoundTrip(outgoing)
	if err != nil {
		t.Fatal(err)
	}
	incoming.Body.Close()
	if incoming.ProtoMajor != 2 {
		t.Errorf("the answer is %s", incoming.Proto)
	}
	return incoming.StatusCode
}

// tlsFiles returns a certificate and its key, and a pool with that certificate.
func tlsFiles(t *testing.T) (settings.Files, *x509.CertPool) {
	t.Helper()
	pair := certtest.Issue(t, nil, "127.0.0.1") // It is its own CA.
	files := settings.Files{TLSCert: writeFile(t, certtest.PEM(pair)), TLSKey: writeFile(t, certtest.KeyPEM(t, pair))}
	return files, certtest.Pool(pair)
}

func TestInvalidAges(t *testing.T) {
	tests := []struct {
		name       string
		age, grace time.Duration
		want       string
	}{
		{"negative", -1, patience, "server.MaxConnectionAge: must be 0 or at least 1ms, not -1ns"},
		{"less than the minimum", 1, patience, "server.MaxConnectionAge: must be 0 or at least 1ms, not 1ns"},
		{"a grace less than MaxTimeout", time.Hour, patience - 1, "server.MaxConnectionAgeGrace: must be at least the maximum of deadlines"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(Config{
				Settings: settingsOf(t, ""), Delivery: quick(), Logger: discarded,
				DefaultTimeout: patience, MaxConnectionAge: test.age, MaxConnectionAgeGrace: test.grace,
			})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
