package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/logtest"
	"conferenced/service/sandbox"
)

// patience is the timeout of what must happen. A test that passes never waits for it.
const patience = 30 * time.Second

// started is a running command.
type started struct {
	stop   context.CancelFunc
	ended  chan struct{}
	code   int // once it has ended
	stdout *following
	stderr *following
}

// following is the output of a command.
type following struct{ logtest.Buffer }

func await(t *testing.T, came <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-came:
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
	}
}

// awaitMatch waits for a match of the pattern and returns its groups.
func (f *following) awaitMatch(t *testing.T, pattern string) []string {
	t.Helper()
	sought := regexp.MustCompile(pattern)
	for {
		text, grown := f.Read()
		if found := sought.FindStringSubmatch(text); found != nil {
			return found[1:]
		}
		await(t, grown, pattern)
	}
}

// startCommand runs a command on free ports until the test ends or stop is called.
func startCommand(t *testing.T, args ...string) *started {
	t.Helper()
	return startOn(t, false, append(args, anywhere...)...)
}

// startOn runs a command on the addresses in the arguments.
func startOn(t *testing.T, terminal bool, args ...string) *started {
	t.Helper()
	serveApart(t)
	ctx, stop := context.WithCancel(context.Background())
	s := &started{stop: stop, ended: make(chan struct{}), stdout: new(following), stderr: new(following)}
	go func() {
		defer close(s.ended)
		s.code = run(ctx, args, output{s.stdout, s.stderr, terminal})
	}()
	t.Cleanup(func() {
		stop()
		await(t, s.ended, "the command to end")
	})
	return s
}

func startSandbox(t *testing.T, args ...string) *started {
	t.Helper()
	return startCommand(t, append([]string{"sandbox"}, args...)...)
}

func (s *started) checkStops(t *testing.T) {
	t.Helper()
	s.stop()
	await(t, s.ended, "the command to end")
	if s.code != 0 {
		text := s.stderr.String()
		t.Errorf("exit code %d: %s", s.code, text)
	}
}

func newHTTPClient(t *testing.T) *http.Client {
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func fetch(t *testing.T, client *http.Client, request *http.Request) string {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s", request.Method, request.URL, response.StatusCode, body)
	}
	return string(body)
}

func getPage(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fetch(t, client, request)
}

