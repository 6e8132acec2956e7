package access_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"conferenced/service/certtest"
	"conferenced/service/sandbox"
	"conferenced/service/settings"
)

// change is a way to replace files.
type change struct {
	name      string
	projected bool
	// reload is set if the test calls Reload, so that the change takes effect at once.
	reload bool
}

// rotation is a world under load whose files are replaced.
type rotation struct {
	*world
	*load
	change
	nextServerCA *tls.Certificate // Also trusted by all clients.
}

// newRotation starts a load of the caller ui, by token and by certificate, over each
// protocol.
func newRotation(t *testing.T, c change) *rotation {
	t.Helper()
	w := start(t, func(s *setup) { s.projected = c.projected }, with(policyFile, rotationPolicy("muted")))
	next := certtest.NewCA(t, "more servers")
	w.trusted.AddCert(next.Leaf)
	return &rotation{w, newLoad(map[string]*identity{
		"token":       {w.client(nil), withToken("ui").authorization},
		"certificate": {w.client(certtest.Issue(t, w.clientCA, "ui")), nil},
	}), c, next}
}

func rotationPolicy(properties ...string) string {
	return policyText(mainSID, map[string][]string{"ui": properties})
}

// until replaces files and waits until the condition holds. After Reload it must hold
// at once.
func (r *rotation) until(t *testing.T, what string, texts map[string]string, condition func() bool) {
	t.Helper()
	if condition() {
		t.Fatalf("%s: the condition held before", what)
	}
	r.put(t, texts)
	if r.reload {
		r.Reload()
		if !condition() {
			t.Fatalf("%s: the condition does not hold:\n%s", what, r.log)
		}
	} else {
		eventually(t, what, condition)
	}
	r.awaitCalls(t)
}

// probe makes a call and returns the reason of its error, or "".
func (r *rotation) probe(t *testing.T, c *client, authorization []string, change *request) string {
	t.Helper()
	message := to("", change)
	message.CallSid = sandbox.HeldSID
	got := callGRPC(t.Context(), c, authorization, message)
	switch {
	case got.ok():
		return ""
	case got.err != nil:
		return "not reached"
	}
	return got.reason()
}

var mute = &request{Muted: proto.Bool(true)}

// TestRotationUnderLoad replaces every file while calls are made, of which none may
// fail.
func TestRotationUnderLoad(t *testing.T) {
	for _, c := range []change{
		{name: "files renamed over"},
		{name: "links replaced as by Kubernetes", projected: true},
		{name: "files renamed over, with Reload", reload: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRotation(t, c)
			defer r.finish(t)
			r.rotateTokens(t)
			r.rotatePolicy(t)
			r.rotateTwilioToken(t)
			r.rotateClientCA(t)
			r.rotateServerCertificate(t)
			if page := r.adminPage(t, "/readyz"); page != "ok\n" {
				t.Errorf("/readyz: %s", page)
			}
		})
	}
}

// rotateTokens adds a second token for ui and then removes the first.
func (r *rotation) rotateTokens(t *testing.T) {
	t.Helper()
	const fresh = "a-fresh-token-of-ui-0123456789abcdef"
	old, now := withToken("ui").authorization, []string{bearer(fresh)}
	r.until(t, "the new token works", map[string]string{tokensFile: tokensText("ui") + tokenEntry("ui", fresh)},
		func() bool { return r.probe(t, r.client(nil), now, mute) == "" })
	r.use(t, "token", &identity{r.client(nil), now})
	r.until(t, "the old token is refused", map[string]string{tokensFile: "tokens:\n" + tokenEntry("ui", fresh)},
		func() bool { return r.probe(t, r.client(nil), old, mute) == "CALLER_UNKNOWN" })
}

// rotatePolicy allows ui another property, and then forbids it again.
func (r *rotation) rotatePolicy(t *testing.T) {
	t.Helper()
	creds := r.workers[0].creds.Load()
	holding := func() string {
		return r.probe(t, creds.client, creds.authorization, &request{Hold: proto.Bool(true)})
	}
	if got := holding(); got != "NOT_ALLOWED" {
		t.Fatalf("before: %q", got)
	}
	r.until(t, "hold is allowed", map[string]string{policyFile: rotationPolicy("muted", "hold")},
		func() bool { return holding() == "" })
	r.until(t, "hold is not allowed any more", map[string]string{policyFile: rotationPolicy("muted")},
		func() bool { return holding() == "NOT_ALLOWED" })
}

