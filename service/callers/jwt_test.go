package callers

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

func TestValidJWTs(t *testing.T) {
	withoutID, withoutAlgorithm := newSigningKey("", jwt.SigningMethodES256), newSigningKey("plain", jwt.SigningMethodRS256)
	plain := published(withoutAlgorithm.private.Public(), jwkset.JWKMetadataOptions{KID: "plain"})
	issuer := newLocalIssuer(t, keyES.public(), keyRS.public(), keyEd.public(), withoutID.public(), plain)
	set := &Set{JWT: issuer.verifier(t, newClock())}
	for _, test := range []struct {
		name    string
		key     signingKey
		changes map[string]any
		claims  map[string][]string // Other than the usual ones.
	}{
		{name: "ES256", key: keyES},
		{name: "RS256", key: keyRS},
		{name: "EdDSA", key: keyEd},
		{name: "without a key ID", key: withoutID},
		{name: "a published key without algorithm and use", key: withoutAlgorithm},
		{
			name: "several audiences", key: keyES,
			changes: map[string]any{"aud": []string{"other", audience}},
			claims:  map[string][]string{"aud": {"other", audience}},
		},
		{
			name: "claims of every type", key: keyES,
			changes: map[string]any{
				"groups": []string{"agents", "staff"}, "scope": "mute  hold", "team": "a b",
				"level": 3, "ratio": 0.5, "large": uint64(1<<63 + 1), "admin": true, "mixed": []any{"x", 1, false},
				"nested": map[string]any{"a": "b"}, "lists": []any{[]string{"a"}}, "some": []any{"a", nil}, "none": []string{}, "null": any(nil),
			},
			claims: map[string][]string{
				"groups": {"agents", "staff"}, "scope": {"mute", "hold"}, "team": {"a b"},
				"level": {"3"}, "ratio": {"0.5"}, "large": {"9223372036854775809"}, "admin": {"true"}, "mixed": {"x", "1", "false"},
			},
		},
		{
			name: "a time with a fraction", key: keyES,
			changes: map[string]any{"exp": float64(noon.Unix()) + 1.5},
			claims:  map[string][]string{"exp": {fmt.Sprint(noon.Unix()+1) + ".5"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := Caller{Name: "svc-ui", Kind: KindJWT, Claims: map[string][]string{
				"iss": {issuer.URL}, "aud": {audience}, "sub": {"svc-ui"},
				"exp": {fmt.Sprint(noon.Unix() + 300)}, "iat": {fmt.Sprint(noon.Unix() - 10)},
			}}
			maps.Copy(want.Claims, test.claims)
			token := issuer.token(t, test.key, test.changes)
			for range 2 { // The second time from the cache.
				got, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+token))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error("caller (-want +got):\n", diff)
				}
			}
		})
	}
	if issuer.fetched() != 1 {
		t.Errorf("the keys were fetched %d times, want once", issuer.fetched())
	}
}

