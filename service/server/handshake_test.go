package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newClientCA returns a CA's certificate and a client's that it issued.
func newClientCA(t *testing.T) (ca []byte, client *tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	ca, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	template.Subject.CommonName, template.IsCA, template.ExtKeyUsage = "client", false, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	parent, err := x509.ParseCertificate(ca)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return ca, &tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key}
}

func TestARejectedClientCertificateIsLoggedAndCounted(t *testing.T) {
	files, trusted := tlsFiles(t)
	ca, accepted := newClientCA(t)
	_, rejected := newClientCA(t)
	dir := t.TempDir()
	files.ClientCA, files.Policy = filepath.Join(dir, "ca"), filepath.Join(dir, "policy")
	for path, text := range map[string][]byte{
		files.ClientCA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca}),
		files.Policy:   []byte(`rules: [{callers: [{name: "*"}], accounts: ["*"], properties: ["*"]}]`),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, func(s *setup) { s.Settings = withTLS(t, s.Settings, files) })
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
