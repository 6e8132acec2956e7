package settings

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// TLSConfig is how the listeners do TLS, or nil if no certificate is configured.
// It takes certificate and client CAs from the Set in force at each handshake:
// connections that exist stay as they are. Client certificates are asked for if
// there are client CAs, and must be theirs if given.
func (l *Live) TLSConfig() *tls.Config {
	if l.Current().Certificate == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: nextProtos(),
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return l.Current().handshake, nil
		},
	}
}

// serverTLS is what a handshake with this set follows.
func (s *Set) serverTLS() *tls.Config {
	if s.Certificate == nil {
		return nil
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   nextProtos(),
		Certificates: []tls.Certificate{*s.Certificate},
	}
	if s.ClientCAs != nil {
		config.ClientCAs = s.ClientCAs
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config
}

func nextProtos() []string { return []string{"h2", "http/1.1"} }

// certificate reads the server's certificate and key. A certificate that is not
// valid now is a warning only: refusing it would turn a certificate that ran out
// into a service that does not start, and its clients refuse it anyway.
func (p *parser) certificate(certFile, keyFile string) {
	switch {
	case certFile == "" && keyFile == "":
		return
	case keyFile == "":
		p.fail(certFile, errors.New("is a TLS certificate without a key: name both or neither"))
	case certFile == "":
		p.fail(keyFile, errors.New("is a TLS key without a certificate: name both or neither"))
	}
	cert, certOK := p.read(certFile)
	key, keyOK := p.read(keyFile)
	if !certOK {
		return
	}
	chain, err := parseCertificates(cert)
	p.fail(certFile, err)
	if err != nil || !keyOK {
		return
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		p.fail(keyFile, fmt.Errorf("does not go with %s: %w", certFile, err))
		return
	}
	p.set.Certificate = &pair
	p.warnIfNotValidNow(certFile, chain[:1])
}

// clientCA reads the client CAs.
func (p *parser) clientCA(files Files) {
	text, ok := p.read(files.ClientCA)
	if files.ClientCA != "" && files.TLSCert == "" && files.TLSKey == "" {
		p.fail(files.ClientCA, errors.New("needs TLS to ask for client certificates: name a TLS certificate and its key too"))
	}
	if !ok {
		return
	}
	cas, err := parseCertificates(text)
	if err != nil {
		p.fail(files.ClientCA, err)
		return
	}
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(ca)
	}
	p.set.ClientCAs, p.set.Callers.ClientCAs = pool, pool
	p.warnIfNotValidNow(files.ClientCA, cas)
}

// parseCertificates returns the certificates of a PEM file, which must have one
// at least. A key beside them is passed over. What would else be dropped unseen
// is refused: a block that is damaged, and a certificate of another form, such as
// OpenSSL's TRUSTED CERTIFICATE.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	begun, read := bytes.Count(text, []byte("-----BEGIN ")), 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		read++
		if !strings.Contains(block.Type, "CERTIFICATE") {
			continue
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %d: must be between BEGIN CERTIFICATE and END CERTIFICATE", read)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", read, err)
		}
		certs = append(certs, cert)
	}
	if read != begun {
		return nil, fmt.Errorf("%d of %d PEM blocks are damaged", begun-read, begun)
	}
	if len(certs) == 0 {
		return nil, errors.New("has no certificate in PEM")
	}
	return certs, nil
}

func (p *parser) warnIfNotValidNow(file string, certs []*x509.Certificate) {
	now := time.Now()
	for i, cert := range certs {
		switch {
		case now.After(cert.NotAfter):
			p.warn("%s: certificate %d expired at %s", file, i+1, cert.NotAfter.Format(time.RFC3339))
		case now.Before(cert.NotBefore):
			p.warn("%s: certificate %d is not valid before %s", file, i+1, cert.NotBefore.Format(time.RFC3339))
		}
	}
}

func (p *parser) warn(format string, args ...any) {
	p.set.Warnings = append(p.set.Warnings, fmt.Sprintf(format, args...))
}
