package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"conferenced/service/callers"
)

// audience is the service's audience in JWTs.
const audience = "conferenced"

const keyID = "key-1"

// issuer is an OIDC issuer on a real socket.
type issuer struct {
	url string
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{key: newKey(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{
			"issuer": i.url, "jwks_uri": i.url + "/keys", "authorization_endpoint": i.url + "/auth", "token_endpoint": i.url + "/token",
			"id_token_signing_alg_values_supported": []string{"ES256"},
			"response_types_supported":              []string{"code"}, "subject_types_supported": []string{"public"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		public, _ := jwkset.NewJWKFromKey(i.key.Public(), jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{KID: keyID, ALG: jwkset.AlgES256, USE: jwkset.UseSig},
		})
		writeJSON(w, jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{public.Marshal()}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // The client may have disconnected.
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verifier returns a verifier of the issuer's JWTs for the audience.
func (i *issuer) verifier(t *testing.T, audience string) *callers.JWT {
	t.Helper()
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	verifier, err := callers.NewJWT(callers.JWTConfig{
		Issuer: i.url, Audience: audience, Algorithms: []string{"ES256"}, NameClaim: "sub",
		Client: &http.Client{Transport: transport},
	})
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// claims returns valid claims for the subject, with changes. A nil value removes the
// claim.
func (i *issuer) claims(subject string, changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": i.url, "sub": subject, "aud": audience,
		"iat": time.Now().Add(-time.Minute).Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// token returns a JWT signed by the issuer.
func (i *issuer) token(t *testing.T, subject string, changes map[string]any) string {
	t.Helper()
	return sign(t, jwt.SigningMethodES256, i.key, keyID, i.claims(subject, changes))
}

func sign(t *testing.T, algorithm jwt.SigningMethod, key any, kid string, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(algorithm, jwt.MapClaims(claims))
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// unsigned returns a JWT with the algorithm none.
func (i *issuer) unsigned(t *testing.T, subject, signature string) string {
	t.Helper()
	return encoded(t, map[string]any{"alg": "none", "typ": "JWT"}) + "." +
		encoded(t, i.claims(subject, nil)) + "." + signature
}

// tampered returns a JWT of one subject with the signature of another subject's JWT.
func (i *issuer) tampered(t *testing.T, signed, subject string) string {
	t.Helper()
	parts := strings.Split(i.token(t, signed, nil), ".")
	return parts[0] + "." + encoded(t, i.claims(subject, nil)) + "." + parts[2]
}

// confused returns an HS256 JWT signed with the issuer's public key as its secret.
func (i *issuer) confused(t *testing.T, subject string) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return sign(t, jwt.SigningMethodHS256, secret, keyID, i.claims(subject, nil))
}

func encoded(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
