package callers

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"conferenced/service/call"
	"conferenced/service/outcome"
)

// TestUnknownKeysDoNotFloodTheIssuer presents many JWTs signed with unknown keys.
func TestUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	issuer, clock := newLocalIssuer(t, keyES.public()), newClock()
	set := &Set{JWT: issuer.verifier(t, clock)}
	good := withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, nil))
	forged := make([]string, 100)
	for i := range forged {
		key := newSigningKey("unknown-"+strconv.Itoa(i), jwt.SigningMethodES256)
		forged[i] = "Bearer " + issuer.token(t, key, nil)
	}
	for second := range 3 {
		var calls sync.WaitGroup
		for _, token := range forged {
			calls.Go(func() {
				if _, err := set.Authenticate(withAuthorization(t.Context(), token)); err == nil {
					t.Error("an unknown key is accepted")
				}
			})
		}
		calls.Wait()
		if _, err := set.Authenticate(good); err != nil {
			t.Errorf("second %d: %v", second, err)
		}
		clock.advance(fetchInterval)
	}
	if issuer.fetched() != 3 {
		t.Errorf("the keys were fetched %d times in three seconds, want 3", issuer.fetched())
	}
	if issuer.discovers != 1 {
		t.Errorf("discovery was requested %d times, want once", issuer.discovers)
	}
}

func TestNewKeyIsFetchedOnFirstUse(t *testing.T) {
	issuer, clock := newLocalIssuer(t, keyES.public()), newClock()
	set := &Set{JWT: issuer.verifier(t, clock)}
	before := withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, nil))
	after := withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyRS, nil))
	if _, err := set.Authenticate(before); err != nil {
		t.Fatal(err)
	}
	issuer.publish(keyRS.public())
	clock.advance(fetchInterval)
	if _, err := set.Authenticate(after); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if _, err := set.Authenticate(before); !errors.Is(err, errJWTSignature) {
		t.Errorf("the old key, whose JWT is cached: got error %v, want %v", err, errJWTSignature)
	}
}

// TestWithdrawnKeyExpires presents no JWT of another key.
func TestWithdrawnKeyExpires(t *testing.T) {
	for _, test := range []struct {
		name string
		idle time.Duration
		stay int // How many calls still use the withdrawn key.
	}{
		{"with calls in between", refreshAfter, 1},
		{"after a long time without calls", 2 * refreshAfter, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			issuer, clock := newLocalIssuer(t, keyES.public()), newClock()
			set := &Set{JWT: issuer.verifier(t, clock)}
			ctx := withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, map[string]any{"exp": noon.Unix() + 7200}))
			if _, err := set.Authenticate(ctx); err != nil {
				t.Fatal(err)
			}
			issuer.publish(keyRS.public())
			clock.advance(test.idle)
			for range test.stay {
				if _, err := set.Authenticate(ctx); err != nil {
					t.Errorf("while the keys are fetched: %v", err)
				}
				settle(t, set.JWT)
			}
			if _, err := set.Authenticate(ctx); !errors.Is(err, errJWTSignature) {
				t.Errorf("got error %v, want %v", err, errJWTSignature)
			}
		})
	}
}

// TestKeysStayWhileTheIssuerIsDown also counts the requests to the issuer.
func TestKeysStayWhileTheIssuerIsDown(t *testing.T) {
	issuer, clock := newLocalIssuer(t, keyES.public()), newClock()
	set := &Set{JWT: issuer.verifier(t, clock)}
	ctx := withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, map[string]any{"exp": noon.Unix() + 7200}))
	if _, err := set.Authenticate(ctx); err != nil {
		t.Fatal(err)
	}
	issuer.answer(down)
	clock.advance(time.Hour)
	for range 10 {
		if _, err := set.Authenticate(ctx); err != nil {
			t.Error(err)
		}
		settle(t, set.JWT)
	}
	if issuer.fetched() != 2 {
		t.Errorf("the keys were asked for %d times, want 2", issuer.fetched())
	}
	issuer.answer(nil)
	issuer.publish(keyRS.public())
	clock.advance(retryAfter)
	_, _ = set.Authenticate(ctx)
	settle(t, set.JWT)
	if _, err := set.Authenticate(ctx); !errors.Is(err, errJWTSignature) {
		t.Errorf("when the issuer is back: got error %v, want %v", err, errJWTSignature)
	}
}

// settle waits for the current fetch, and starts none.
func settle(t *testing.T, j *JWT) {
	t.Helper()
	_, _, _ = j.keys.fetches.Do("", func() (any, error) { return nil, nil })
}

func TestIssuerThatIsDownAtTheStart(t *testing.T) {
	issuer, clock := newLocalIssuer(t, keyES.public()), newClock()
	issuer.answer(down)
	set := &Set{JWT: issuer.verifier(t, clock)}
	ctx := withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, nil))
	for range 3 { // The first one causes a request.
		_, err := set.Authenticate(ctx)
		text := errorText(err)
		if !strings.Contains(text, "the issuer's keys cannot be fetched") || !strings.Contains(text, "status 503") {
			t.Errorf("got error %v", err)
		}
		if strings.Contains(text, "secret") {
			t.Errorf("the error repeats the answer: %v", err)
		}
	}
	if issuer.discovers != 1 {
		t.Errorf("it was asked %d times within a second, want once", issuer.discovers)
	}
	issuer.answer(nil)
	clock.advance(fetchInterval)
	if _, err := set.Authenticate(ctx); err != nil {
		t.Errorf("when it is up: %v", err)
	}
}

