package sdk_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"conferenced/service/delivery"
	"conferenced/service/leaktest"
	"conferenced/service/sandbox"
	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// patience is how long a test waits for what must come. It is never waited for
// to its end by a test that passes.
const patience = time.Minute

// seededAt is the time on the clock of every sandbox.
var seededAt = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// world is an embedded Twilio with the service in front of it.
type world struct {
	box *sandbox.Sandbox
	// asked counts the requests that the embedded Twilio got.
	asked atomic.Int64
	// auditPath is where the service's audit is.
	auditPath string
	// targets are where an SDK may be pointed.
	targets []target
}

// target is something that an SDK takes for Twilio.
type target struct {
	name    string
	baseURL string
}

// start makes a world whose service has the files, given by what they are for.
func start(t *testing.T, tokens, policy string) *world {
	t.Helper()
	w := &world{
		box:       sandbox.New(sandbox.Config{Now: func() time.Time { return seededAt }}),
		auditPath: filepath.Join(t.TempDir(), "audit"),
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		w.asked.Add(1)
		w.box.ServeHTTP(response, request)
	}))
	t.Cleanup(upstream.Close)
	t.Cleanup(w.box.Close)
	for _, label := range labels {
		if _, err := w.box.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{Label: label}); err != nil {
			t.Fatal(err)
		}
	}
	files := settings.Files{Tokens: written(t, tokens), Policy: written(t, policy)}
	w.targets = []target{
		{"service", "http://" + w.serve(t, upstream.URL, files)},
		{"sandbox", upstream.URL},
	}
	return w
}

// written is the path of a file with the text, or nothing.
func written(t *testing.T, text string) string {
	t.Helper()
	if text == "" {
		return ""
	}
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve runs the service until the test ends, and returns its HTTP address.
func (w *world) serve(t *testing.T, upstream string, files settings.Files) string {
	t.Helper()
	accounts, err := twilio.NewAccounts("", twilio.Account{
		SID: sandbox.AccountSID, Username: sandbox.APIKeySID,
		Password: twilio.NewSecret(sandbox.APIKeySecret), BaseURL: upstream,
	})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	live, err := settings.NewLive(files, settings.Base{Accounts: accounts}, logger)
	if err != nil {
		t.Fatal(err)
	}
	audit, err := telemetry.OpenAudit(w.auditPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { audit.Close() })
	s, err := server.New(server.Config{
		GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Audit: audit,
		Settings: live, Delivery: quick(), DefaultTimeout: patience, ShutdownTimeout: patience, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	return s.HTTP.String()
}

func run(t *testing.T, s *server.Server) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// quick are the usual settings of delivery with short waits. There is no
// breaker: one test's failures are not the next one's.
func quick() delivery.Config {
	cfg := delivery.Default()
	cfg.Retrying.Base, cfg.Retrying.Cap = time.Millisecond, 2*time.Millisecond
	cfg.Breaking.Failures = 0
	return cfg
}

// tokenFile is a file with one token, under a name.
func tokenFile(name, token string) string {
	return fmt.Sprintf("tokens:\n  - name: %s\n    sha256: %x\n", name, sha256.Sum256([]byte(token)))
}

// redirect sends the SDK's requests to another base URL.
type redirect struct {
	base *url.URL
	next http.RoundTripper
}

func (r redirect) RoundTrip(request *http.Request) (*http.Response, error) {
	changed := request.Clone(request.Context())
	changed.URL.Scheme, changed.URL.Host, changed.Host = r.base.Scheme, r.base.Host, ""
	return r.next.RoundTrip(changed)
}

// sdk returns Twilio's SDK for Go with the credentials and the target as its base URL.
// It has no timeout: the SDK does not close the bodies of errors, so the timer of each
// would outlive the test.
func (to target) sdk(t *testing.T, user, password string) *api.ApiService {
	t.Helper()
	base, err := url.Parse(to.baseURL)
	if err != nil {
		t.Fatal(err)
	}
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	sdk := &client.Client{
		Credentials: client.NewCredentials(user, password),
		HTTPClient:  &http.Client{Transport: redirect{base, transport}},
	}
	sdk.SetAccountSid(sandbox.AccountSID)
	return api.NewApiServiceWithClient(sdk)
}
