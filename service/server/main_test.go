package server

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/delivery/redisstore/redistest"
	"conferenced/service/leaktest"
	"conferenced/service/logtest"
	"conferenced/service/sandbox"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

func TestMain(m *testing.M) {
	os.Exit(leaktest.Run(m, redistest.Delays))
}

// patience is the timeout of what must happen. A test that passes never waits for it.
const patience = 30 * time.Second

// seededAt is the time of every sandbox's clock.
var seededAt = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// setup has the options of a server and of the sandbox behind it.
type setup struct {
	Config
	box sandbox.Config
	// upstream serves a request in front of the sandbox; nil: the sandbox serves it.
	upstream  func(w http.ResponseWriter, request *http.Request, box *sandbox.Sandbox)
	logLevel  string
	logFormat string
}

// running is a server in front of a sandbox, with clients.
type running struct {
	*Server
	box   *sandbox.Sandbox
	conn  *grpc.ClientConn
	rest  *http.Client
	log   *logged
	stop  context.CancelFunc
	ended chan struct{} // closed after err is set
	err   error         // of Run
}

// quick returns the default configuration of delivery with short waits and without a
// breaker, which would carry one test's failures over to the next.
func quick() delivery.Config {
	cfg := delivery.Default()
	cfg.Retrying.Base, cfg.Retrying.Cap = time.Millisecond, 2*time.Millisecond
	cfg.Breaking.Failures = 0
	cfg.Grace = time.Millisecond
	return cfg
}

func sandboxAccount(baseURL string) twilio.Account {
	return twilio.Account{
		SID: sandbox.AccountSID, Username: sandbox.AccountSID,
		Password: twilio.NewSecret(sandbox.AuthToken), BaseURL: baseURL,
	}
}

// settingsOf returns settings without files: accounts, and no authentication.
func settingsOf(t *testing.T, defaultSID string, accounts ...twilio.Account) *settings.Live {
	t.Helper()
	set, err := twilio.NewAccounts(defaultSID, accounts...)
	if err != nil {
		t.Fatal(err)
	}
	return liveSettings(t, set)
}

func liveSettings(t *testing.T, accounts *twilio.Accounts) *settings.Live {
	t.Helper()
	live, err := settings.NewLive(settings.Files{}, settings.Base{Accounts: accounts}, discarded)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// withFiles returns settings with the same accounts, and with files.
func withFiles(t *testing.T, without *settings.Live, files settings.Files) *settings.Live {
	t.Helper()
	live, err := settings.NewLive(files, settings.Base{Accounts: without.Current().Accounts}, discarded)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// writeFile writes a file of its own and returns the path.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// audited configures a server with an audit in a new file, and returns a function that
// reads the records.
func audited(t *testing.T) (configure func(*setup), records func() []telemetry.Record) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "audit")
	sink, err := telemetry.OpenAudit(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return func(s *setup) { s.Audit = sink }, func() (all []telemetry.Record) {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var record telemetry.Record
			if err := json.Unmarshal(line, &record); err != nil {
				t.Fatal(err)
			}
			all = append(all, record)
		}
		return all
	}
}

// fullAudit returns an audit that cannot be written. The test is skipped where there is
// none.
func fullAudit(t *testing.T) *telemetry.AuditSink {
	t.Helper()
	sink, err := telemetry.OpenAudit("/dev/full")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

var discarded = slog.New(slog.DiscardHandler)

// build returns a server that does not run yet. The test's end closes what it has.
func build(t *testing.T, choose ...func(*setup)) *running {
	t.Helper()
	r := &running{log: new(logged), ended: make(chan struct{})}
	s := &setup{
		Config: Config{
			GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
			Delivery: quick(), DefaultTimeout: patience, ShutdownTimeout: patience,
		},
		box:      sandbox.Config{Now: func() time.Time { return seededAt }},
		upstream: func(w http.ResponseWriter, request *http.Request, box *sandbox.Sandbox) { box.ServeHTTP(w, request) },
		logLevel: "info", logFormat: "json",
	}
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		s.upstream(w, request, r.box)
	}))
	s.Settings = settingsOf(t, sandbox.AccountSID, sandboxAccount("http://"+upstream.Listener.Addr().String()))
	for _, change := range choose {
		change(s)
	}
	r.box = sandbox.New(s.box)
	upstream.Start()
	t.Cleanup(upstream.Close)
	t.Cleanup(r.box.Close)
	r.bind(t, s)
	return r
}

func (r *running) bind(t *testing.T, s *setup) {
	t.Helper()
	var err error
	if s.Logger == nil {
		if s.Logger, err = telemetry.NewLogger(r.log, s.logLevel, s.logFormat); err != nil {
			t.Fatal(err)
		}
	}
	if r.Server, err = New(s.Config); err != nil {
		t.Fatal(err)
	}
	r.conn = dial(t, r.GRPC.String())
	r.rest = newHTTPClient(t)
}

// start builds a server and runs it until the test ends or stop is called.
func start(t *testing.T, choose ...func(*setup)) *running {
	t.Helper()
	r := build(t, choose...)
	r.run(t)
	return r
}

func (r *running) run(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() {
		defer close(r.ended)
		r.err = r.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		await(t, r.ended, "Run to return")
	})
}

func (r *running) service() conferencev1.ConferenceServiceClient {
	return conferencev1.NewConferenceServiceClient(r.conn)
}

func (r *running) restURL(path string) string { return "http://" + r.HTTP.String() + path }

func (r *running) adminURL(path string) string { return "http://" + r.Admin.String() + path }

func dial(t *testing.T, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func newHTTPClient(t *testing.T) *http.Client {
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// await receives from a channel.
func await[T any](t *testing.T, came <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-came:
		return value
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}

// logged is a log in JSON.
type logged struct{ logtest.Buffer }

// line is a line of a log in JSON.
type line map[string]any

func (l line) text(key string) string {
	text, _ := l[key].(string)
	return text
}

// lines returns those with the message, in their order.
func (l *logged) lines(t *testing.T, message string) []line {
	t.Helper()
	return linesOf(t, l.String(), message)
}

func linesOf(t *testing.T, text, message string) []line {
	t.Helper()
	var found []line
	for one := range strings.Lines(text) {
		var parsed line
		if err := json.Unmarshal([]byte(one), &parsed); err != nil {
			t.Fatalf("the log line %q is not JSON: %v", one, err)
		}
		if parsed.text("msg") == message {
			found = append(found, parsed)
		}
	}
	return found
}

// awaitLine returns the first line with the message, once it is there.
func (l *logged) awaitLine(t *testing.T, message string) line {
	t.Helper()
	for {
		text, grown := l.Read()
		if found := linesOf(t, text, message); len(found) > 0 {
			return found[0]
		}
		await(t, grown, "the log line "+message)
	}
}
