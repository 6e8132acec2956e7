package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	tokens "github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	transport "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
)

func TestServeWithoutAuthenticationWarns(t *testing.T) {
	environment(t, "TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN", testToken)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	runCommand(ctx, "serve", "--grpc-addr=0.0.0.0:0", "--http-addr=0.0.0.0:0", "--admin-addr=127.0.0.1:0", "--audit-log=", "--allow-anonymous").
		check(t, 0, "callers are not authenticated: every client that reaches this service may change any conference")
}

// TestSandboxServesItsOwnAccountsAlone: no call of the sandbox may reach Twilio.
func TestSandboxServesItsOwnAccountsAlone(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	got := runStopped(t, append([]string{"sandbox"}, f.flags("accounts")...)...)
	got.check(t, 2, "conferenced: --accounts (CONFERENCED_ACCOUNTS): cannot be set: the embedded Twilio has accounts of its own")
}

// secured is a service with every file, in front of a sandbox.
type secured struct {
	*started
	securityFiles
	box        *sandbox.Sandbox
	grpc, http string
	audit      string
}

func startSecured(t *testing.T, args ...string) *secured {
	t.Helper()
	box, url := serveSandbox(t)
	s := &secured{securityFiles: newSecurityFiles(t, url), box: box, audit: filepath.Join(t.TempDir(), "audit.jsonl")}
	args = append(append([]string{"serve", "--log-format=json", "--audit-log=" + s.audit}, s.all()...), args...)
	s.started = startCommand(t, args...)
	addresses := s.stderr.awaitMatch(t, `"msg":"serving","grpc":"([^"]+)","http":"([^"]+)"`)
	s.grpc, s.http = addresses[0], addresses[1]
	return s
}

// mute makes a call with the bearer token, over TLS.
func (s *secured) mute(t *testing.T, token string, pairs ...string) error {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.grpc, grpc.WithTransportCredentials(transport.NewTLS(acceptingAny())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), append(pairs, "authorization", "Bearer "+token)...)
	_, err = conferencev1.NewConferenceServiceClient(conn).UpdateParticipant(ctx, &conferencev1.UpdateParticipantRequest{
		ConferenceSid: sandbox.ConferenceSID, CallSid: sandbox.AgentSID, Muted: proto.Bool(true),
	})
	return err
}

// acceptingAny returns a configuration that accepts any certificate.
func acceptingAny() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func (s *secured) records(t *testing.T) []map[string]any {
	t.Helper()
	return recordsIn(t, s.audit)
}

func recordsIn(t *testing.T, path string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var records []map[string]any
	for line := range strings.Lines(string(text)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

func TestServeWithEveryFile(t *testing.T) {
	s := startSecured(t, "--trusted-proxy=127.0.0.0/8")
	if err := s.mute(t, callerToken, "x-forwarded-for", "203.0.113.7"); err != nil {
		t.Error(err)
	}
	if err := s.mute(t, misplaced); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a wrong token: %v", err)
	}
	if got := s.box.State().JournalLength; got != 1 {
		t.Errorf("%d updates", got)
	}
	client := newHTTPClient(t)
	client.Transport.(*http.Transport).TLSClientConfig = acceptingAny()
	getPage(t, client, "https://"+s.http+"/openapi.json")

	runCommand(t.Context(), append([]string{"healthcheck", "--grpc-addr=" + s.grpc}, s.flags("tls-cert")...)...).check(t, 0)
	runCommand(t.Context(), "healthcheck", "--grpc-addr="+s.grpc).check(t, 1)
	s.checkStops(t)
	records := s.records(t)
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	if got := records[0]; got["caller"] != "ui-web" || got["peer"] != "203.0.113.7" || got["outcome"] != "OK" {
		t.Errorf("%v", got)
	}
	if got := records[1]; got["caller"] != "" || got["peer"] != "127.0.0.1" || got["outcome"] != "CALLER_UNKNOWN" {
		t.Errorf("%v", got)
	}
	stdout := s.stdout.String()
	stderr := s.stderr.String()
	for _, secret := range []string{sandbox.AuthToken, callerToken, misplaced} {
		if strings.Contains(stdout+stderr, secret) {
			t.Errorf("a secret is printed:\n%s%s", stdout, stderr)
		}
	}
}

// TestHangup: SIGHUP reloads the files and reopens the audit file, which was moved.
func TestHangup(t *testing.T) {
	s := startSecured(t)
	if err := s.mute(t, callerToken); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.audit, s.audit+".1"); err != nil {
		t.Fatal(err)
	}
	s.write(t, "policy", "rules: 1\n")
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.stderr.awaitMatch(t, `settings not reloaded.*policy: line 1: (rules)`)
	calls := 1
	poll(t, "a record in the new file", func() bool {
		if err := s.mute(t, callerToken); err != nil {
			t.Error(err)
		}
		calls++
		info, err := os.Stat(s.audit)
		return err == nil && info.Size() > 0
	})
	if got := len(s.records(t)) + len(recordsIn(t, s.audit+".1")); got != calls {
		t.Errorf("%d records of %d calls", got, calls)
	}
	s.checkStops(t)
}

