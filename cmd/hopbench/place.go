package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	accountSID    = "AC00000000000000000000000000000001"
	conferenceSID = "CF00000000000000000000000000000001"
	authToken     = "00112233445566778899aabbccddeeff"
)

// place is the folder with the files of a run.
type place struct{ dir string }

func (p place) path(name string) string { return filepath.Join(p.dir, name) }

// settings writes conferenced's settings for an upstream, and returns the flags
// that name them. conferenced watches their folder, so nothing else is in it.
func (p place) settings(upstream string, callers []caller) ([]string, error) {
	dir, err := os.MkdirTemp(p.dir, "settings-")
	if err != nil {
		return nil, err
	}
	var tokens strings.Builder
	tokens.WriteString("tokens:\n")
	for _, c := range callers {
		fmt.Fprintf(&tokens, "  - {name: %s, sha256: \"%x\"}\n", c.name, sha256.Sum256([]byte(c.token)))
	}
	for name, text := range map[string]string{
		"auth-token": authToken + "\n",
		"accounts.yaml": "default: " + accountSID + "\naccounts:\n  - sid: " + accountSID +
			"\n    auth_token: {file: auth-token}\n    base_url: " + upstream + "\n",
		"tokens.yaml": tokens.String(),
		"policy.yaml": "rules:\n  - name: bench\n    callers: [{token: \"bench*\"}]\n" +
			"    accounts: [" + accountSID + "]\n    properties: [muted, hold]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return []string{
		"--accounts", filepath.Join(dir, "accounts.yaml"),
		"--tokens", filepath.Join(dir, "tokens.yaml"), "--policy", filepath.Join(dir, "policy.yaml"),
	}, nil
}

// certificate writes a certificate for the upstream that signs itself.
func (p place) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:        true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := p.writePEM("upstream.pem", "CERTIFICATE", cert); err != nil {
		return err
	}
	return p.writePEM("upstream.key", "PRIVATE KEY", der)
}

func (p place) writePEM(name, kind string, der []byte) error {
	return os.WriteFile(p.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// build makes conferenced as it is deployed, and returns where it is.
func (p place) build(ctx context.Context) (string, error) {
	out := p.path("conferenced")
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "conferenced/cmd/conferenced")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build, which works in the repository: %w\n%s", err, text)
	}
	return out, nil
}

// caller is somebody whom conferenced knows.
type caller struct{ name, token string }

func newCallers(count int) []caller {
	callers := make([]caller, count)
	for i := range callers {
		callers[i] = caller{name: fmt.Sprintf("bench%d", i), token: rand.Text()}
	}
	return callers
}
