package callers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4/json"
)

// maxName is the most bytes that a JWT's name may have, as OpenID Connect
// limits `sub`.
const maxName = 255

// Why a JWT with a good signature is not accepted.
var (
	errClaimsMalformed = errors.New("callers: the JWT's claims are malformed")
	errClaimsIssuer    = errors.New("callers: the JWT is of another issuer")
	errClaimsAudience  = errors.New("callers: the JWT is for another audience")
	errClaimsExpiry    = errors.New("callers: the JWT has no expiry")
	errClaimsExpired   = errors.New("callers: the JWT has expired")
	errClaimsNotYet    = errors.New("callers: the JWT is not valid yet")
	errClaimsIssuedAt  = errors.New("callers: the JWT was issued in the future")
)

// expectation is what claims must say.
type expectation struct {
	issuer, audience, nameClaim string
	skew                        time.Duration
}

// claims are a JWT's, by their exact names. A name that is there twice makes
// them malformed: the first and the last could say different things.
type claims map[string]any

func readClaims(payload []byte) (claims, error) {
	var read claims
	// go-jose's json takes names as they are written and refuses repeated ones.
	if err := json.Unmarshal(payload, &read); err != nil || read == nil {
		return nil, errClaimsMalformed
	}
	return read, nil
}

// accept checks everything but the time.
func (c claims) accept(expected expectation) (Caller, validity, error) {
	if issuer, _ := c["iss"].(string); issuer != expected.issuer {
		return Caller{}, validity{}, errClaimsIssuer
	}
	if !slices.Contains(texts(c["aud"]), expected.audience) {
		return Caller{}, validity{}, errClaimsAudience
	}
	validity, err := c.validity()
	if err != nil {
		return Caller{}, validity, err
	}
	name, _ := c[expected.nameClaim].(string)
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return Caller{}, validity, fmt.Errorf(
			"callers: the JWT's claim %s is not a name of 1 to %d bytes", expected.nameClaim, maxName)
	}
	return Caller{Name: name, Kind: KindJWT, Claims: c.texts()}, validity, nil
}

// texts are the claims that are strings or lists of strings.
func (c claims) texts() map[string][]string {
	byName := make(map[string][]string, len(c))
	for name, value := range c {
		if values := texts(value); len(values) > 0 {
			byName[name] = values
		}
	}
	if scope, ok := c["scope"].(string); ok { // RFC 8693: a list with spaces between.
		byName["scope"] = strings.Fields(scope)
	}
	return byName
}

// texts are a claim's value if it is a string, or all of them if it is a list of
// nothing but strings.
func texts(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		list := make([]string, len(value))
		for i, element := range value {
			text, ok := element.(string)
			if !ok {
				return nil
			}
			list[i] = text
		}
		return list
	default:
		return nil
	}
}

// validity is when a JWT may be used. A zero time was not in it.
type validity struct {
	expires, notBefore, issued time.Time
}

func (c claims) validity() (validity, error) {
	if c["exp"] == nil {
		return validity{}, errClaimsExpiry
	}
	var v validity
	for name, instant := range map[string]*time.Time{"exp": &v.expires, "nbf": &v.notBefore, "iat": &v.issued} {
		value, there := c[name]
		if !there {
			continue
		}
		// Seconds since 1970, as of RFC 7519, up to the year 9999.
		seconds, ok := value.(float64)
		if !ok || seconds < 0 || seconds > 253402300799 {
			return validity{}, errClaimsMalformed
		}
		*instant = time.UnixMilli(int64(seconds * 1000))
	}
	return v, nil
}

// check says whether a JWT may be used now, by a clock that may differ from the
// issuer's by skew.
func (v validity) check(now time.Time, skew time.Duration) error {
	switch {
	case !now.Before(v.expires.Add(skew)):
		return errClaimsExpired
	case v.notBefore.After(now.Add(skew)):
		return errClaimsNotYet
	case v.issued.After(now.Add(skew)):
		return errClaimsIssuedAt
	default:
		return nil
	}
}