// TestServeWithJWTs uses an issuer with its own claim for the names of callers.
func TestServeWithJWTs(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{})
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{public.Marshal()}})
	}))
	t.Cleanup(keys.Close)
	s := startSecured(t, "--jwt-issuer=https://issuer.example", "--jwt-audience=conferenced",
		"--jwt-jwks-url="+keys.URL, "--jwt-algorithms=ES384", "--jwt-clock-skew=1m", "--jwt-name-claim=team")
	expired := func(ago time.Duration) map[string]any {
		return map[string]any{
			"iss": "https://issuer.example", "aud": "conferenced", "sub": "x", "team": "support", "groups": []string{"agents"},
			"exp": time.Now().Add(-ago).Unix(),
		}
	}
	if err := s.mute(t, signed(t, key, expired(30*time.Second))); err != nil { // within the skew
		t.Error(err)
	}
	if err := s.mute(t, signed(t, key, expired(2*time.Minute))); status.Code(err) != codes.Unauthenticated {
		t.Errorf("expired: %v", err)
	}
	s.checkStops(t)
	if got := s.records(t)[0]; got["caller"] != "support" || got["known_by"] != "jwt" {
		t.Errorf("%v", got)
	}
}

func signed(t *testing.T, key *ecdsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	text, err := tokens.NewWithClaims(tokens.SigningMethodES384, tokens.MapClaims(claims)).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestReflectionAndDocsCanBeSwitchedOff each by itself.
func TestReflectionAndDocsCanBeSwitchedOff(t *testing.T) {
	for flag, want := range map[string]struct {
		reflection codes.Code
		docs       int
	}{
		"--docs":          {codes.OK, http.StatusOK},
		"--no-reflection": {codes.Unimplemented, http.StatusOK},
		"--no-docs":       {codes.OK, http.StatusNotFound},
	} {
		t.Run(flag, func(t *testing.T) {
			s := startSandbox(t, flag)
			if got := status.Code(listServices(t, dial(t, s.stdout.awaitMatch(t, `gRPC +(\S+)\n`)[0]))); got != want.reflection {
				t.Errorf("reflection: %v, want %v", got, want.reflection)
			}
			url, client := s.stdout.awaitMatch(t, `REST +(\S+)`)[0], newHTTPClient(t)
			for _, path := range []string{"/docs", "/docs/", "/docs/start.js", "/openapi.json", "/conference_service.proto"} {
				response, err := client.Get(url + path)
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if response.StatusCode != want.docs {
					t.Errorf("%s: %d, want %d", path, response.StatusCode, want.docs)
				}
			}
		})
	}
}

// listServices asks for the services by reflection.
func listServices(t *testing.T, conn grpc.ClientConnInterface) error {
	t.Helper()
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{ // Recv has the error.
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	})
	_, err = stream.Recv()
	return err
}

// TestAuditOnAFullDisk: calls are refused or proceed, as the flag says, and the process
// ends with an error, since records are lost.
func TestAuditOnAFullDisk(t *testing.T) {
	const fullDisk = "/dev/full"
	if _, err := os.Stat(fullDisk); err != nil {
		t.Skip(err)
	}
	for failure, want := range map[string]codes.Code{"closed": codes.Internal, "open": codes.OK} {
		t.Run(failure, func(t *testing.T) {
			s := startSandbox(t, "--audit-log="+fullDisk, "--audit-failure="+failure)
			addr := s.stdout.awaitMatch(t, `gRPC +(\S+)\n`)[0]
			for range 2 {
				if err := muteAgent(t, addr); status.Code(err) != want {
					t.Errorf("%v", err)
				}
			}
			s.stop()
			await(t, s.ended, "the command to end")
			if text := s.stderr.String(); s.code != 1 || !strings.Contains(text, "conferenced: write "+fullDisk+": no space left on device\n") {
				t.Errorf("exit code %d: %s", s.code, text)
			}
		})
	}
}
