package callers

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// basic is an authorization value of basic authentication.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestBasicAuthentication(t *testing.T) {
	set := &Set{
		Now:    newClock().now,
		Tokens: mustParseTokens(t, tokensFile("ui=s3cr3t", "ui=next", "team/desk=s3cr3t2", "old=past=2027-02-28T00:00:00Z")),
	}
	encoded := strings.TrimPrefix(basic("ui", "s3cr3t"), "Basic ")
	ui := Caller{Name: "ui", Kind: KindToken}
	for _, test := range []struct {
		name   string
		values []string
		want   Caller
		cause  error
	}{
		{"a token and its name", []string{basic("ui", "s3cr3t")}, ui, nil},
		{"the same caller's next token", []string{basic("ui", "next")}, ui, nil},
		{"a name of several parts", []string{basic("team/desk", "s3cr3t2")}, Caller{Name: "team/desk", Kind: KindToken}, nil},
		{"the scheme in another case", []string{"bASIC  " + encoded}, ui, nil},
		{"a bearer token", []string{"Bearer s3cr3t"}, ui, nil},
		{"another token's name", []string{basic("team/desk", "s3cr3t")}, Caller{}, errBasic},
		{"no token's name", []string{basic("AC00000000000000000000000000000001", "s3cr3t")}, Caller{}, errBasic},
		{"the name in another case", []string{basic("UI", "s3cr3t")}, Caller{}, errBasic},
		{"an unknown token", []string{basic("ui", "guess")}, Caller{}, errBasic},
		{"no token", []string{basic("ui", "")}, Caller{}, errBasic},
		{"no name", []string{basic("", "s3cr3t")}, Caller{}, errBasic},
		{"no colon", []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("s3cr3t"))}, Caller{}, errBasic},
		{"a token's digest as the password", []string{basic("ui", "4e738ca5563c06cfd0018299933d58db1dd8bf97f6973dc99bf6cdc64b5550bd")}, Caller{}, errBasic},
		{"not base64", []string{"Basic ui:s3cr3t"}, Caller{}, errBasic},
		{"nothing", []string{"Basic"}, Caller{}, errBasic},
		{"too long", []string{"Basic " + strings.Repeat("a", maxBearer+1)}, Caller{}, errTooLong},
		{"twice", []string{basic("ui", "s3cr3t"), basic("ui", "s3cr3t")}, Caller{}, errSeveral},
		{"basic authentication and a bearer token", []string{basic("ui", "s3cr3t"), "Bearer s3cr3t"}, Caller{}, errSeveral},
		{"none", nil, Caller{}, errNothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := set.AuthenticateBasic(withAuthorization(t.Context(), test.values...))
			if !errors.Is(err, test.cause) {
				t.Errorf("got cause %v, want %v", err, test.cause)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error("caller (-want +got):\n", diff)
			}
		})
	}
	t.Run("an expired token", func(t *testing.T) {
		caller, err := set.AuthenticateBasic(withAuthorization(t.Context(), basic("old", "past")))
		if err == nil || caller.Name != "" {
			t.Errorf("got %+v, error %v", caller, err)
		}
	})
	t.Run("is not accepted by Authenticate", func(t *testing.T) {
		_, err := set.Authenticate(withAuthorization(t.Context(), basic("ui", "s3cr3t")))
		if !errors.Is(err, errScheme) {
			t.Errorf("got cause %v", err)
		}
	})
}

// TestBasicAuthenticationWithoutTokens checks that the credentials of an SDK are then
// ignored.
func TestBasicAuthenticationWithoutTokens(t *testing.T) {
	ours := newAuthority(t, "ours")
	certificates := &Set{Now: newClock().now, ClientCAs: pool(ours)}
	withCertificate := withCertificates(withAuthorization(t.Context(), basic("AC1", "x")), ours.client(t, withDNS("desk.example.org")))
	for _, test := range []struct {
		name  string
		set   *Set
		want  string
		cause error
	}{
		{"nothing is configured", new(Set), "anonymous:", nil},
		{"a certificate", certificates, "mtls:desk.example.org", nil},
		{"tokens and a certificate", &Set{
			Now: newClock().now, ClientCAs: pool(ours), Tokens: new(Tokens),
		}, "anonymous:", errBasic},
		{"JWTs are configured", &Set{JWT: new(JWT)}, "anonymous:", errNothing},
		{"another CA's certificate", &Set{Now: newClock().now, ClientCAs: x509.NewCertPool()}, "anonymous:", errCertificateUntrusted},
	} {
		t.Run(test.name, func(t *testing.T) {
			caller, err := test.set.AuthenticateBasic(withCertificate)
			if !errors.Is(err, test.cause) || caller.Key() != test.want {
				t.Errorf("got %s and cause %v, want %s and %v", caller.Key(), err, test.want, test.cause)
			}
		})
	}
}
