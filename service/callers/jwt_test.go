package callers

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func TestJWTsThatAreAccepted(t *testing.T) {
	withoutID, withoutAlgorithm := newSigningKey("", jose.ES256), newSigningKey("plain", jose.RS256)
	plain := withoutAlgorithm.public()
	plain.Algorithm, plain.Use = "", ""
	issuer := newLocalIssuer(t, keyES.public(), keyRS.public(), keyEd.public(), withoutID.public(), plain)
	set := &Set{JWT: issuer.verifier(t, newClock())}
	for _, test := range []struct {
		name    string
		key     signingKey
		changes map[string]any
		want    Caller
	}{
		{name: "ES256", key: keyES, want: Caller{Name: "svc-ui"}},
		{name: "RS256", key: keyRS, want: Caller{Name: "svc-ui"}},
		{name: "EdDSA", key: keyEd, want: Caller{Name: "svc-ui"}},
		{name: "without a key id", key: withoutID, want: Caller{Name: "svc-ui"}},
		{name: "a published key without algorithm and use", key: withoutAlgorithm, want: Caller{Name: "svc-ui"}},
		{
			name: "several audiences", key: keyES,
			changes: map[string]any{"aud": []string{"other", audience}},
			want:    Caller{Name: "svc-ui", Claims: map[string][]string{"aud": {"other", audience}}},
		},
		{
			name: "claims of every shape", key: keyES,
			changes: map[string]any{
				"groups": []string{"agents", "staff"}, "scope": "mute  hold", "team": "a b",
				"level": 3, "admin": true, "mixed": []any{"x", 1}, "nested": map[string]any{"a": "b"}, "none": []string{},
			},
			want: Caller{Name: "svc-ui", Claims: map[string][]string{
				"groups": {"agents", "staff"}, "scope": {"mute", "hold"}, "team": {"a b"},
			}},
		},
		{
			name: "a time with a fraction", key: keyES,
			changes: map[string]any{"exp": float64(noon.Unix()) + 0.5},
			want:    Caller{Name: "svc-ui"},
		},
		{
			name: "no time of issue", key: keyES, changes: map[string]any{"iat": nil},
			want: Caller{Name: "svc-ui"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := Caller{Name: test.want.Name, Kind: KindJWT, Claims: map[string][]string{
				"iss": {issuer.URL}, "aud": {audience}, "sub": {"svc-ui"},
			}}
			maps.Copy(want.Claims, test.want.Claims)
			token := issuer.token(t, test.key, test.changes)
			for range 2 { // The second time it is remembered.
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

func TestJWTsThatAreNotAccepted(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public(), keyRS.public())
	stranger := newSigningKey("es", jose.ES256) // The id of another's key.
	unknown := newSigningKey("unknown", jose.ES256)
	good := issuer.token(t, keyES, nil)
	claims := func(changes map[string]any) string { return issuer.token(t, keyES, changes) }
	for _, test := range []struct {
		name  string
		token string
		want  error
	}{
		{"expired", claims(map[string]any{"exp": noon.Unix()}), errClaimsExpired},
		{"not valid yet", claims(map[string]any{"nbf": noon.Unix() + 1}), errClaimsNotYet},
		{"issued in the future", claims(map[string]any{"iat": noon.Unix() + 1}), errClaimsIssuedAt},
		{"without an expiry", claims(map[string]any{"exp": nil}), errClaimsExpiry},
		{"an expiry in words", claims(map[string]any{"exp": "tomorrow"}), errClaimsMalformed},
		{"an expiry in digits in quotes", claims(map[string]any{"exp": "4000000000"}), errClaimsMalformed},
		{"an expiry after the year 9999", claims(map[string]any{"exp": 1e300}), errClaimsMalformed},
		{"an expiry before 1970", claims(map[string]any{"exp": -1}), errClaimsMalformed},
		{"a start that is no time", claims(map[string]any{"nbf": []int{1}}), errClaimsMalformed},
		{"another audience", claims(map[string]any{"aud": "other.example.org"}), errClaimsAudience},
		{"other audiences", claims(map[string]any{"aud": []string{"a", "b"}}), errClaimsAudience},
		{"an audience that begins alike", claims(map[string]any{"aud": audience + ".evil"}), errClaimsAudience},
		{"an audience in another case", claims(map[string]any{"aud": strings.ToUpper(audience)}), errClaimsAudience},
		{"audiences that are not all texts", claims(map[string]any{"aud": []any{audience, 1}}), errClaimsAudience},
		{"without an audience", claims(map[string]any{"aud": nil}), errClaimsAudience},
		{"the audience in another claim's name", claims(map[string]any{"aud": "other", "AUD": audience}), errClaimsAudience},
		{"another issuer", claims(map[string]any{"iss": "https://evil.example.org"}), errClaimsIssuer},
		{"the issuer with a slash", claims(map[string]any{"iss": issuer.URL + "/"}), errClaimsIssuer},
		{"without an issuer", claims(map[string]any{"iss": nil}), errClaimsIssuer},
		{"the audience twice", keyES.sign(t, []byte(strings.Replace(mustJSON(t, issuer.claims(nil)),
			"{", `{"aud":"other",`, 1))), errClaimsMalformed},
		{"no claims", keyES.sign(t, []byte(`null`)), errClaimsMalformed},
		{"claims that are a list", keyES.sign(t, []byte(`[]`)), errClaimsMalformed},
		{"alg none", unsigned(t, issuer, "none", ""), errJWTMalformed},
		{"alg None", unsigned(t, issuer, "None", ""), errJWTMalformed},
		{"alg none with the signature of a good one", unsigned(t, issuer, "none", part(good, 2)), errJWTMalformed},
		{"HS256 with the public key in PEM", hmacSigned(t, issuer, pemOf(t, keyRS)), errJWTMalformed},
		{"HS256 with the public key in DER", hmacSigned(t, issuer, derOf(t, keyRS)), errJWTMalformed},
		{"an algorithm that is not configured", newSigningKey("rs", jose.RS256).as(jose.PS256).sign(t, []byte(mustJSON(t, issuer.claims(nil)))), errJWTMalformed},
		{"a swapped key under a known id", issuer.token(t, stranger, nil), errJWTSignature},
		{"its own key in the header", embedded(t, issuer, stranger), errJWTSignature},
		{"an unknown key id", issuer.token(t, unknown, nil), errJWTSignature},
		{"no key id and an unknown key", issuer.token(t, newSigningKey("", jose.ES256), nil), errJWTSignature},
		{"a key id of a key for another algorithm", issuer.token(t, newSigningKey("rs", jose.ES256), nil), errJWTSignature},
		{"a tampered payload", part(good, 0) + "." + part(claims(map[string]any{"sub": "root"}), 1) + "." + part(good, 2), errJWTSignature},
		{"a tampered signature", tampered(good), errJWTSignature},
		{"without its signature", part(good, 0) + "." + part(good, 1) + ".", errJWTSignature},
		{"a header that is not JSON", "AAAA." + part(good, 1) + "." + part(good, 2), errJWTMalformed},
		{"three parts of nothing", "..", errJWTMalformed},
		{"two parts", part(good, 0) + "." + part(good, 1), errNotOurs},
		{"five parts, as an encrypted one", good + ".AAAA.AAAA", errNotOurs},
		{"a critical header that is not known", keyES.sign(t, []byte(mustJSON(t, issuer.claims(nil))),
			(&jose.SignerOptions{}).WithHeader("crit", []string{"x"}).WithHeader("x", 1)), errJWTSignature},
		{"too long", claims(map[string]any{"padding": strings.Repeat("x", maxBearer)}), errTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := &Set{JWT: issuer.verifier(t, newClock())}
			// A good one first, so that there are keys.
			if _, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+good)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				caller, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+test.token))
				if !errors.Is(err, test.want) {
					t.Errorf("got error %v, want %v", err, test.want)
				}
				if diff := cmp.Diff(Caller{}, caller); diff != "" {
					t.Error("a caller is named (-want +got):\n", diff)
				}
			}
		})
	}
}