func TestJWTNameClaim(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public())
	set := &Set{JWT: issuer.verifier(t, newClock(), func(cfg *JWTConfig) { cfg.NameClaim = "azp" })}
	got, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, map[string]any{"azp": "desk"})))
	if err != nil || got.Key() != "jwt:desk" {
		t.Errorf("got %q, %v", got.Key(), err)
	}
	_, err = set.Authenticate(withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, nil)))
	const want = "callers: the JWT's claim azp is not a name of 1 to 255 bytes"
	if err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestInvalidJWTs(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public(), keyRS.public())
	forged := newSigningKey("es", jwt.SigningMethodES256) // Under the ID of another key.
	good := issuer.token(t, keyES, nil)
	claims := func(changes map[string]any) string { return issuer.token(t, keyES, changes) }
	payload := mustJSON(t, issuer.claims(nil))
	invalid := jwt.ErrTokenInvalidClaims
	for _, test := range []struct {
		name  string
		token string
		want  error
	}{
		{"expired", claims(map[string]any{"exp": noon.Unix()}), jwt.ErrTokenExpired},
		{"not valid yet", claims(map[string]any{"nbf": noon.Unix() + 1}), jwt.ErrTokenNotValidYet},
		{"issued in the future", claims(map[string]any{"iat": noon.Unix() + 1}), jwt.ErrTokenUsedBeforeIssued},
		{"without an expiry", claims(map[string]any{"exp": nil}), jwt.ErrTokenRequiredClaimMissing},
		{"an expiry in words", claims(map[string]any{"exp": "tomorrow"}), invalid},
		{"an expiry in digits in quotes", claims(map[string]any{"exp": "4000000000"}), invalid},
		{"an expiry after the year 9999", claims(map[string]any{"exp": 1e300}), invalid},
		{"an expiry before 1970", claims(map[string]any{"exp": -1}), invalid},
		{"a start that is not a time", claims(map[string]any{"nbf": []int{1}}), invalid},
		{"a start before 1970", claims(map[string]any{"nbf": -1e300}), invalid},
		{"another audience", claims(map[string]any{"aud": "other.example.org"}), jwt.ErrTokenInvalidAudience},
		{"other audiences", claims(map[string]any{"aud": []string{"a", "b"}}), jwt.ErrTokenInvalidAudience},
		{"an audience with the same beginning", claims(map[string]any{"aud": audience + ".evil"}), jwt.ErrTokenInvalidAudience},
		{"an audience in upper case", claims(map[string]any{"aud": strings.ToUpper(audience)}), jwt.ErrTokenInvalidAudience},
		{"audiences that are not all texts", claims(map[string]any{"aud": []any{audience, 1}}), invalid},
		{"without an audience", claims(map[string]any{"aud": nil}), jwt.ErrTokenRequiredClaimMissing},
		{"the audience in a claim of upper case", claims(map[string]any{"aud": "other", "AUD": audience}), jwt.ErrTokenInvalidAudience},
		{"another issuer", claims(map[string]any{"iss": "https://evil.example.org"}), jwt.ErrTokenInvalidIssuer},
		{"the issuer with a slash", claims(map[string]any{"iss": issuer.URL + "/"}), jwt.ErrTokenInvalidIssuer},
		{"without an issuer", claims(map[string]any{"iss": nil}), jwt.ErrTokenRequiredClaimMissing},
		{"the audience twice", keyES.sign(t, strings.Replace(payload, "{", `{"aud":"other",`, 1), nil), errJWTMalformed},
		{"no claims", keyES.sign(t, `null`, nil), invalid},
		{"claims that are a list", keyES.sign(t, `[]`, nil), errJWTMalformed},
		{"claims that are not JSON", keyES.sign(t, `{`, nil), errJWTMalformed},
		{"alg none", unsigned("none", payload, ""), errJWTMalformed},
		{"alg None", unsigned("None", payload, ""), errJWTMalformed},
		{"alg none with the signature of a valid one", unsigned("none", payload, part(good, 2)), errJWTMalformed},
		{"without alg", encode("{}") + "." + part(good, 1) + "." + part(good, 2), errJWTMalformed},
		{"HS256 with the public key in PEM", hmacSigned(payload, pemOf(t, keyRS)), errJWTMalformed},
		{"HS256 with the public key in DER", hmacSigned(payload, derOf(t, keyRS)), errJWTMalformed},
		{"an algorithm that is not configured", signingKey{"rs", jwt.SigningMethodPS256, keyRS.private}.sign(t, payload, nil), errJWTMalformed},
		{"a forged key under a known ID", issuer.token(t, forged, nil), errJWTSignature},
		{"its own key in the header", forged.sign(t, payload, map[string]any{"jwk": forged.public(), "kid": "own"}), errJWTSignature},
		{"an unknown key ID", issuer.token(t, newSigningKey("unknown", jwt.SigningMethodES256), nil), errJWTSignature},
		{"no key ID and an unknown key", issuer.token(t, newSigningKey("", jwt.SigningMethodES256), nil), errJWTSignature},
		{"a key ID of a key for another algorithm", issuer.token(t, newSigningKey("rs", jwt.SigningMethodES256), nil), errJWTSignature},
		{"a key ID that is not text", keyES.sign(t, payload, map[string]any{"kid": 1}), errJWTSignature},
		{"a tampered payload", part(good, 0) + "." + part(claims(map[string]any{"sub": "root"}), 1) + "." + part(good, 2), errJWTSignature},
		{"a tampered signature", tampered(good), errJWTSignature},
		{"without its signature", part(good, 0) + "." + part(good, 1) + ".", errJWTSignature},
		{"a header that is not JSON", "AAAA." + part(good, 1) + "." + part(good, 2), errJWTMalformed},
		{"three empty parts", "..", errJWTMalformed},
		{"two parts", part(good, 0) + "." + part(good, 1), errNotOurs},
		{"five parts, as an encrypted one", good + ".AAAA.AAAA", errNotOurs},
		{"a critical header that is not known", keyES.sign(t, payload, map[string]any{"crit": []string{"x"}, "x": 1}), errJWTMalformed},
		{"too long", claims(map[string]any{"padding": strings.Repeat("x", maxBearer)}), errTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := &Set{JWT: issuer.verifier(t, newClock())}
			// A valid JWT first, so that the keys are fetched.
			if _, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+good)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				caller, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+test.token))
				if !errors.Is(err, test.want) {
					t.Errorf("got error %v, want %v", err, test.want)
				}
				if diff := cmp.Diff(Caller{}, caller); diff != "" {
					t.Error("got a caller (-want +got):\n", diff)
				}
			}
		})
	}
}

