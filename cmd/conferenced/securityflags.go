package main

import (
	"errors"
	"fmt"
	"time"

	"conferenced/service/callers"
	"conferenced/service/clientaddr"
	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
)

// files has the flags of the files that are reloaded when they change.
type files struct {
	Accounts string `env:"CONFERENCED_ACCOUNTS" placeholder:"FILE" help:"Accounts and the places of their credentials, in YAML. Without it: one account from the environment."`
	Tokens   string `env:"CONFERENCED_TOKENS" placeholder:"FILE" help:"Bearer tokens of callers, by name and SHA-256, in YAML."`
	Policy   string `env:"CONFERENCED_POLICY" placeholder:"FILE" help:"What callers may do, in YAML. Required if callers are authenticated."`
	ClientCA string `name:"client-ca" env:"CONFERENCED_CLIENT_CA" placeholder:"FILE" help:"The CAs of accepted client certificates, in PEM."`
	TLSCert  string `name:"tls-cert" env:"CONFERENCED_TLS_CERT" placeholder:"FILE" help:"The server certificate of gRPC and HTTP, in PEM. Without it: plaintext."`
	TLSKey   string `name:"tls-key" env:"CONFERENCED_TLS_KEY" placeholder:"FILE" help:"Its key, in PEM."`
}

func (f *files) settings() settings.Files {
	return settings.Files{
		Accounts: f.Accounts, Tokens: f.Tokens, Policy: f.Policy,
		ClientCA: f.ClientCA, TLSCert: f.TLSCert, TLSKey: f.TLSKey,
	}
}

// jwt has the flags of the issuer whose JWTs are accepted.
type jwt struct {
	Issuer     string        `env:"CONFERENCED_JWT_ISSUER" placeholder:"URL" help:"The OIDC issuer whose JWTs are accepted."`
	Audience   string        `env:"CONFERENCED_JWT_AUDIENCE" placeholder:"NAME" help:"The audience that the JWTs must have."`
	JWKSURL    string        `name:"jwks-url" env:"CONFERENCED_JWT_JWKS_URL" placeholder:"URL" help:"The URL of the issuer's keys, instead of the one in its discovery document. A query in it is accepted only from the environment."`
	Algorithms []string      `env:"CONFERENCED_JWT_ALGORITHMS" default:"RS256,ES256" help:"The accepted signature algorithms (${default})."`
	ClockSkew  time.Duration `env:"CONFERENCED_JWT_CLOCK_SKEW" default:"30s" help:"How far the issuer's clock may be off (${default})."`
	NameClaim  string        `env:"CONFERENCED_JWT_NAME_CLAIM" default:"sub" help:"The claim that names the caller (${default})."`
}

// verifier returns nil if no issuer is configured.
func (j *jwt) verifier() (*callers.JWT, error) {
	if j.Issuer == "" && j.Audience == "" && j.JWKSURL == "" {
		return nil, nil
	}
	return callers.NewJWT(callers.JWTConfig{
		Issuer: j.Issuer, Audience: j.Audience, JWKSURL: j.JWKSURL,
		Algorithms: j.Algorithms, ClockSkew: j.ClockSkew, NameClaim: j.NameClaim,
	})
}

// securing has the flags about callers.
type securing struct {
	files
	JWT jwt `embed:"" prefix:"jwt-"`

	AllowAnonymous bool     `env:"CONFERENCED_ALLOW_ANONYMOUS" help:"Serve on addresses that are not loopback although callers are not authenticated."`
	TrustedProxy   []string `env:"CONFERENCED_TRUSTED_PROXY" placeholder:"NETWORK" help:"A network of proxies whose X-Forwarded-For is trusted, such as 10.0.0.0/8. None by default."`
	Reflection     bool     `env:"CONFERENCED_REFLECTION" default:"true" negatable:"" help:"Serve gRPC reflection. On by default."`
	Docs           bool     `env:"CONFERENCED_DOCS" default:"true" negatable:"" help:"Serve /docs, /openapi.json and /conference_service.proto. On by default."`
	AuditFailure   string   `env:"CONFERENCED_AUDIT_FAILURE" default:"closed" enum:"closed,open" help:"Whether calls whose audit record cannot be written are refused (closed) or proceed (open); ${default} by default."`
}

// apply sets the flags' fields of the server's configuration.
func (s *securing) apply(cfg *server.Config, base settings.Base, auditLog string) error {
	var jwtErr error
	base.JWT, jwtErr = s.JWT.verifier()
	proxies, proxyErr := clientaddr.ParseProxies(s.TrustedProxy)
	if proxyErr != nil {
		proxyErr = fmt.Errorf("--trusted-proxy: %w", proxyErr)
	}
	live, liveErr := settings.NewLive(s.settings(), base, cfg.Logger)
	if err := errors.Join(jwtErr, proxyErr, liveErr); err != nil {
		return usageError{err}
	}
	cfg.Settings = live
	cfg.TrustedProxies = proxies
	cfg.AllowAnonymous = s.AllowAnonymous
	cfg.NoReflection, cfg.NoDocs = !s.Reflection, !s.Docs
	cfg.AuditFailOpen = s.AuditFailure == "open"
	if auditLog == "" {
		return nil
	}
	var err error
	cfg.Audit, err = telemetry.OpenAudit(auditLog)
	return err
}
