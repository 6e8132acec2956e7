package settings

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"conferenced/service/certtest"

	"github.com/google/go-cmp/cmp"
)

func TestExpiry(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	in := func(d time.Duration) time.Time { return now.Add(d).UTC() }
	dir := t.TempDir()
	until := func(at time.Time) *tls.Certificate {
		return certtest.New(t, certtest.NewCA(t, "ca"), &x509.Certificate{NotBefore: in(-time.Hour), NotAfter: at})
	}
	tokens := "tokens:\n"
	for i, at := range []time.Time{in(-time.Hour), in(3 * time.Hour), in(2 * time.Hour)} {
		tokens += fmt.Sprintf("- {name: a, sha256: %064d, expires: %s}\n", i+1, at.Format(time.RFC3339))
	}
	expired := until(in(-time.Minute))
	set, _, err := load(Files{
		Tokens: write(t, dir, "tokens", tokens), Policy: write(t, dir, "policy", policy("muted")),
		ClientCA: write(t, dir, "ca", certtest.PEM(expired, until(in(5*time.Hour)), until(in(4*time.Hour)))),
		TLSCert:  write(t, dir, "crt", certtest.PEM(expired)), TLSKey: write(t, dir, "key", certtest.KeyPEM(t, expired)),
	}, Base{})
	if err != nil {
		t.Fatal(err)
	}
	want := Expiry{Token: in(2 * time.Hour), ClientCA: in(4 * time.Hour), Certificate: in(-time.Minute)}
	if diff := cmp.Diff(want, set.Expiry(now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	set, _, err = load(Files{Tokens: write(t, dir, "tokens", "tokens: []\n"), Policy: write(t, dir, "policy", policy("muted"))}, Base{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Expiry{}, set.Expiry(now)); diff != "" {
		t.Errorf("nothing expires (-want +got):\n%s", diff)
	}
}