func TestAnswersOfAnIssuer(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	redirected := newLocalIssuer(t, keyES.public())
	public := func(key any, use jwkset.USE) jwkset.JWKMarshal {
		return published(key, jwkset.JWKMetadataOptions{KID: "es", USE: use})
	}
	for _, test := range []struct {
		name   string
		change func(*localIssuer)
		want   string // Empty: the token is accepted.
	}{
		{"a key of a type that is not known", func(i *localIssuer) {
			i.publish(map[string]any{"kty": "OKP", "crv": "X448", "x": "AA", "kid": "x"}, map[string]any{}, keyES.public())
		}, ""},
		{"a discovery document of another issuer", func(i *localIssuer) { i.names = "https://evil.example.org" }, "is of another issuer"},
		{"no keys", func(i *localIssuer) { i.publish() }, "no key that can be used"},
		{"a key for encryption", func(i *localIssuer) { i.publish(public(keyES.private.Public(), jwkset.UseEnc)) }, "no key that can be used"},
		{"a private key", func(i *localIssuer) {
			i.publish(public(keyES.private, ""))
		}, "no key that can be used"},
		{"a shared key", func(i *localIssuer) {
			i.publish(public([]byte("0123456789abcdef0123456789abcdef"), ""))
		}, "no key that can be used"},
		{"a key that is too small", func(i *localIssuer) {
			i.publish(public(small.Public(), ""))
		}, "no key that can be used"},
		{"a redirect", func(i *localIssuer) {
			i.answer(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, redirected.URL+r.URL.Path, http.StatusFound)
			})
		}, "status 302"},
		{"keys elsewhere, in the clear", func(i *localIssuer) {
			i.answer(func(w http.ResponseWriter, _ *http.Request) {
				writeJSON(w, map[string]string{"issuer": i.URL, "jwks_uri": "http://issuer.example.org/keys"})
			})
		}, "must be https, or http on a loopback address"},
		{"an answer that is too large", func(i *localIssuer) {
			i.publish(strings.Repeat("x", maxAnswer), keyES.public())
		}, "is larger than 1048576 bytes"},
		{"HTML", func(i *localIssuer) {
			i.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>secret</html>")) })
		}, "cannot be fetched"},
	} {
		t.Run(test.name, func(t *testing.T) {
			issuer := newLocalIssuer(t, keyES.public())
			test.change(issuer)
			set := &Set{JWT: issuer.verifier(t, newClock())}
			_, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, nil)))
			text := errorText(err)
			if (text == "") != (test.want == "") || !strings.Contains(text, test.want) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
			if strings.Contains(text, "secret") {
				t.Errorf("the error repeats the answer: %v", err)
			}
		})
	}
}

// TestFetchErrorsHaveNoURL fetches from a URL whose query is a secret.
func TestFetchErrorsHaveNoURL(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public())
	set := &Set{JWT: issuer.verifier(t, newClock(), func(cfg *JWTConfig) { cfg.JWKSURL = issuer.URL + "/keys?key=secret" })}
	token := "Bearer " + issuer.token(t, keyES, nil)
	issuer.Close()
	_, err := set.Authenticate(withAuthorization(t.Context(), token))
	if text := errorText(err); !strings.Contains(text, "cannot be fetched: dial") || strings.Contains(text, "secret") {
		t.Errorf("got error %v", err)
	}
}

func TestAConfiguredJWKSURLNeedsNoDiscovery(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public())
	set := &Set{JWT: issuer.verifier(t, newClock(), func(cfg *JWTConfig) { cfg.JWKSURL = issuer.URL + "/keys" })}
	if _, err := set.Authenticate(withAuthorization(t.Context(), "Bearer "+issuer.token(t, keyES, nil))); err != nil {
		t.Error(err)
	}
	if issuer.discovers != 0 {
		t.Errorf("discovery was asked %d times", issuer.discovers)
	}
}

// TestACallThatEndsDoesNotEndTheFetch cancels the call that caused it.
func TestACallThatEndsDoesNotEndTheFetch(t *testing.T) {
	issuer := newLocalIssuer(t, keyES.public())
	asked, proceed := make(chan struct{}), make(chan struct{})
	issuer.answer(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-proceed
		writeJSON(w, map[string]any{"keys": []any{keyES.public()}})
	})
	j := issuer.verifier(t, newClock(), func(cfg *JWTConfig) { cfg.JWKSURL = issuer.URL + "/keys" })
	set := &Set{JWT: j}
	token := "Bearer " + issuer.token(t, keyES, nil)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		ctx, _ := call.New(withAuthorization(ctx, token), call.GRPC)
		_, err := Identify(ctx, set)
		left <- err
	}()
	<-asked
	cancel()
	if err := <-left; !outcome.Is(err, outcome.Cancelled) {
		t.Errorf("got error %v, want CANCELLED", err)
	}
	close(proceed)
	if _, err := set.Authenticate(withAuthorization(t.Context(), token)); err != nil {
		t.Errorf("the next caller: %v", err)
	}
	if issuer.fetched() != 1 {
		t.Errorf("the keys were fetched %d times, want once", issuer.fetched())
	}
}
