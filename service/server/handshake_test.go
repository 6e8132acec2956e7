package server

import (
	"net"
	"strings"
	"testing"

	"conferenced/service/certtest"
)

func TestARejectedClientCertificateIsLoggedAndCounted(t *testing.T) {
	files, trusted := tlsFiles(t)
	ca := certtest.NewCA(t, "clients")
	accepted, rejected := certtest.Issue(t, ca, "client"), certtest.Issue(t, certtest.NewCA(t, "clients"), "client")
	files.ClientCA = writeFile(t, certtest.PEM(ca))
	files.Policy = writeFile(t, `rules: [{callers: [{name: "*"}], accounts: ["*"], properties: ["*"]}]`)
	r := start(t, func(s *setup) { s.Settings = withFiles(t, s.Settings, files) })
	for name, addr := range map[string]net.Addr{"grpc": r.GRPC, "http": r.HTTP} {
		connect(t, addr).Close() // Nothing to report.
		dialTLS(t, addr, trusted, accepted).Close()
		conn := dialTLS(t, addr, trusted, rejected) // With TLS 1.3 the client learns it later.
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the certificate is accepted", name)
		}
		awaitSeriesAtLeast(t, r, `conferenced_tls_handshake_failures_total{listener="`+name+`",reason="client_certificate"}`, 1)
	}
	lines := r.log.lines(t, "TLS handshake failed")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	for _, line := range lines {
		if line.text("reason") != "client_certificate" || line.text("client") != "127.0.0.1" ||
			!strings.Contains(line.text("cause"), "certificate signed by unknown authority") {
			t.Errorf("%v", line)
		}
	}
}