// rotateTwilioToken replaces the account's auth token. Twilio accepts both tokens
// meanwhile.
func (r *rotation) rotateTwilioToken(t *testing.T) {
	t.Helper()
	const fresh = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	creds := r.workers[0].creds.Load()
	sends := func() string {
		var password string
		r.up.setHook(func(_ http.ResponseWriter, request *http.Request) bool {
			if strings.Contains(request.URL.Path, sandbox.HeldSID) {
				_, password, _ = request.BasicAuth()
			}
			return false
		})
		defer r.up.setHook(nil)
		if got := r.probe(t, creds.client, creds.authorization, mute); got != "" {
			t.Fatal(got)
		}
		return password
	}
	r.up.accept(mainToken, fresh)
	r.until(t, "the new token is sent", map[string]string{mainTokenFile: fresh + "\n"},
		func() bool { return sends() == fresh })
	r.up.accept(fresh)
	r.awaitCalls(t)
}

// rotateClientCA replaces the client CA. Both are accepted meanwhile. Afterwards
// certificates of the old CA are refused, also on existing connections.
func (r *rotation) rotateClientCA(t *testing.T) {
	t.Helper()
	fresh, old := certtest.NewCA(t, "more clients"), r.clientCA
	before := r.client(certtest.Issue(t, old, "ui"))
	if got := r.probe(t, before, nil, mute); got != "" {
		t.Fatal(got)
	}
	r.until(t, "the new CA is accepted", map[string]string{clientCAFile: certtest.PEM(old, fresh)}, func() bool {
		c := r.newClient(t, r.tlsConfig(certtest.Issue(t, fresh, "ui")))
		defer c.conn.Close()
		return r.probe(t, c, nil, mute) == ""
	})
	r.use(t, "certificate", &identity{r.client(certtest.Issue(t, fresh, "ui")), nil})
	r.until(t, "the old CA is not accepted any more", map[string]string{clientCAFile: certtest.PEM(fresh)},
		func() bool { return r.probe(t, before, nil, mute) == "CALLER_UNKNOWN" })
	if got := r.probe(t, r.newClient(t, r.tlsConfig(certtest.Issue(t, old, "ui"))), nil, mute); got != "not reached" {
		t.Errorf("a new connection with a certificate of the old CA: %q", got)
	}
}

// rotateServerCertificate replaces the certificate with one of another CA.
func (r *rotation) rotateServerCertificate(t *testing.T) {
	t.Helper()
	fresh := certtest.Issue(t, r.nextServerCA, "localhost", loopback)
	texts := map[string]string{certFile: certtest.PEM(fresh), keyFile: certtest.KeyPEM(t, fresh)}
	r.until(t, "the new certificate is served", texts, func() bool {
		return bytes.Equal(shown(t, r.GRPC.String()), fresh.Certificate[0]) &&
			bytes.Equal(shown(t, r.HTTP.String()), fresh.Certificate[0])
	})
}

// shown returns the certificate that a listener serves.
func shown(t *testing.T, addr string) []byte {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) // The test checks the certificate.
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Raw
}

