package callers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"
)

// maxName is the maximum length of a JWT's name in bytes, which is OpenID
// Connect's limit of `sub`.
const maxName = 255

// The reasons why a JWT is not accepted, apart from its claims.
var (
	errJWTMalformed = errors.New("callers: the JWT is malformed, or signed with an algorithm that is not accepted")
	errJWTSignature = errors.New("callers: none of the issuer's keys verifies the JWT's signature")
)

// JWT verifies the JWTs of one issuer, whose keys it fetches and keeps. It is
// safe for concurrent use.
type JWT struct {
	cfg      JWTConfig
	parser   *jwt.Parser
	keys     *keySet
	verified recent[*verifiedJWT]
}

// Issuer returns the URL of the issuer.
func (j *JWT) Issuer() string { return j.cfg.Issuer }

// verifiedJWT is the result of a verification. It is valid while the issuer's keys
// are unchanged.
type verifiedJWT struct {
	keys   *issuerKeys
	until  time.Time
	caller Caller
}

// caller returns the caller of a JWT.
func (j *JWT) caller(ctx context.Context, raw string) (Caller, error) {
	keys := j.keys.current(ctx)
	digest := sha256.Sum256([]byte(raw))
	known, ok := j.verified.get(digest)
	if ok && known.keys == keys && j.cfg.Now().Before(known.until) {
		return known.caller, nil
	}
	verified, err := j.verify(ctx, raw, keys)
	if err != nil {
		return Caller{}, err
	}
	j.verified.put(digest, verified)
	return verified.caller, nil
}

// verify verifies a JWT with these keys, or with newer ones if they do not verify
// its signature.
func (j *JWT) verify(ctx context.Context, raw string, keys *issuerKeys) (*verifiedJWT, error) {
	verified, err := j.verifyWith(raw, keys)
	if !errors.Is(err, errJWTSignature) {
		return verified, err
	}
	newer, fetchErr := j.keys.newer(ctx, keys)
	if fetchErr != nil {
		return nil, fetchErr
	}
	if newer == keys {
		return nil, err
	}
	return j.verifyWith(raw, newer)
}

func (j *JWT) verifyWith(raw string, keys *issuerKeys) (*verifiedJWT, error) {
	read := new(claims)
	accepted := false // That is, parsed and of an accepted algorithm.
	_, err := j.parser.ParseWithClaims(raw, read, func(token *jwt.Token) (any, error) {
		// The library ignores critical headers. RFC 7515 requires that a JWT with an
		// unknown critical header is refused, and no such header is known here.
		_, critical := token.Header["crit"]
		if accepted = !critical; critical {
			return nil, errJWTMalformed
		}
		return keys.keyfunc(token)
	})
	switch {
	case err == nil:
		return j.verifiedJWT(read, keys)
	case errors.Is(err, jwt.ErrTokenInvalidClaims):
		return nil, fmt.Errorf("callers: the JWT is not accepted: %w", err)
	case accepted:
		return nil, errJWTSignature
	default:
		return nil, errJWTMalformed
	}
}

func (j *JWT) verifiedJWT(claims *claims, keys *issuerKeys) (*verifiedJWT, error) {
	name, _ := claims.MapClaims[j.cfg.NameClaim].(string)
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return nil, fmt.Errorf("callers: the JWT's claim %s is not a name of 1 to %d bytes", j.cfg.NameClaim, maxName)
	}
	expires, err := claims.GetExpirationTime()
	if err != nil {
		return nil, fmt.Errorf("callers: the JWT is not accepted: %w", err)
	}
	return &verifiedJWT{
		keys: keys, until: expires.Add(j.cfg.ClockSkew),
		caller: Caller{Name: name, Kind: KindJWT, Claims: claims.texts()},
	}, nil
}
