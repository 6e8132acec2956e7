// Package settings reads everything that comes from files and may change while
// the service runs: the accounts' credentials, the callers' tokens, the policy,
// the client CAs and the TLS certificate. All of them are one [Set], taken whole
// or not at all. [Live] holds the Set in force and keeps it up to date.
//
// No error, log line or warning of this package shows a secret, and none repeats
// a value of a file that may be a secret in the wrong place.
package settings

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"conferenced/service/callers"
	"conferenced/service/twilio"
)

// Files name what is read. An empty name: not used.
type Files struct {
	// Accounts is the YAML file of the accounts and where their secrets are.
	Accounts string
	// Tokens is the file of the callers' bearer tokens, by their hashes.
	Tokens string
	// Policy is the YAML file of what callers may do.
	Policy string
	// ClientCA holds, in PEM, the CAs whose client certificates are accepted. It
	// needs TLSCert and TLSKey.
	ClientCA string
	// TLSCert and TLSKey are the server's certificate chain, leaf first, and its
	// key, in PEM. Both or neither.
	TLSCert, TLSKey string
}

// Base is what does not come from the files, and stays as it is.
type Base struct {
	// Accounts are used when no file of accounts is named.
	Accounts *twilio.Accounts
	// Environment, if set, makes the accounts that are used when no file of
	// accounts is named. The files that it reads with readSecret are read again
	// when they change, like all others.
	Environment func(readSecret func(path string) (string, error)) (*twilio.Accounts, error)
	// JWT checks the callers' JWTs. Nil: none are accepted.
	JWT *callers.JWT
}

// Set is one consistent reading of all files. It is immutable.
type Set struct {
	Accounts *twilio.Accounts
	Callers  *callers.Set
	// Certificate is what the listeners serve with. Nil: no TLS is configured.
	Certificate *tls.Certificate
	// ClientCAs are those whose client certificates are accepted. Nil: no client
	// certificate is asked for.
	ClientCAs *x509.CertPool
	// Warnings name what is in force although it is hardly meant to be:
	// certificates outside their time of validity, ways of knowing callers
	// without a policy.
	Warnings []string

	handshake *tls.Config
}

// readings is how often Load reads the files anew when they change under it.
const readings = 5

// Load reads the files, whole or not at all. Its error joins everything that is
// wrong in all of them, each with the file and, for YAML, the line.
//
// Files that change while they are read are read again, so that a Set never has
// one half of a change. Where that has no end, Load returns an error.
func Load(files Files, base Base) (*Set, error) {
	set, _, err := load(files, base)
	return set, err
}

// load also returns what it read, to tell later whether that has changed.
func load(files Files, base Base) (*Set, *reading, error) {
	var seen *reading
	for range readings {
		seen = newReading()
		set, err := parse(files, base, seen)
		if !seen.stale() {
			return set, seen, err
		}
	}
	return nil, seen, errors.New("the files change faster than they can be read")
}

func parse(files Files, base Base, from *reading) (*Set, error) {
	p := parser{from: from, set: &Set{Accounts: base.Accounts, Callers: &callers.Set{JWT: base.JWT}}}
	p.accounts(files.Accounts)
	if files.Accounts == "" && base.Environment != nil {
		p.environment(base.Environment)
	}
	p.tokens(files.Tokens)
	p.policy(files.Policy)
	p.clientCA(files)
	p.certificate(files.TLSCert, files.TLSKey)
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	if p.set.Callers.Authenticating() && p.set.Callers.Policy == nil {
		p.warn("there is no policy: callers are known, and none may change anything")
	}
	p.set.handshake = p.set.serverTLS()
	return p.set, nil
}

// parser makes a Set of files and collects what is wrong with them.
type parser struct {
	from *reading
	set  *Set
	errs []error
}

func (p *parser) accounts(file string) {
	if text, ok := p.read(file); ok {
		var err error
		p.set.Accounts, err = parseAccounts(text, p.from.beside(file))
		p.fail(file, err)
	}
}

func (p *parser) environment(
	accounts func(func(string) (string, error)) (*twilio.Accounts, error),
) {
	var err error
	p.set.Accounts, err = accounts(func(path string) (string, error) {
		return readSecret(path, p.from.read)
	})
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

func (p *parser) tokens(file string) {
	if text, ok := p.read(file); ok {
		var err error
		p.set.Callers.Tokens, err = callers.ParseTokens(text)
		p.fail(file, err)
	}
}

func (p *parser) policy(file string) {
	if text, ok := p.read(file); ok {
		var err error
		p.set.Callers.Policy, err = callers.ParsePolicy(text)
		p.fail(file, err)
	}
}

// read returns what the file holds. It reports false if no file is named or it
// cannot be read.
func (p *parser) read(file string) ([]byte, bool) {
	if file == "" {
		return nil, false
	}
	text, err := p.from.read(file)
	p.fail(file, err)
	return text, err == nil
}

// fail notes each of the errors that err joins, with the file in front.
func (p *parser) fail(file string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			p.fail(file, err)
		}
		return
	}
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf("%s: %w", file, err))
	}
}
