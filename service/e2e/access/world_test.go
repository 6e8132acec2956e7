package access_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"conferenced/service/certtest"
	"conferenced/service/delivery"
	"conferenced/service/leaktest"
	"conferenced/service/logtest"
	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// waitTimeout is the timeout of every wait. Tests that pass do not reach it.
const waitTimeout = time.Minute

// The files in a settingsDir.
const (
	accountsFile  = "accounts.yaml"
	tokensFile    = "tokens.yaml"
	policyFile    = "policy.yaml"
	clientCAFile  = "clients.pem"
	certFile      = "server.pem"
	keyFile       = "server.key"
	mainTokenFile = "main-token"
	otherKeyFile  = "other-secret"
)

// setup is the configuration of a world.
type setup struct {
	server.Config
	// texts is the files' texts. Settings without a file are not used.
	texts     map[string]string
	projected bool
	// issuer issues the JWTs that are accepted for the audience; nil if none are.
	issuer   *issuer
	audience string
	// tee, if set, also handles all log records.
	tee slog.Handler
	// auditPath is the audit file; empty disables the audit.
	auditPath string
}

// without removes files.
func without(names ...string) func(*setup) {
	return func(s *setup) {
		for _, name := range names {
			delete(s.texts, name)
		}
	}
}

// with sets files, given as pairs of a name and a text.
func with(pairs ...string) func(*setup) {
	return func(s *setup) {
		for i := 0; i < len(pairs); i += 2 {
			s.texts[pairs[i]] = pairs[i+1]
		}
	}
}

func withoutJWT(s *setup) { s.issuer = nil }

// anonymous removes all authentication, and TLS.
func anonymous(s *setup) {
	without(tokensFile, policyFile, clientCAFile, certFile, keyFile)(s)
	withoutJWT(s)
}

// world is a service with an embedded Twilio, and the credentials of its callers.
type world struct {
	*server.Server
	*settingsDir
	up                 *upstream
	issuer             *issuer
	serverCA, clientCA *tls.Certificate
	trusted            *x509.CertPool // The CAs that clients trust.
	log                *logged
	auditPath          string
	audited            int // The number of bytes of it that were read.

	stop  context.CancelFunc
	ended chan struct{} // Closed after err is set.
	err   error         // What Run returned.

	t       *testing.T // The test at whose end the world is closed.
	clients map[*tls.Certificate]*client
	named   map[string]*tls.Certificate // Client certificates by name.
}

// build returns a world whose service does not run yet. It returns the error of
// loading the settings or of creating the server.
func build(t *testing.T, choose ...func(*setup)) (*world, error) {
	t.Helper()
	w := &world{
		up:       newUpstream(t),
		serverCA: certtest.NewCA(t, "servers"), clientCA: certtest.NewCA(t, "clients"),
		log: new(logged), ended: make(chan struct{}), t: t, clients: map[*tls.Certificate]*client{}, named: map[string]*tls.Certificate{},
	}
	w.trusted = certtest.Pool(w.serverCA)
	s := w.setup(t)
	for _, change := range choose {
		change(s)
	}
	w.settingsDir = newSettingsDir(t, s.projected)
	w.put(t, s.texts)
	w.auditPath, w.issuer = s.auditPath, s.issuer
	return w, w.compose(t, s)
}

// setup returns the usual configuration: all methods of authentication, over TLS.
func (w *world) setup(t *testing.T) *setup {
	t.Helper()
	certificate := certtest.Issue(t, w.serverCA, "localhost", loopback)
	return &setup{
		Config: server.Config{
			GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
			Delivery: quickDelivery(), DefaultTimeout: waitTimeout, ShutdownTimeout: waitTimeout,
		},
		texts: map[string]string{
			accountsFile: accountsText(w.up.url), mainTokenFile: mainToken + "\n", otherKeyFile: otherKeySecret + "\n",
			tokensFile: tokensText("ui"), policyFile: allowAll,
			clientCAFile: certtest.PEM(w.clientCA),
			certFile:     certtest.PEM(certificate), keyFile: certtest.KeyPEM(t, certificate),
		},
		issuer:    newIssuer(t),
		audience:  audience,
		auditPath: filepath.Join(t.TempDir(), "audit"),
	}
}

