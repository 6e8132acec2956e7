package callers

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// Why a JWT is not accepted.
var (
	errJWTMalformed = errors.New("callers: the JWT is malformed, or signed with an algorithm that is not accepted")
	errJWTSignature = errors.New("callers: none of the issuer's keys verifies the JWT's signature")
)

// JWT verifies the JWTs of one issuer, whose keys it fetches and keeps. It is
// safe for concurrent use.
type JWT struct {
	expected   expectation
	now        func() time.Time
	config     *oidc.Config
	algorithms []jose.SignatureAlgorithm
	keys       *keySet
	verified   recent[*verifiedJWT]
}

// verifiedJWT is a JWT whose signature and claims were found good, but for the
// time, with keys that may have been replaced since.
type verifiedJWT struct {
	keys     *keyRing
	validity validity
	caller   Caller
}

// caller knows the caller by a JWT.
func (j *JWT) caller(ctx context.Context, raw string) (Caller, error) {
	keys := j.keys.current(ctx)
	digest := sha256.Sum256([]byte(raw))
	verified, ok := j.verified.get(digest)
	if !ok || verified.keys != keys {
		var err error
		if verified, err = j.verify(ctx, raw); err != nil {
			return Caller{}, err
		}
		j.verified.put(digest, verified)
	}
	if err := verified.validity.check(j.now(), j.expected.skew); err != nil {
		return Caller{}, err
	}
	return verified.caller, nil
}

// verify checks everything but the time. go-oidc parses the JWT and holds it to
// the algorithms, the signature, the issuer and the audience. It reads claims
// whatever their case and its errors repeat them, so the claims are read and
// checked once more, and its errors stay here.
func (j *JWT) verify(ctx context.Context, raw string) (*verifiedJWT, error) {
	check := signatureCheck{algorithms: j.algorithms, set: j.keys}
	_, err := oidc.NewVerifier(j.expected.issuer, &check, j.config).Verify(ctx, raw)
	if check.err != nil {
		return nil, check.err
	}
	if check.payload == nil {
		return nil, errJWTMalformed
	}
	claims, claimsErr := readClaims(check.payload)
	if claimsErr != nil {
		return nil, claimsErr
	}
	caller, validity, claimsErr := claims.accept(j.expected)
	if claimsErr != nil {
		return nil, claimsErr
	}
	if err != nil {
		return nil, errClaimsMalformed
	}
	return &verifiedJWT{check.ring, validity, caller}, nil
}

// signatureCheck is the oidc.KeySet of one verification. It keeps what came of
// it, since go-oidc makes a text of the error.
type signatureCheck struct {
	algorithms []jose.SignatureAlgorithm
	set        *keySet

	payload []byte   // Set if the signature is good,
	ring    *keyRing // with the keys that it was verified with.
	err     error
}

// VerifySignature implements oidc.KeySet.
func (c *signatureCheck) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(raw, c.algorithms)
	if err != nil {
		c.err = errJWTMalformed
		return nil, c.err
	}
	c.payload, c.ring, c.err = c.set.verify(ctx, signed)
	return c.payload, c.err
}
