package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"

	"github.com/redis/rueidis"

	"conferenced/service/invalid"
	"conferenced/service/yamlfile"
)

var (
	errPlaintext = invalid.Fieldf("redisstore.URL", "must begin with rediss://, because files for TLS are set")
	errHalf      = invalid.Fieldf("redisstore.CertFile", "the certificate and its key need each other")
	errUnchecked = invalid.Fieldf("redisstore.URL", "has skip_verify, but the certificate is always verified: set the file of its CAs instead")
)

// secure makes every connection use TLS, if the URL says so. The files are read for
// each connection, so that they can be replaced.
func (c Config) secure(options *rueidis.ClientOption) error {
	if options.TLSConfig == nil {
		if c.CAFile != "" || c.CertFile != "" || c.KeyFile != "" {
			return errPlaintext
		}
		return nil
	}
	if options.TLSConfig.InsecureSkipVerify {
		return errUnchecked
	}
	if _, err := c.tls(""); err != nil {
		return err
	}
	host := options.TLSConfig.ServerName // The URL's.
	options.Sentinel.TLSConfig = options.TLSConfig
	options.DialCtxFn = func(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
		cfg, err := c.tls(nameAt(address, host))
		if err != nil {
			return nil, err
		}
		secured := tls.Dialer{NetDialer: dialer, Config: cfg}
		return secured.DialContext(ctx, "tcp", address)
	}
	return nil
}

// nameAt returns the name that the certificate at the address must have: its host,
// or the URL's if that is a name and the host is an IP address. Clusters and sentinels
// often know only the IP addresses of nodes.
func nameAt(address, urlHost string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil || net.ParseIP(host) != nil && net.ParseIP(urlHost) == nil {
		return urlHost
	}
	return host
}

// tls returns the configuration for a connection to a server of that name.
func (c Config) tls(name string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name}
	if c.CAFile != "" {
		pem, err := readPEM("redisstore.CAFile", c.CAFile)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, invalid.Fieldf("redisstore.CAFile", "%s: has no certificate in PEM", c.CAFile)
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return nil, errHalf
	}
	if c.CertFile != "" {
		cert, certErr := readPEM("redisstore.CertFile", c.CertFile)
		key, keyErr := readPEM("redisstore.KeyFile", c.KeyFile)
		if err := errors.Join(certErr, keyErr); err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, invalid.Field("redisstore.CertFile", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// readPEM reads a regular file: a pipe or a device could block or never end. A byte order
// mark would hide its first PEM block.
func readPEM(field, path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, invalid.Fieldf(field, "%s: is not a regular file", path)
	}
	text, err := os.ReadFile(path) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, invalid.Field(field, err)
	}
	if err := yamlfile.CheckBOM(text); err != nil {
		return nil, invalid.Fieldf(field, "%s: %w", path, err)
	}
	return text, nil
}