// TestJWTReplayedToAnotherAudience uses one token at two services.
func TestJWTReplayedToAnotherAudience(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public())
	here := &Set{JWT: issuer.verifier(t, newClock())}
	there := &Set{JWT: issuer.verifier(t, newClock(), func(cfg *JWTConfig) { cfg.Audience = "there" })}
	ctx := withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, nil))
	if _, err := here.Authenticate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Authenticate(ctx); !errors.Is(err, errClaimsAudience) {
		t.Errorf("got error %v, want %v", err, errClaimsAudience)
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
		{"expired just beyond", "exp", -skew, errClaimsExpired},
		{"valid from just within", "nbf", skew, nil},
		{"valid from just beyond", "nbf", skew + 1, errClaimsNotYet},
		{"issued just within", "iat", skew, nil},
		{"issued just beyond", "iat", skew + 1, errClaimsIssuedAt},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := &Set{JWT: issuer.verifier(t, newClock(), func(cfg *JWTConfig) { cfg.ClockSkew = skew * time.Second })}
			token := issuer.token(t, keyES, map[string]any{test.claim: noon.Unix() + test.at})
			_, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+token))
			if !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
		})
	}
}

// TestJWTThatIsRememberedExpires uses one token as time passes.
func TestJWTThatIsRememberedExpires(t *testing.T) {
	issuer, clock := newLocalIssuer(t, keyES.public()), newClock()
	set := &Set{JWT: issuer.verifier(t, clock)}
	ctx := withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, map[string]any{"exp": noon.Unix() + 60}))
	for _, want := range []error{nil, nil, errClaimsExpired, errClaimsExpired} {
		_, err := set.Authenticate(ctx)
		if !errors.Is(err, want) {
			t.Errorf("at %v: got error %v, want %v", clock.now(), err, want)
		}
		clock.advance(30 * time.Second)
	}
}