func dial(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// grpcurl runs a printed grpcurl command.
func grpcurl(t *testing.T, line string) {
	t.Helper()
	words := regexp.MustCompile(`^grpcurl -plaintext -d '([^']+)' (\S+) (\S+)$`).FindStringSubmatch(line)
	if words == nil {
		t.Fatalf("not understood: %s", line)
	}
	request, response := new(conferencev1.UpdateParticipantRequest), new(conferencev1.UpdateParticipantResponse)
	if err := protojson.Unmarshal([]byte(words[1]), request); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, words[2]).Invoke(t.Context(), "/"+words[3], request, response); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// curl runs a printed curl command.
func curl(t *testing.T, client *http.Client, line string) {
	t.Helper()
	words := regexp.MustCompile(`^curl -X (\S+) (\S+) -H '([^:]+): ([^']+)' -d '([^']+)'$`).FindStringSubmatch(line)
	if words == nil {
		t.Fatalf("not understood: %s", line)
	}
	request, err := http.NewRequestWithContext(t.Context(), words[1], words[2], strings.NewReader(words[5]))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(words[3], words[4])
	fetch(t, client, request)
}

func TestSandboxDoesWhatItPrints(t *testing.T) {
	s := startSandbox(t)
	s.stdout.awaitMatch(t, `Stop with (Ctrl-C)\.`)
	welcome := s.stdout.String()
	client := newHTTPClient(t)

	lines := map[string]int{}
	for line := range strings.Lines(welcome) {
		line = strings.TrimSpace(line)
		tool, _, _ := strings.Cut(line, " ")
		switch tool {
		case "grpcurl":
			grpcurl(t, line)
		case "curl":
			curl(t, client, line)
		}
		lines[tool]++
	}
	if lines["grpcurl"] != 1 || lines["curl"] != 2 {
		t.Fatalf("other lines than were expected:\n%s", welcome)
	}

	var state sandbox.State
	if err := json.Unmarshal([]byte(getPage(t, client, s.stdout.awaitMatch(t, `embedded Twilio +(\S+)`)[0]+"/sandbox/state")), &state); err != nil {
		t.Fatal(err)
	}
	if state.JournalLength != 3 {
		t.Errorf("%d updates", state.JournalLength)
	}
	for _, p := range state.Accounts[0].Conferences[0].Participants {
		if want := p.CallSID == sandbox.CustomerSID; p.Muted != want {
			t.Errorf("%s muted: %v", p.CallSID, p.Muted)
		}
		if want := p.CallSID == sandbox.FrontDeskSID || p.CallSID == sandbox.HeldSID; p.Hold != want {
			t.Errorf("%s on hold: %v", p.CallSID, p.Hold)
		}
	}
	checkPages(t, s, client)
	s.checkStops(t)
}

// checkPages checks the other pages whose addresses the sandbox prints.
func checkPages(t *testing.T, s *started, client *http.Client) {
	t.Helper()
	if page := getPage(t, client, s.stdout.awaitMatch(t, `API page: (\S+)\)`)[0]); !strings.Contains(page, "<html") {
		t.Errorf("the API page is %s", page)
	}
	if got := getPage(t, client, s.stdout.awaitMatch(t, `admin +(\S+)\n`)[0]+"/readyz"); got != "ok\n" {
		t.Errorf("/readyz: %s", got)
	}
	welcome := s.stdout.String()
	for _, sid := range []string{
		sandbox.AccountSID, sandbox.ConferenceSID, sandbox.AgentSID, sandbox.CustomerSID,
		sandbox.SupervisorSID, sandbox.FrontDeskSID, sandbox.HeldSID,
	} {
		if !strings.Contains(welcome, sid) {
			t.Errorf("%s is not shown", sid)
		}
	}
	if strings.Contains(welcome, "%!") || strings.Contains(welcome, ":0 ") {
		t.Errorf("not what was meant:\n%s", welcome)
	}
}

// TestSandboxNeedsNoCredentials, and it does not read them.
func TestSandboxNeedsNoCredentials(t *testing.T) {
	environment(t, "TWILIO_ACCOUNT_SID", "nonsense", "TWILIO_AUTH_TOKEN_FILE", "/nowhere", "TWILIO_REGION", "ie1")
	s := startSandbox(t)
	s.stdout.awaitMatch(t, `Stop with (Ctrl-C)\.`)
	s.checkStops(t)
}

// TestTakenPorts checks that the error names the flag and its variable, whether the
// address comes from the flag, the variable or the default.
func TestTakenPorts(t *testing.T) {
	taken := listen(t)
	for flag, variable := range map[string]string{
		"--twilio-addr": "CONFERENCED_TWILIO_ADDR", "--grpc-addr": "CONFERENCED_GRPC_ADDR",
		"--http-addr": "CONFERENCED_HTTP_ADDR", "--admin-addr": "CONFERENCED_ADMIN_ADDR",
	} {
		t.Run(flag, func(t *testing.T) {
			want := "conferenced: " + flag + " (" + variable + "): listen tcp " + taken + ": bind: address already in use\n"
			for _, free := range []string{"CONFERENCED_TWILIO_ADDR", "CONFERENCED_GRPC_ADDR", "CONFERENCED_HTTP_ADDR", "CONFERENCED_ADMIN_ADDR"} {
				t.Setenv(free, "127.0.0.1:0")
			}
			byFlag := runCommand(t.Context(), "sandbox", flag+"="+taken)
			t.Setenv(variable, taken)
			for _, got := range []ran{byFlag, runCommand(t.Context(), "sandbox")} {
				got.check(t, exitFailure)
				got.checkOutput(t, "", want)
			}
		})
	}
}

// serveSandbox starts a sandbox in place of Twilio.
func serveSandbox(t *testing.T) (*sandbox.Sandbox, string) {
	t.Helper()
	box := sandbox.New(sandbox.Config{})
	server := httptest.NewServer(box)
	t.Cleanup(server.Close)
	t.Cleanup(box.Close)
	return box, server.URL
}

func muteAgent(t *testing.T, addr string) error {
	t.Helper()
	return muteAgentOn(t, dial(t, addr))
}

func muteAgentOn(t *testing.T, conn grpc.ClientConnInterface) error {
	t.Helper()
	_, err := conferencev1.NewConferenceServiceClient(conn).UpdateParticipant(t.Context(),
		&conferencev1.UpdateParticipantRequest{
			ConferenceSid: sandbox.ConferenceSID, CallSid: sandbox.AgentSID, Muted: proto.Bool(true),
		})
	return err
}

func TestServeWithEachKindOfCredentials(t *testing.T) {
	tests := []struct {
		name  string
		pairs []string
	}{
		{"a token", []string{"TWILIO_AUTH_TOKEN", sandbox.AuthToken}},
		{"a token in a file", []string{"TWILIO_AUTH_TOKEN_FILE", "FILE:" + sandbox.AuthToken + "\n"}},
		{"an API key", []string{"TWILIO_API_KEY", sandbox.APIKeySID, "TWILIO_API_SECRET", sandbox.APIKeySecret}},
		{"an API key in a file", []string{"TWILIO_API_KEY", sandbox.APIKeySID, "TWILIO_API_SECRET_FILE", "FILE:" + sandbox.APIKeySecret}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			box, url := serveSandbox(t)
			environment(t, "TWILIO_ACCOUNT_SID", sandbox.AccountSID)
			environment(t, test.pairs...)
			s := startCommand(t, "serve", "--twilio-base-url="+url, "--log-format=json", "--log-level=debug")
			addr := s.stderr.awaitMatch(t, `"msg":"serving","grpc":"([^"]+)"`)[0]
			if err := muteAgent(t, addr); err != nil {
				t.Error(err)
			}
			if got := box.State().JournalLength; got != 1 {
				t.Errorf("%d updates", got)
			}
			s.checkStops(t)
			stdout := s.stdout.String()
			stderr := s.stderr.String()
			for _, secret := range []string{sandbox.AuthToken, sandbox.APIKeySecret} {
				if strings.Contains(stdout+stderr, secret) {
					t.Errorf("a secret is printed:\n%s%s", stdout, stderr)
				}
			}
		})
	}
}

