package callers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"conferenced/service/clientaddr"
	"conferenced/service/invalid"
)

// maxClockSkew is the maximum of [JWTConfig.ClockSkew].
const maxClockSkew = 5 * time.Minute

// JWTConfig configures which JWTs are accepted.
type JWTConfig struct {
	// Issuer is the issuer's URL, exactly as its JWTs have it in `iss`: https, or
	// http on a loopback address.
	Issuer string
	// Audience must be among a JWT's `aud`.
	Audience string
	// JWKSURL is the URL of the issuer's keys. If empty, it is read from the issuer's
	// OpenID discovery document.
	JWKSURL string
	// Algorithms are the accepted signature algorithms, by their JWS names. Algorithms
	// with a shared key are not possible. Empty: RS256 and ES256.
	Algorithms []string
	// ClockSkew is the maximum difference between the issuer's clock and this one,
	// at most five minutes.
	ClockSkew time.Duration
	// NameClaim is the claim that names the caller. Empty: sub.
	NameClaim string
	// Client fetches the keys; nil: one with the system's CAs and proxy. Redirects
	// are not followed.
	Client *http.Client
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

var asymmetricAlgorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// validate returns an [invalid.FieldError] for each problem, joined.
func (c JWTConfig) validate() error {
	var errs []error
	wrong := func(field string, err error) { errs = append(errs, invalid.Field("callers.JWT."+field, err)) }
	wrong("Issuer", checkURL(c.Issuer))
	if strings.Contains(c.Issuer, "?") {
		wrong("Issuer", errors.New("must not have a query"))
	}
	if c.Audience == "" {
		wrong("Audience", errors.New("is missing"))
	}
	if c.JWKSURL != "" {
		wrong("JWKSURL", checkURL(c.JWKSURL))
	}
	for _, algorithm := range c.Algorithms {
		if !slices.Contains(asymmetricAlgorithms, algorithm) {
			wrong("Algorithms", fmt.Errorf("%q is not one of %s", algorithm, strings.Join(asymmetricAlgorithms, ", ")))
		}
	}
	if c.ClockSkew < 0 || c.ClockSkew > maxClockSkew {
		wrong("ClockSkew", fmt.Errorf("must be 0 to %s", maxClockSkew))
	}
	return errors.Join(errs...)
}

// checkURL refuses URLs from which keys must not be fetched. Its errors do not
// contain the URL, which may have a password by mistake.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("must be an absolute URL")
	case u.User != nil:
		return errors.New("must not hold a user name or password")
	case u.Fragment != "":
		return errors.New("must not have a fragment")
	case u.Scheme == "http" && clientaddr.IsLoopback(u.Hostname()), u.Scheme == "https":
		return nil
	default:
		return errors.New("must be https, or http on a loopback address")
	}
}

// NewJWT returns a verifier of the JWTs of one issuer. Keys are fetched when the
// first JWT arrives, so the issuer may be down at the start.
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
	client := new(http.Client)
	if cfg.Client != nil {
		*client = *cfg.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &JWT{
		cfg: cfg,
		parser: jwt.NewParser(
			jwt.WithValidMethods(cfg.Algorithms), jwt.WithIssuer(cfg.Issuer), jwt.WithAudience(cfg.Audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(cfg.ClockSkew), jwt.WithTimeFunc(cfg.Now),
		),
		keys: &keySet{issuer: &issuer{url: cfg.Issuer, jwksURL: cfg.JWKSURL, client: client}, now: cfg.Now},
	}, nil
}
