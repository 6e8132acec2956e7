package callers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const audience = "conferenced.example.org"

// localIssuer is an OIDC issuer on this machine: discovery and keys, over TLS.
type localIssuer struct {
	*httptest.Server

	mu        sync.Mutex
	published []any  // Keys, or anything else.
	names     string // What discovery gives as the issuer; empty: the right one.
	answers   http.HandlerFunc
	fetches   int
	discovers int
}

func newLocalIssuer(t testing.TB, published ...any) *localIssuer {
	i := &localIssuer{published: published}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", i.serveDiscovery)
	mux.HandleFunc("/keys", i.serveKeys)
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *localIssuer) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.discovers++
	if i.answers != nil {
		i.answers(w, r)
		return
	}
	name := i.URL
	if i.names != "" {
		name = i.names
	}
	writeJSON(w, map[string]any{"issuer": name, "jwks_uri": i.URL + "/keys"})
}

func (i *localIssuer) serveKeys(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetches++
	if i.answers != nil {
		i.answers(w, r)
		return
	}
	writeJSON(w, map[string]any{"keys": i.published})
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// publish replaces the issuer's keys.
func (i *localIssuer) publish(keys ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = keys
}

// answer replaces all answers of the issuer; nil restores the valid ones.
func (i *localIssuer) answer(with http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answers = with
}

// fetched returns how often the keys were requested.
func (i *localIssuer) fetched() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func down(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte("secret"))
}

// verifier accepts the issuer's JWTs.
func (i *localIssuer) verifier(t testing.TB, clock *clock, change ...func(*JWTConfig)) *JWT {
	t.Helper()
	cfg := JWTConfig{
		Issuer: i.URL, Audience: audience, Client: i.Client(), Now: clock.now,
		Algorithms: []string{"RS256", "ES256", "EdDSA"},
	}
	for _, change := range change {
		change(&cfg)
	}
	j, err := NewJWT(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// claims returns valid claims with changes; nil removes a claim.
func (i *localIssuer) claims(changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": i.URL, "aud": audience, "sub": "svc-ui",
		"exp": noon.Unix() + 300, "iat": noon.Unix() - 10,
	}
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	return claims
}

// token returns a JWT with the claims and changes.
func (i *localIssuer) token(t testing.TB, key signingKey, changes map[string]any) string {
	t.Helper()
	return key.sign(t, mustJSON(t, i.claims(changes)), nil)
}

// signingKey is a private key of an issuer.
type signingKey struct {
	id        string
	algorithm jwt.SigningMethod
	private   crypto.Signer
}

var (
	keyES = newSigningKey("es", jwt.SigningMethodES256)
	keyRS = newSigningKey("rs", jwt.SigningMethodRS256)
	keyEd = newSigningKey("ed", jwt.SigningMethodEdDSA)
)

func newSigningKey(id string, algorithm jwt.SigningMethod) signingKey {
	var (
		private crypto.Signer
		err     error
	)
	switch algorithm {
	case jwt.SigningMethodRS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case jwt.SigningMethodEdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	return signingKey{id, algorithm, private}
}

// public is the key as it is published.
func (k signingKey) public() jwkset.JWKMarshal {
	return published(k.private.Public(), jwkset.JWKMetadataOptions{KID: k.id, ALG: jwkset.ALG(k.algorithm.Alg()), USE: jwkset.UseSig})
}

// published is any key as an issuer might publish it.
func published(key any, metadata jwkset.JWKMetadataOptions) jwkset.JWKMarshal {
	jwk, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: metadata, Marshal: jwkset.JWKMarshalOptions{Private: true}})
	if err != nil {
		panic(err)
	}
	return jwk.Marshal()
}

// sign is a JWT with this text for its claims, and with more in its header.
func (k signingKey) sign(t testing.TB, claims string, header map[string]any) string {
	t.Helper()
	fields := map[string]any{"alg": k.algorithm.Alg(), "typ": "JWT"}
	if k.id != "" {
		fields["kid"] = k.id
	}
	maps.Copy(fields, header)
	text := encode(mustJSON(t, fields)) + "." + encode(claims)
	signature, err := k.algorithm.Sign(text, k.private)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(string(signature))
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func mustJSON(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