func TestServeNeverFallsBackToTheSandbox(t *testing.T) {
	box, url := serveSandbox(t)
	environment(t, "TWILIO_ACCOUNT_SID", sandbox.AccountSID, "TWILIO_AUTH_TOKEN", testToken)
	s := startCommand(t, "serve", "--twilio-base-url="+url, "--log-format=json")
	addr := s.stderr.awaitMatch(t, `"msg":"serving","grpc":"([^"]+)"`)[0]
	if err := muteAgent(t, addr); err == nil || !strings.Contains(err.Error(), "Twilio rejected the credentials") {
		t.Errorf("got %v", err)
	}
	if got := box.State().JournalLength; got != 0 {
		t.Errorf("%d updates", got)
	}
}

func TestHealthcheckOfARunningService(t *testing.T) {
	s := startSandbox(t)
	addr := s.stdout.awaitMatch(t, `gRPC +(\S+)\n`)[0]
	got := runCommand(t.Context(), "healthcheck", "--grpc-addr="+addr)
	got.check(t, 0)
	if got.stdout != "SERVING\n" || got.stderr != "" {
		t.Errorf("stdout %q, stderr %q", got.stdout, got.stderr)
	}
	t.Setenv("CONFERENCED_GRPC_ADDR", addr)
	runCommand(t.Context(), "healthcheck").check(t, 0)
}

// serveHealth serves nothing but the health of a service.
func serveHealth(t *testing.T, service string, status grpc_health_v1.HealthCheckResponse_ServingStatus) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	states := health.NewServer()
	states.SetServingStatus(service, status)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, states)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func TestHealthcheckThatFails(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	const name = "conference.v1.ConferenceService"
	tests := []struct {
		name, addr string
		timeout    time.Duration
		want       string
	}{
		{"nothing listens", "127.0.0.1:1", patience, "connection refused"},
		{"no answer", listen(t), 10 * time.Millisecond, ""},
		{"no gRPC", web.Listener.Addr().String(), patience, ""},
		{"draining", serveHealth(t, name, grpc_health_v1.HealthCheckResponse_NOT_SERVING), patience, "NOT_SERVING"},
		{"another service", serveHealth(t, "other", grpc_health_v1.HealthCheckResponse_SERVING), patience, "unknown service"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := runCommand(t.Context(), "healthcheck", "--grpc-addr="+test.addr, "--timeout="+test.timeout.String())
			got.check(t, 1, "conferenced: "+test.addr+": ", test.want)
			if got.stdout != "" {
				t.Errorf("stdout: %s", got.stdout)
			}
		})
	}
}

// TestHealthcheckUsesNoProxy asks by an address that a proxy would be used for: one of
// all interfaces, as containers listen on.
func TestHealthcheckUsesNoProxy(t *testing.T) {
	addr := serveHealth(t, "conference.v1.ConferenceService", grpc_health_v1.HealthCheckResponse_SERVING)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	// A process of its own, since net/http reads the variable once.
	check := exec.CommandContext(t.Context(), os.Args[0], "healthcheck", "--grpc-addr=0.0.0.0:"+port, "--timeout="+patience.String())
	check.Env = append(os.Environ(), asProgram+"=1", "HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=")
	if out, err := check.CombinedOutput(); err != nil || string(out) != "SERVING\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// failing is an output whose writes fail.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOutputThatCannotBeWritten(t *testing.T) {
	for _, args := range [][]string{
		{"version"},
		append([]string{"sandbox"}, anywhere...),
	} {
		t.Run(args[0], func(t *testing.T) {
			serveApart(t)
			var stderr bytes.Buffer
			if code := run(t.Context(), args, output{failing{}, &stderr, false}); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(stderr.String(), io.ErrClosedPipe.Error()) {
				t.Errorf("stderr: %s", &stderr)
			}
		})
	}
}
