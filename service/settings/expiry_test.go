package settings

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExpiry(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	in := func(d time.Duration) time.Time { return now.Add(d).UTC() }
	dir := t.TempDir()
	until := func(at time.Time) issuer {
		return newCA(t, "ca").issue(t, &x509.Certificate{NotBefore: in(-time.Hour), NotAfter: at})
	}
	tokens := "tokens:\n"
	for i, at := range []time.Time{in(-time.Hour), in(3 * time.Hour), in(2 * time.Hour)} {
		tokens += fmt.Sprintf("- {name: a, sha256: %064d, expires: %s}\n", i+1, at.Format(time.RFC3339))
	}
	expired := until(in(-time.Minute))
	set, err := Load(Files{
		Tokens: write(t, dir, "tokens", tokens), Policy: write(t, dir, "policy", policy("muted")),
		ClientCA: write(t, dir, "ca", expired.certPEM()+until(in(5*time.Hour)).certPEM()+until(in(4*time.Hour)).certPEM()),
		TLSCert:  write(t, dir, "crt", expired.certPEM()), TLSKey: write(t, dir, "key", expired.keyPEM(t)),
	}, Base{})
	if err != nil {
		t.Fatal(err)
	}
	want := Expiry{Token: in(2 * time.Hour), ClientCA: in(4 * time.Hour), Certificate: in(-time.Minute)}
	if diff := cmp.Diff(want, set.Expiry(now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	set, err = Load(Files{Tokens: write(t, dir, "tokens", "tokens: []\n"), Policy: write(t, dir, "policy", policy("muted"))}, Base{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Expiry{}, set.Expiry(now)); diff != "" {
		t.Errorf("nothing expires (-want +got):\n%s", diff)
	}
}
