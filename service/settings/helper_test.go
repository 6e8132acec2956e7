package settings

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"conferenced/service/twilio"
)

// Account and key SIDs by a digit.
func ac(digit string) string { return "AC" + strings.Repeat(digit, 32) }
func sk(digit string) string { return "SK" + strings.Repeat(digit, 32) }

// write puts a file into a directory and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// replace renames a new file over an old one.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, filepath.Dir(path), ".new", text)
	if err := os.Rename(filepath.Join(filepath.Dir(path), ".new"), path); err != nil {
		t.Fatal(err)
	}
}

// lines are the problems of an error.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// log is a buffer for a logger, safe for concurrent use.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// oneAccount is an accounts file whose token is in the file token beside it.
func oneAccount(sid string) string {
	return "accounts:\n  - sid: " + sid + "\n    auth_token: {file: token}\n"
}

// serves reports whether the account has that password.
func serves(s *Set, sid, password string) bool {
	account, ok := s.Accounts.Lookup(sid)
	return ok && account.Password.Equal(twilio.NewSecret(password))
}

// issuer is a certificate and its key.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// newCA returns a certificate authority.
func newCA(t *testing.T, name string) issuer {
	t.Helper()
	return issuer{}.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
}

// server returns a certificate for localhost.
func (i issuer) server(t *testing.T, name string) issuer {
	t.Helper()
	return i.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// client returns a client certificate.
func (i issuer) client(t *testing.T, name string) issuer {
	t.Helper()
	return i.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// issue returns a certificate of the CA, or a self-signed one of none. It is
// valid for an hour unless the template says otherwise.
func (i issuer) issue(t *testing.T, template *x509.Certificate) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.BasicConstraintsValid = true
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := template, crypto.Signer(key)
	if i.cert != nil {
		parent, signer = i.cert, i.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{cert, key}
}

func (i issuer) certPEM() string { return block("CERTIFICATE", i.cert.Raw) }

func (i issuer) keyPEM(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
