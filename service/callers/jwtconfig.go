package callers

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// maxClockSkew is the most that clocks may be said to differ.
const maxClockSkew = 5 * time.Minute

// JWTConfig says which JWTs are accepted.
type JWTConfig struct {
	// Issuer is the issuer's URL, exactly as its tokens have it in `iss`: https,
	// or http on a loopback address.
	Issuer string
	// Audience must be among a token's `aud`.
	Audience string
	// JWKSURL is where the issuer publishes its keys. Empty: the issuer's
	// OpenID discovery says where.
	JWKSURL string
	// Algorithms are those that a token may be signed with, by their JWS names;
	// none that has a shared key. Empty: RS256 and ES256.
	Algorithms []string
	// ClockSkew is how far the issuer's clock may be from this one, at most five
	// minutes.
	ClockSkew time.Duration
	// NameClaim is the claim that names the caller. Empty: sub.
	NameClaim string
	// Client fetches the keys; nil: one with the system's authorities and proxy.
	// Redirects are not followed.
	Client *http.Client
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

var asymmetricAlgorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// validate returns an error that names everything that is wrong, joined.
func (c JWTConfig) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := checkURL(c.Issuer); err != nil {
		wrong("the JWT issuer %w", err)
	}
	if c.Audience == "" {
		wrong("the JWT audience is missing")
	}
	if c.JWKSURL != "" {
		if err := checkURL(c.JWKSURL); err != nil {
			wrong("the JWKS URL %w", err)
		}
	}
	for _, algorithm := range c.Algorithms {
		if !slices.Contains(asymmetricAlgorithms, algorithm) {
			wrong("the JWT algorithm %q is not one of %s", algorithm, strings.Join(asymmetricAlgorithms, ", "))
		}
	}
	if c.ClockSkew < 0 || c.ClockSkew > maxClockSkew {
		wrong("the JWT clock skew must be 0 to %s", maxClockSkew)
	}
	return errors.Join(errs...)
}

// checkURL refuses what keys must not be fetched from. Its errors do not repeat
// the URL, which may hold a password by mistake.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("must be an absolute URL")
	case u.User != nil:
		return errors.New("must not hold a user name or password")
	case u.Fragment != "":
		return errors.New("must not have a fragment")
	case u.Scheme == "http" && isLoopback(u.Hostname()), u.Scheme == "https":
		return nil
	default:
		return errors.New("must be https, or http on a loopback address")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// NewJWT returns a verifier of the JWTs of one issuer. It fetches nothing yet:
// an issuer that is down at the start is asked again when JWTs come in.
func NewJWT(cfg JWTConfig) (*JWT, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{"RS256", "ES256"}
	}
	if cfg.NameClaim == "" {
		cfg.NameClaim = "sub"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	j := &JWT{
		expected: expectation{cfg.Issuer, cfg.Audience, cfg.NameClaim, cfg.ClockSkew},
		now:      cfg.Now,
		config: &oidc.Config{
			ClientID:             cfg.Audience,
			SupportedSigningAlgs: slices.Clone(cfg.Algorithms),
			SkipExpiryCheck:      true, // Its leeways are not ours: claims.inTime checks.
		},
		keys: newKeySet(&issuer{url: cfg.Issuer, jwks: cfg.JWKSURL, client: fetchClient(cfg.Client)}, cfg.Now),
	}
	for _, algorithm := range cfg.Algorithms {
		j.algorithms = append(j.algorithms, jose.SignatureAlgorithm(algorithm))
	}
	return j, nil
}
