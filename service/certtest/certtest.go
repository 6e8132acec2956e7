// Package certtest issues certificates for tests.
package certtest

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
	"net/url"
	"strings"
	"testing"
	"time"
)

// NewCA returns the certificate of a certificate authority.
func NewCA(t testing.TB, name string) *tls.Certificate {
	t.Helper()
	return New(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

// Issue returns a certificate of a CA for a server or a client with the names, which are
// URIs, IP addresses or DNS names.
func Issue(t testing.TB, ca *tls.Certificate, names ...string) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if !strings.Contains(name, "://") {
			template.DNSNames = append(template.DNSNames, name)
		} else if uri, err := url.Parse(name); err == nil {
			template.URIs = append(template.URIs, uri)
		} else {
			t.Fatal(err)
		}
	}
	return New(t, ca, template)
}

// New returns a certificate that the issuer signs, or the certificate itself if the
// issuer is nil. It has its leaf and its key. The template's serial number and key are
// ignored; without a NotAfter, the certificate is valid for an hour.
func New(t testing.TB, issuer *tls.Certificate, template *x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	template.BasicConstraintsValid = true
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	if issuer == nil {
		issuer = &tls.Certificate{Leaf: template, PrivateKey: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.Leaf, key.Public(), issuer.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// PEM returns the certificates.
func PEM(certificates ...*tls.Certificate) string {
	var text strings.Builder
	for _, c := range certificates {
		text.WriteString(Block("CERTIFICATE", c.Leaf.Raw))
	}
	return text.String()
}

// KeyPEM returns the key of a certificate.
func KeyPEM(t testing.TB, certificate *tls.Certificate) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return Block("PRIVATE KEY", der)
}

// Block returns a block of PEM.
func Block(kind string, content []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}))
}

// Pool returns the certificates as a pool.
func Pool(certificates ...*tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certificates {
		pool.AddCert(c.Leaf)
	}
	return pool
}
