package access_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"conferenced/service/delivery"
	"conferenced/service/server"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come. It is never waited for
// to its end by a test that passes.
const patience = time.Minute

// The files of a place.
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

// setup is what a test can choose of a world.
type setup struct {
	server.Config
	// texts are the files. Those that are left out are not used.
	texts     map[string]string
	projected bool
	// issuer is the one whose JWTs are accepted for the audience; nil: none are.
	issuer   *issuer
	audience string
	// tee, if it is set, is told of all that is logged too.
	tee slog.Handler
	// auditPath is where the audit goes; "" leaves it out.
	auditPath string
}

// without leaves files out.
func without(names ...string) func(*setup) {
	return func(s *setup) {
		for _, name := range names {
			delete(s.texts, name)
		}
	}
}

// with has other files, given as pairs of a name and a text.
func with(pairs ...string) func(*setup) {
	return func(s *setup) {
		for i := 0; i < len(pairs); i += 2 {
			s.texts[pairs[i]] = pairs[i+1]
		}
	}
}

func withoutJWT(s *setup) { s.issuer = nil }

// anonymous leaves out everything by which callers could be known, and TLS.
func anonymous(s *setup) {
	without(tokensFile, policyFile, clientCAFile, certFile, keyFile)(s)
	withoutJWT(s)
}

// world is a service between callers of every kind and a Twilio.
type world struct {
	*server.Server
	*place
	up                 *upstream
	issuer             *issuer
	serverCA, clientCA authority
	trusted            *x509.CertPool // What clients take for the service's.
	log                *logged
	auditPath          string
	audited            int // Bytes of it that were looked at.

	stop  context.CancelFunc
	ended chan struct{} // Closed after err is set.
	err   error         // What Run returned.

	t       *testing.T // What is made for the world ends with it.
	clients map[*tls.Certificate]*client
	named   map[string]*tls.Certificate // Client certificates by their one name.
}

// build makes a world whose service does not run yet. An error is that of
// loading the settings or of making the server.
func build(t *testing.T, choose ...func(*setup)) (*world, error) {
	t.Helper()
	w := &world{
		up:       newUpstream(t),
		serverCA: newAuthority(t, "servers"), clientCA: newAuthority(t, "clients"),
		log: newLogged(), ended: make(chan struct{}), t: t, clients: map[*tls.Certificate]*client{}, named: map[string]*tls.Certificate{},
	}
	w.trusted = w.serverCA.pool()
	s := w.setup(t)
	for _, change := range choose {
		change(s)
	}
	w.place = newPlace(t, s.projected)
	w.put(t, s.texts)
	w.auditPath, w.issuer = s.auditPath, s.issuer
	return w, w.compose(t, s)
}

// setup is the usual one: all kinds of callers, known, over TLS.
func (w *world) setup(t *testing.T) *setup {
	t.Helper()
	certificate := w.serverCA.server(t)
	return &setup{
		Config: server.Config{
			GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
			Delivery: quick(), DefaultTimeout: patience, ShutdownTimeout: patience,
		},
		texts: map[string]string{
			accountsFile: accountsText(w.up.url), mainTokenFile: mainToken + "\n", otherKeyFile: otherKeySecret + "\n",
			tokensFile: tokensText("ui"), policyFile: allowAll,
			clientCAFile: certPEM(w.clientCA.Certificate),
			certFile:     certPEM(certificate), keyFile: keyPEM(t, certificate),
		},
		issuer:    newIssuer(t),
		audience:  audience,
		auditPath: filepath.Join(t.TempDir(), "audit"),
	}
}

// quick are the usual settings of delivery with short waits. There is no
// breaker: one test's failures are not the next one's.
func quick() delivery.Config {
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
		t.Cleanup(func() { _ = s.Audit.Close() }) // Of a service that did not run.
	}
	w.Server, err = server.New(s.Config)
	return err
}

// files are those of the place that the settings name.
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

// start makes a world and runs its service until the test ends.
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

// client is a caller's way to the service: connections with one certificate, or
// with none.
type client struct {
	conn *grpc.ClientConn
	http *http.Client
	url  string // Of REST.
}

// client is the one with that certificate, which it shows whether it is asked
// for or not.
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

// newClient is one with new connections. A nil config makes them plaintext.
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

// adminPage is what the admin listener answers.
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

// await waits for a channel to be closed, or for one value of it.
func await[T any](t *testing.T, came <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-came:
		return value
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// pollEvery is how often [eventually] looks.
const pollEvery = 20 * time.Millisecond

// eventually waits until it is so.
func eventually(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for !isSo() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func newLogged() *logged { return new(logged) }

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines are those that hold the text.
func (l *logged) lines(text string) []string {
	var found []string
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}