func TestJWTAtAnotherService(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public())
	here := &Set{JWT: issuer.verifier(t, newClock())}
	there := &Set{JWT: issuer.verifier(t, newClock(), func(cfg *JWTConfig) { cfg.Audience = "there" })}
	ctx := withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, nil))
	if _, err := here.Authenticate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Authenticate(ctx); !errors.Is(err, jwt.ErrTokenInvalidAudience) {
		t.Errorf("got error %v, want %v", err, jwt.ErrTokenInvalidAudience)
	}
}

func TestJWTClockSkew(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public())
	const skew = 30
	for _, test := range []struct {
		name  string
		claim string
		at    int64 // Seconds from noon.
		want  error
	}{
		{"expired just within", "exp", -skew + 1, nil},
		{"expired just beyond", "exp", -skew, jwt.ErrTokenExpired},
		{"valid from just within", "nbf", skew, nil},
		{"valid from just beyond", "nbf", skew + 1, jwt.ErrTokenNotValidYet},
		{"issued just within", "iat", skew, nil},
		{"issued just beyond", "iat", skew + 1, jwt.ErrTokenUsedBeforeIssued},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := &Set{JWT: issuer.verifier(t, newClock(), func(cfg *JWTConfig) { cfg.ClockSkew = skew * time.Second })}
			token := issuer.token(t, keyES, map[string]any{test.claim: noon.Unix() + test.at})
			for range 2 {
				if _, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+token)); !errors.Is(err, test.want) {
					t.Errorf("got error %v, want %v", err, test.want)
				}
			}
		})
	}
}

func TestCachedJWTExpires(t *testing.T) {
	issuer, clock := newLocalIssuer(t, keyES.public()), newClock()
	set := &Set{JWT: issuer.verifier(t, clock)}
	ctx := withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, map[string]any{"exp": noon.Unix() + 60}))
	for _, want := range []error{nil, nil, jwt.ErrTokenExpired, jwt.ErrTokenExpired} {
		_, err := set.Authenticate(ctx)
		if !errors.Is(err, want) {
			t.Errorf("at %v: got error %v, want %v", clock.now(), err, want)
		}
		clock.advance(30 * time.Second)
	}
}