// quickDelivery returns the default delivery configuration with short waits, and
// without a breaker, so that failures do not affect later calls.
func quickDelivery() delivery.Config {
	cfg := delivery.Default()
	cfg.Retrying.Base, cfg.Retrying.Cap = time.Millisecond, 2*time.Millisecond
	cfg.Breaking.Failures = 0
	cfg.Grace = time.Millisecond
	return cfg
}

func (w *world) compose(t *testing.T, s *setup) error {
	t.Helper()
	var err error
	if s.Logger, err = telemetry.NewLogger(w.log, "debug", "json"); err != nil {
		t.Fatal(err)
	}
	if s.tee != nil {
		s.Logger = slog.New(slog.NewMultiHandler(s.Logger.Handler(), s.tee))
	}
	var base settings.Base
	if s.issuer != nil {
		base.JWT = s.issuer.verifier(t, s.audience)
	}
	if s.Settings, err = settings.NewLive(w.files(), base, s.Logger); err != nil {
		return err
	}
	if s.auditPath != "" {
		if s.Audit, err = telemetry.OpenAudit(s.auditPath); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Audit.Close() }) // Run closes it if the service runs.
	}
	w.Server, err = server.New(s.Config)
	return err
}

// files returns the paths of the settings' files.
func (w *world) files() settings.Files {
	at := func(name string) string {
		if _, used := w.texts[name]; !used {
			return ""
		}
		return w.path(name)
	}
	return settings.Files{
		Accounts: at(accountsFile), Tokens: at(tokensFile), Policy: at(policyFile),
		ClientCA: at(clientCAFile), TLSCert: at(certFile), TLSKey: at(keyFile),
	}
}

// start returns a world whose service runs until the test ends.
func start(t *testing.T, choose ...func(*setup)) *world {
	t.Helper()
	w, err := build(t, choose...)
	if err != nil {
		t.Fatal(err)
	}
	w.run(t)
	return w
}

func (w *world) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() {
		defer close(w.ended)
		w.err = w.Run(ctx)
	}()
	t.Cleanup(func() { w.end(t) })
}

// end stops the service and waits until it has ended.
func (w *world) end(t *testing.T) {
	t.Helper()
	w.stop()
	await(t, w.ended, "Run to return")
	if w.err != nil {
		t.Errorf("Run returned %v", w.err)
	}
}

// client is connections to the service, with one certificate or none.
type client struct {
	conn *grpc.ClientConn
	http *http.Client
	url  string // The REST API's base URL.
}

// client returns the client with that certificate, which it sends whether the server
// requests it or not.
func (w *world) client(certificate *tls.Certificate) *client {
	if w.clients[certificate] == nil {
		w.clients[certificate] = w.newClient(w.t, w.tlsConfig(certificate))
	}
	return w.clients[certificate]
}

func (w *world) tlsConfig(certificate *tls.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: w.trusted}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate, nil
		}
	}
	return config
}

// newClient returns a client with new connections. A nil config makes them plaintext.
func (w *world) newClient(t *testing.T, config *tls.Config) *client {
	t.Helper()
	scheme, security := "http://", insecure.NewCredentials()
	if config != nil {
		scheme, security = "https://", credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient("passthrough:///"+w.GRPC.String(), grpc.WithTransportCredentials(security))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = conn.Close() // It may be closed already.
	})
	return &client{conn: conn, http: &http.Client{Transport: transport}, url: scheme + w.HTTP.String()}
}

// adminPage returns the admin listener's answer.
func (w *world) adminPage(t *testing.T, path string) string {
	t.Helper()
	response, err := http.Get("http://" + w.Admin.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// await waits until the channel is closed or sends a value.
func await[T any](t *testing.T, came <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-came:
		return value
	case <-time.After(waitTimeout):
		t.Fatalf("timeout waiting for %s", what)
		panic("unreachable")
	}
}

// pollEvery is the interval of polling in eventually.
const pollEvery = 20 * time.Millisecond

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(waitTimeout)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("timeout waiting until %s", what)
		}
	}
}

// logged is a log.
type logged struct{ logtest.Buffer }

// lines returns the lines that contain the text.
func (l *logged) lines(text string) []string {
	var found []string
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}
