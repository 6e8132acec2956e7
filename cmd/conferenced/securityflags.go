package main

import (
	"errors"
	"time"

	"conferenced/service/callers"
	"conferenced/service/clientaddr"
	"conferenced/service/invalid"
	"conferenced/service/server"
	"conferenced/service/settings"
)

// files has the flags of the files that are reloaded when they change. It has the fields
// of settings.Files, to be converted.
type files struct {
	Accounts string `field:"settings.Accounts" env:"CONFERENCED_ACCOUNTS" placeholder:"FILE" help:"Accounts and the places of their credentials, in YAML. Without it: one account from the environment."`
	Tokens   string `field:"settings.Tokens" env:"CONFERENCED_TOKENS" placeholder:"FILE" help:"Bearer tokens of callers, by name and SHA-256, in YAML."`
	Policy   string `field:"settings.Policy" env:"CONFERENCED_POLICY" placeholder:"FILE" help:"What callers may do, in YAML. Required if callers are authenticated."`
	ClientCA string `name:"client-ca" field:"settings.ClientCA" env:"CONFERENCED_CLIENT_CA" placeholder:"FILE" help:"The CAs of accepted client certificates, in PEM."`
	TLSCert  string `name:"tls-cert" field:"settings.TLSCert" env:"CONFERENCED_TLS_CERT" placeholder:"FILE" help:"The server certificate of gRPC and HTTP, in PEM. Without it: plaintext."`
	TLSKey   string `name:"tls-key" field:"settings.TLSKey" env:"CONFERENCED_TLS_KEY" placeholder:"FILE" help:"Its key, in PEM."`
}

// jwt has the flags of the issuer whose JWTs are accepted.
type jwt struct {
	Issuer     string        `field:"callers.JWT.Issuer" env:"CONFERENCED_JWT_ISSUER" placeholder:"URL" help:"The OIDC issuer whose JWTs are accepted."`
	Audience   string        `field:"callers.JWT.Audience" env:"CONFERENCED_JWT_AUDIENCE" placeholder:"NAME" help:"The audience that the JWTs must have."`
	JWKSURL    string        `name:"jwks-url" field:"callers.JWT.JWKSURL" env:"CONFERENCED_JWT_JWKS_URL" placeholder:"URL" help:"The URL of the issuer's keys, instead of the one in its discovery document. A query in it is accepted only from the environment."`
	Algorithms []string      `field:"callers.JWT.Algorithms" env:"CONFERENCED_JWT_ALGORITHMS" default:"RS256,ES256" help:"The accepted signature algorithms."`
	ClockSkew  time.Duration `field:"callers.JWT.ClockSkew" env:"CONFERENCED_JWT_CLOCK_SKEW" default:"30s" help:"How far the issuer's clock may be off."`
	NameClaim  string        `env:"CONFERENCED_JWT_NAME_CLAIM" default:"sub" help:"The claim that names the caller."`
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
}

// apply sets the flags' fields of the server's configuration. Its error joins all
// problems.
func (s *securing) apply(cfg *server.Config, base settings.Base) error {
	var jwtErr, proxyErr, liveErr error
	base.JWT, jwtErr = s.JWT.verifier()
	cfg.TrustedProxies, proxyErr = clientaddr.ParseProxies(s.TrustedProxy)
	cfg.Settings, liveErr = settings.NewLive(settings.Files(s.files), base, cfg.Logger)
	if jwtErr != nil {
		cfg.Settings = nil // Whether callers are authenticated is not known.
	}
	cfg.AllowAnonymous = s.AllowAnonymous
	cfg.NoReflection, cfg.NoDocs = !s.Reflection, !s.Docs
	return errors.Join(jwtErr, invalid.Field("--trusted-proxy", proxyErr), liveErr)
}