func TestJWTErrorsDoNotRepeatTheJWT(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public())
	const secret = "s3cr3t"
	set := &Set{JWT: issuer.verifier(t, newClock())}
	for _, changes := range []map[string]any{
		{"aud": secret}, {"aud": []any{secret, 1}}, {"iss": secret}, {"iss": []string{secret}}, {"exp": secret}, {"nbf": secret},
		{"exp": 1, "sub": secret}, {"sub": []string{secret}}, {"sub": secret + "\n"},
	} {
		token := issuer.token(t, keyES, changes)
		_, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+token))
		if err == nil {
			t.Errorf("%v is accepted", changes)
			continue
		}
		text := fmt.Sprintf("%+v", err)
		for _, part := range append(strings.Split(token, "."), secret) {
			if strings.Contains(text, part) {
				t.Errorf("%v: the error %s contains %s", changes, text, part)
			}
		}
	}
}

func TestNewJWT(t *testing.T) {
	good := JWTConfig{Issuer: "https://issuer.example.org", Audience: audience}
	for _, test := range []struct {
		name   string
		change func(*JWTConfig)
		want   string
	}{
		{"only the required fields", func(*JWTConfig) {}, ""},
		{"all", func(cfg *JWTConfig) {
			cfg.JWKSURL, cfg.Algorithms = "https://issuer.example.org/keys?v=1", asymmetricAlgorithms
			cfg.ClockSkew, cfg.NameClaim = 5*time.Minute, "azp"
		}, ""},
		{"http on loopback", func(cfg *JWTConfig) { cfg.Issuer, cfg.JWKSURL = "http://127.0.0.1:8080", "http://[::1]/keys" }, ""},
		{"http elsewhere", func(cfg *JWTConfig) { cfg.Issuer = "http://issuer.example.org" },
			"callers.JWT.Issuer: must be https, or http on a loopback address"},
		{"everything wrong", func(cfg *JWTConfig) {
			*cfg = JWTConfig{
				Issuer: "issuer", JWKSURL: "https://a:b@c", Algorithms: []string{"none", "HS256", "RS256", ""},
				ClockSkew: -1,
			}
		}, `callers.JWT.Issuer: must be an absolute URL
callers.JWT.Audience: is missing
callers.JWT.JWKSURL: must not hold a user name or password
callers.JWT.Algorithms: "none" is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA
callers.JWT.Algorithms: "HS256" is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA
callers.JWT.Algorithms: "" is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA
callers.JWT.ClockSkew: must be 0 to 5m0s`},
		{"too much skew", func(cfg *JWTConfig) { cfg.ClockSkew = time.Hour }, "callers.JWT.ClockSkew: must be 0 to 5m0s"},
		{"a query", func(cfg *JWTConfig) { cfg.Issuer += "?key=secret" }, "callers.JWT.Issuer: must not have a query"},
		{"a fragment", func(cfg *JWTConfig) { cfg.Issuer += "#x" }, "callers.JWT.Issuer: must not have a fragment"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := good
			test.change(&cfg)
			_, err := NewJWT(cfg)
			if diff := cmp.Diff(test.want, errorText(err)); diff != "" {
				t.Error("error (-want +got):\n", diff)
			}
		})
	}
}

func part(token string, i int) string { return strings.Split(token, ".")[i] }

// tampered is a JWT with one bit of the signature changed.
func tampered(token string) string {
	signature, _ := base64.RawURLEncoding.DecodeString(part(token, 2))
	signature[7] ^= 1
	return part(token, 0) + "." + part(token, 1) + "." + encode(string(signature))
}

func unsigned(algorithm, claims, signature string) string {
	return encode(`{"alg":"`+algorithm+`","typ":"JWT","kid":"es"}`) + "." + encode(claims) + "." + signature
}

func hmacSigned(claims string, key []byte) string {
	token := strings.TrimSuffix(unsigned("HS256", claims, ""), ".")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(token))
	return token + "." + encode(string(mac.Sum(nil)))
}

func derOf(t testing.TB, key signingKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemOf(t testing.TB, key signingKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: derOf(t, key)})
}