// TestCallsInFlightKeepTheirSettings delays calls at Twilio while all settings that
// allowed them are removed. Their updates are then sent once more.
func TestCallsInFlightKeepTheirSettings(t *testing.T) {
	for _, via := range protocols {
		t.Run(via.name, func(t *testing.T) {
			w := start(t)
			arrived, released := make(chan struct{}), make(chan struct{})
			w.up.setHook(func(answer http.ResponseWriter, _ *http.Request) bool {
				w.up.setHook(nil)
				close(arrived)
				<-released
				answer.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
			c, ended := withToken("ui"), make(chan reply, 1)
			go func() { ended <- via.call(t.Context(), w.client(nil), c.authorization, muting("")) }()
			await(t, arrived, "the call to arrive")

			w.put(t, map[string]string{
				tokensFile: tokensText("guests"), mainTokenFile: "another-token",
				policyFile: policyText(otherSID, map[string][]string{"guests": {"hold"}}),
			})
			w.Reload()
			callerUnknown.check(t, "a new call", callREST(t.Context(), w.client(nil), c.authorization, muting("")))
			close(released)
			if got := await(t, ended, "the call to end"); !got.ok() {
				t.Errorf("%v", got)
			}
			sent, _ := w.up.take()
			if len(sent) != 2 || sent[0].password != mainToken || sent[1].password != mainToken {
				t.Errorf("sent: %+v", sent)
			}
		})
	}
}

// TestInvalidFilesChangeNothing checks that after an invalid file all settings stay
// in force, though other files are valid; that the error is reported; and that a
// valid file clears it.
func TestInvalidFilesChangeNothing(t *testing.T) {
	w := start(t)
	good, fresh := maps.Clone(w.texts), certtest.Issue(t, certtest.NewCA(t, "others"), "localhost", loopback)
	tests := []struct{ name, file, text, want string }{
		{"a policy", policyFile, "rules:\n  - callers: []\n", "line 2: "},
		{"a policy that is not YAML", policyFile, "rules: [", "line 1: "},
		{"tokens", tokensFile, "tokens: [{name: ui, sha256: x}]", "line 1: tokens[0].sha256: must be 64"},
		{"accounts", accountsFile, "accounts: []", "accounts: must not be empty"},
		{"an account's token", mainTokenFile, "\n", "secret file main-token: is empty"},
		{"client CAs", clientCAFile, "x", "has no certificate in PEM"},
		{"a certificate without its new key", certFile, certtest.PEM(fresh), "does not go with"},
		{"a key", keyFile, "x", "does not go with"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w.log.Reset()
			w.put(t, map[string]string{tokensFile: tokensText("ui", "guests"), test.file: test.text})
			w.Reload()
			w.expectStill(t, test.file, test.want, int64(i+1))
			w.put(t, good)
			w.Reload()
			if page := w.adminPage(t, "/readyz"); page != "ok\n" {
				t.Errorf("/readyz, mended: %s", page)
			}
		})
	}
}

// expectStill checks that the settings have not changed, and that the error of the
// file is reported.
func (w *world) expectStill(t *testing.T, file, want string, failures int64) {
	t.Helper()
	for _, via := range protocols {
		for _, c := range []*client{w.client(nil), w.newClient(t, w.tlsConfig(nil))} {
			if got := via.call(t.Context(), c, withToken("ui").authorization, muting("")); !got.ok() {
				t.Errorf("%s: %v", via.name, got)
			}
		}
		w.up.take()
		w.expectRefused(t, "a token that was added together with it", callerUnknown, via, withToken("guests"), muting(""))
	}
	page := w.adminPage(t, "/readyz")
	if !strings.HasPrefix(page, "ok\nsettings of ") || !strings.Contains(page, file) || !strings.Contains(page, want) {
		t.Errorf("/readyz has no %q for %s: %s", want, file, page)
	}
	if lines := w.log.lines("settings not reloaded: those in force stay"); len(lines) == 0 || !strings.Contains(lines[0], want) {
		t.Errorf("the log has no %q: %s", want, w.log)
	}
	var health struct {
		Serving  bool            `json:"serving"`
		Settings settings.Status `json:"settings"`
	}
	if err := json.Unmarshal([]byte(w.adminPage(t, "/healthz")), &health); err != nil {
		t.Fatal(err)
	}
	if !health.Serving || health.Settings.Failures < failures || !strings.Contains(health.Settings.LastError, want) {
		t.Errorf("/healthz: %+v", health)
	}
}

// TestInvalidFileIsDetectedByPolling also covers its correction.
func TestInvalidFileIsDetectedByPolling(t *testing.T) {
	w := start(t)
	good := w.texts[policyFile]
	says := func(page string) func() bool {
		return func() bool { return strings.HasPrefix(w.adminPage(t, "/readyz"), page) }
	}
	w.put(t, map[string]string{policyFile: "rules: 1\n"})
	eventually(t, "the error is reported", says("ok\nsettings of "))
	if got := callGRPC(t.Context(), w.client(nil), withToken("ui").authorization, muting("")); !got.ok() {
		t.Error(got)
	}
	w.put(t, map[string]string{policyFile: good})
	eventually(t, "the error is cleared", func() bool { return w.adminPage(t, "/readyz") == "ok\n" })
	if err := os.Remove(w.path(tokensFile)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a missing file is reported", says("ok\nsettings of "))
	if got := callGRPC(t.Context(), w.client(nil), withToken("ui").authorization, muting("")); !got.ok() {
		t.Error(got)
	}
}
