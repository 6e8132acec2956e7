// Package settings reads the configuration files that may change while the service
// runs: the accounts' credentials, the callers' tokens, the policy, the client CAs
// and the TLS certificate. Together they are one [Set], which is replaced atomically.
// [Live] holds the Set in force and keeps it up to date.
//
// No error, log line or warning of this package contains a secret, or a value that
// may be a misplaced secret.
package settings

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"conferenced/service/callers"
	"conferenced/service/invalid"
	"conferenced/service/twilio"
)

// Files is the paths of the files. A file with an empty path is not used.
type Files struct {
	// Accounts is the YAML file of the accounts, with references to their secrets.
	Accounts string
	// Tokens is the YAML file of the callers' bearer tokens, by their digests.
	Tokens string
	// Policy is the YAML file of the policy.
	Policy string
	// ClientCA has the CAs whose client certificates are accepted, in PEM. It needs
	// TLSCert and TLSKey.
	ClientCA string
	// TLSCert and TLSKey are the server's certificate chain, leaf first, and its
	// key, in PEM. Both or neither.
	TLSCert, TLSKey string
}

// Base is the configuration that does not come from these files.
type Base struct {
	// Accounts are used if there is no accounts file.
	Accounts *twilio.Accounts
	// Environment uses the account that the TWILIO_ variables define, if there is no
	// accounts file. Files that they name are read again when they change.
	Environment bool
	// BaseURL is the base URL of that account's API. If empty, it follows from the
	// variables.
	BaseURL string
	// JWT verifies the callers' JWTs; nil: none are accepted.
	JWT *callers.JWT
	// Describe returns the text of a reload's error, for the log and [Status]; nil: the
	// text of err.Error().
	Describe func(error) string
}

// Set is the configuration from the files at one time. It is immutable.
type Set struct {
	Accounts *twilio.Accounts
	Callers  *callers.Set
	// Certificate is the certificate of the listeners; nil: no TLS is configured.
	Certificate *tls.Certificate
	// Warnings lists probable mistakes: certificates that are expired or not valid yet.
	Warnings []string

	handshake *tls.Config
	clientCAs []*x509.Certificate
}

// maxReadings is the maximum number of times that the files are read while they
// change.
const maxReadings = 5

// load reads the files. Files that change while they are read are read again, so that a
// Set never contains half of a change. After maxReadings, it returns an error.
func load(files Files, base Base) (*Set, *reading, error) {
	var from *reading
	for range maxReadings {
		from = newReading()
		set, err := parse(files, base, from)
		if !from.stale(from.now()) {
			return set, from, err
		}
	}
	return nil, from, errors.New("the files change faster than they can be read")
}

func parse(files Files, base Base, from *reading) (*Set, error) {
	p := parser{from: from, set: &Set{Callers: &callers.Set{JWT: base.JWT}}}
	p.accounts(files.Accounts, base)
	if text, ok := p.read("Tokens", files.Tokens); ok {
		tokens, err := callers.ParseTokens(files.Tokens, text)
		p.set.Callers.Tokens = tokens
		p.fail(err)
	}
	if text, ok := p.read("Policy", files.Policy); ok {
		policy, err := callers.ParsePolicy(files.Policy, text)
		p.set.Callers.Policy = policy
		p.fail(err)
	}
	p.clientCA(files)
	p.certificate(files.TLSCert, files.TLSKey)
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	p.set.handshake = p.set.serverTLS()
	return p.set, nil
}

// parser builds a Set from the files and collects all problems.
type parser struct {
	from *reading
	set  *Set
	errs []error
}

func (p *parser) accounts(path string, base Base) {
	var err error
	switch text, ok := p.read("Accounts", path); {
	case ok:
		p.set.Accounts, err = parseAccounts(path, text, p.from)
	case path == "" && base.Environment:
		p.set.Accounts, err = environmentAccount(base.BaseURL, p.from)
	default:
		p.set.Accounts = base.Accounts
	}
	p.fail(err)
}

// read returns the content of the file of a field of [Files]. It reports false if there
// is no path, or if the file cannot be read.
func (p *parser) read(field, path string) ([]byte, bool) {
	if path == "" {
		return nil, false
	}
	text, err := p.from.read(path)
	p.failFile(field, path, err)
	return text, err == nil
}

func (p *parser) fail(err error) { p.errs = append(p.errs, err) }

func (p *parser) failFile(field, path string, err error) {
	if err != nil {
		p.fail(invalid.Fieldf("settings."+field, "%s: %w", path, err))
	}
}

func (p *parser) warn(format string, args ...any) {
	p.set.Warnings = append(p.set.Warnings, fmt.Sprintf(format, args...))
}
