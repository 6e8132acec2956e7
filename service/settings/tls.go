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

	"conferenced/service/yamlfile"
)

// TLSConfig returns the listeners' configuration, or nil if no certificate is
// configured. Each handshake uses the certificate and the client CAs of the Set in
// force; existing connections do not change. If there are client CAs, a client
// certificate is requested, and one that is presented must be valid.
func (l *Live) TLSConfig() *tls.Config {
	if l.Current().Certificate == nil {
		return nil
	}
	config := newTLS()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return l.Current().handshake, nil
	}
	return config
}

// serverTLS returns the configuration of handshakes with this Set.
func (s *Set) serverTLS() *tls.Config {
	if s.Certificate == nil {
		return nil
	}
	config := newTLS()
	config.Certificates = []tls.Certificate{*s.Certificate}
	if s.Callers.ClientCAs != nil {
		config.ClientCAs = s.Callers.ClientCAs
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config
}

func newTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}

// certificate reads the server's certificate and key. A certificate that is not valid
// now is only a warning, because clients refuse it anyway, and not starting would be
// worse.
func (p *parser) certificate(certPath, keyPath string) {
	switch {
	case certPath == "" && keyPath == "":
		return
	case keyPath == "":
		p.failFile("TLSCert", certPath, errors.New("is a TLS certificate without a key: name both or neither"))
	case certPath == "":
		p.failFile("TLSKey", keyPath, errors.New("is a TLS key without a certificate: name both or neither"))
	}
	chain, cert := p.certificates("TLSCert", certPath)
	key, ok := p.readPEM("TLSKey", keyPath)
	if chain == nil || !ok {
		return
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		p.failFile("TLSKey", keyPath, fmt.Errorf("does not go with %s: %w", certPath, err))
		return
	}
	p.set.Certificate = &pair
	p.warnIfNotValidNow(certPath, chain[:1])
}

// clientCA reads the client CAs.
func (p *parser) clientCA(files Files) {
	if files.ClientCA != "" && files.TLSCert == "" && files.TLSKey == "" {
		p.failFile("ClientCA", files.ClientCA, errors.New("needs TLS to ask for client certificates: name a TLS certificate and its key too"))
	}
	cas, _ := p.certificates("ClientCA", files.ClientCA)
	if cas == nil {
		return
	}
	p.set.Callers.ClientCAs = x509.NewCertPool()
	p.set.clientCAs = cas
	for _, ca := range cas {
		p.set.Callers.ClientCAs.AddCert(ca)
	}
	p.warnIfNotValidNow(files.ClientCA, cas)
}

// certificates returns the certificates of a file and its text, or nil.
func (p *parser) certificates(field, path string) ([]*x509.Certificate, []byte) {
	text, ok := p.readPEM(field, path)
	if !ok {
		return nil, nil
	}
	certs, err := parseCertificates(text)
	p.failFile(field, path, err)
	return certs, text
}

func (p *parser) readPEM(field, path string) ([]byte, bool) {
	text, ok := p.read(field, path)
	err := yamlfile.CheckBOM(text)
	p.failFile(field, path, err)
	return text, ok && err == nil
}

// parseCertificates returns the certificates of a PEM file, at least one. Keys are
// ignored. Damaged blocks and other types, such as OpenSSL's TRUSTED CERTIFICATE, are
// refused, because the library would ignore them.
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

func (p *parser) warnIfNotValidNow(path string, certs []*x509.Certificate) {
	now := time.Now()
	for i, cert := range certs {
		switch {
		case now.After(cert.NotAfter):
			p.warn("%s: certificate %d expired at %s", path, i+1, cert.NotAfter.Format(time.RFC3339))
		case now.Before(cert.NotBefore):
			p.warn("%s: certificate %d is not valid before %s", path, i+1, cert.NotBefore.Format(time.RFC3339))
		}
	}
}