// TestJWTErrorsSayNothingOfTheToken looks for what was presented in the causes
// of refusals.
func TestJWTErrorsSayNothingOfTheToken(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public())
	const secret = "s3cr3t"
	for _, changes := range []map[string]any{
		{"aud": secret}, {"iss": secret}, {"exp": secret}, {"exp": 1, "sub": secret}, {"sub": []string{secret}},
		{"sub": secret + "\n"}, {"_claim_names": secret}, {"_claim_names": map[string]string{secret: secret}},
	} {
		set := &Set{JWT: issuer.verifier(t, newClock())}
		token := issuer.token(t, keyES, changes)
		_, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+token))
		if err == nil {
			t.Errorf("%v is accepted", changes)
			continue
		}
		text := fmt.Sprintf("%+v", err)
		for _, part := range append(strings.Split(token, "."), secret) {
			if strings.Contains(text, part) {
				t.Errorf("%v: the error %s shows %s", changes, text, part)
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
		{"the least", func(*JWTConfig) {}, ""},
		{"all", func(cfg *JWTConfig) {
			cfg.JWKSURL, cfg.Algorithms = "https://issuer.example.org/keys?v=1", asymmetricAlgorithms
			cfg.ClockSkew, cfg.NameClaim = 5*time.Minute, "azp"
		}, ""},
		{"http on loopback", func(cfg *JWTConfig) { cfg.Issuer, cfg.JWKSURL = "http://127.0.0.1:8080", "http://[::1]/keys" }, ""},
		{"http elsewhere", func(cfg *JWTConfig) { cfg.Issuer = "http://issuer.example.org" },
			"the JWT issuer must be https, or http on a loopback address"},
		{"everything wrong", func(cfg *JWTConfig) {
			*cfg = JWTConfig{
				Issuer: "issuer", JWKSURL: "https://a:b@c", Algorithms: []string{"none", "HS256", "RS256", ""},
				ClockSkew: -1,
			}
		}, `the JWT issuer must be an absolute URL
the JWT audience is missing
the JWKS URL must not hold a user name or password
the JWT algorithm "none" is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA
the JWT algorithm "HS256" is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA
the JWT algorithm "" is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA
the JWT clock skew must be 0 to 5m0s`},
		{"too much skew", func(cfg *JWTConfig) { cfg.ClockSkew = time.Hour }, "the JWT clock skew must be 0 to 5m0s"},
		{"a fragment", func(cfg *JWTConfig) { cfg.Issuer += "#x" }, "the JWT issuer must not have a fragment"},
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

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func mustJSON(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func part(token string, i int) string { return strings.Split(token, ".")[i] }

// tampered is a token of which one bit of the signature is another.
func tampered(token string) string {
	signature, _ := base64.RawURLEncoding.DecodeString(part(token, 2))
	signature[7] ^= 1
	return part(token, 0) + "." + part(token, 1) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func unsigned(t testing.TB, issuer *localIssuer, algorithm, signature string) string {
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + algorithm + `","typ":"JWT","kid":"es"}`))
	payload := base64.RawURLEncoding.EncodeToString([]byte(mustJSON(t, issuer.claims(nil))))
	return header + "." + payload + "." + signature
}

func hmacSigned(t testing.TB, issuer *localIssuer, key []byte) string {
	token := strings.TrimSuffix(unsigned(t, issuer, "HS256", ""), ".")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(token))
	return token + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
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

func embedded(t testing.TB, issuer *localIssuer, key signingKey) string {
	key.id = ""
	return key.sign(t, []byte(mustJSON(t, issuer.claims(nil))), &jose.SignerOptions{EmbedJWK: true})
}

func (k signingKey) as(algorithm jose.SignatureAlgorithm) signingKey {
	k.algorithm = algorithm
	return k
}
