package callers

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAuthorization(t *testing.T) {
	set := &Set{Tokens: mustParseTokens(t, tokensFile("ui=s3cr3t"))}
	caller := Caller{Name: "ui", Kind: KindToken}
	for _, test := range []struct {
		name   string
		values []string
		want   Caller
		cause  error
	}{
		{"bearer", []string{"Bearer s3cr3t"}, caller, nil},
		{"the scheme in another case", []string{"bEARER s3cr3t"}, caller, nil},
		{"several spaces, as RFC 6750 allows", []string{"Bearer   s3cr3t"}, caller, nil},
		{"none", nil, Caller{}, errNothing},
		{"two values", []string{"Bearer s3cr3t", "Bearer s3cr3t"}, Caller{}, errSeveral},
		{"an empty and a valid one", []string{"", "Bearer s3cr3t"}, Caller{}, errSeveral},
		{"empty", []string{""}, Caller{}, errScheme},
		{"two joined by a comma", []string{"Bearer s3cr3t, Bearer s3cr3t"}, Caller{}, errMalformed},
		{"a comma at the end", []string{"Bearer s3cr3t,"}, Caller{}, errMalformed},
		{"a space at the end", []string{"Bearer s3cr3t "}, Caller{}, errMalformed},
		{"a tab between", []string{"Bearer\ts3cr3t"}, Caller{}, errScheme},
		{"a line end at the end", []string{"Bearer s3cr3t\n"}, Caller{}, errMalformed},
		{"a zero byte at the end", []string{"Bearer s3cr3t\x00"}, Caller{}, errMalformed},
		{"no token", []string{"Bearer"}, Caller{}, errMalformed},
		{"a space for a token", []string{"Bearer  "}, Caller{}, errMalformed},
		{"only = for a token", []string{"Bearer =="}, Caller{}, errMalformed},
		{"= inside", []string{"Bearer a=b"}, Caller{}, errMalformed},
		{"no scheme", []string{"s3cr3t"}, Caller{}, errScheme},
		{"basic", []string{"Basic dWk6czNjcjN0"}, Caller{}, errScheme},
		{"a scheme with the same beginning", []string{"BearerX s3cr3t"}, Caller{}, errScheme},
		{"too long", []string{"Bearer " + strings.Repeat("a", maxBearer+1)}, Caller{}, errTooLong},
		{"the maximum length", []string{"Bearer " + strings.Repeat("a", maxBearer)}, Caller{}, errNotOurs},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := set.Authenticate(withAuthorization(t.Context(), test.values...))
			if !errors.Is(err, test.cause) {
				t.Errorf("got cause %v, want %v", err, test.cause)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error("caller (-want +got):\n", diff)
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	for _, test := range []struct {
		name  string
		set   *Set
		ctx   context.Context
		cause error
	}{
		{"nothing is configured", new(Set), t.Context(), nil},
		{"a policy without authentication", &Set{Policy: new(Policy)}, t.Context(), nil},
		{"an unknown token", new(Set), withAuthorization(t.Context(), "Bearer x"), errNotOurs},
		{"a token that looks like a JWT", new(Set), withAuthorization(t.Context(), "Bearer a.b.c"), errNotOurs},
		{"tokens are configured", &Set{Tokens: new(Tokens)}, t.Context(), errNothing},
		{"JWTs are configured", &Set{JWT: new(JWT)}, t.Context(), errNothing},
		{"client CAs are configured", &Set{ClientCAs: x509.NewCertPool()}, t.Context(), errNothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			caller, err := test.set.Authenticate(test.ctx)
			if !errors.Is(err, test.cause) {
				t.Errorf("got cause %v, want %v", err, test.cause)
			}
			if caller.Kind != KindAnonymous || caller.Name != "" {
				t.Errorf("got %+v", caller)
			}
		})
	}
}

func TestCallerKeys(t *testing.T) {
	want := []string{"anonymous:", "token:x", "jwt:x", "mtls:x"}
	got := []string{
		Caller{}.Key(), Caller{Name: "x", Kind: KindToken}.Key(),
		Caller{Name: "x", Kind: KindJWT}.Key(), Caller{Name: "x", Kind: KindCertificate}.Key(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("keys (-want +got):\n", diff)
	}
}
