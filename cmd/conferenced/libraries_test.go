package main

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"conferenced/service/sandbox"
)

// TestLibrariesPrintNothing makes the libraries print as much as their variables allow,
// with secrets in every URL that they have. All of standard error is JSON of the logger,
// and nothing of a URL's secret parts is there or on the admin pages.
func TestLibrariesPrintNothing(t *testing.T) {
	_, twilio := serveSandbox(t)
	policy := writerIn(t, t.TempDir())("policy", "rules: [{callers: [{name: '*'}], accounts: ['*'], properties: [muted]}]")
	// Nothing listens on port 1, so each of them fails, again and again.
	environment(t,
		"GRPC_GO_LOG_SEVERITY_LEVEL", "info", "GRPC_GO_LOG_VERBOSITY_LEVEL", "99", "GODEBUG", "http2debug=2",
		"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1/"+misplaced+"?key="+misplaced,
		"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf",
		"OTEL_EXPORTER_OTLP_HEADERS", "authorization:"+misplaced,
		"CONFERENCED_REDIS_URL", "redis://user:"+misplaced+"@127.0.0.1:1",
		"CONFERENCED_JWT_ISSUER", "https://127.0.0.1:1", "CONFERENCED_JWT_AUDIENCE", "x", "CONFERENCED_POLICY", policy,
		"CONFERENCED_JWT_JWKS_URL", "https://127.0.0.1:1/?key="+misplaced,
	)
	p := startProgram(t, twilio, "--log-level=debug")
	if err := muteAgent(t, p.grpc); err == nil {
		t.Error("a call without a token was accepted")
	}
	// net/http prints what it does not answer.
	if conn, err := tls.Dial("tcp", p.http, &tls.Config{MinVersion: tls.VersionTLS12}); err == nil {
		conn.Close()
		t.Error("the listener speaks TLS")
	}
	client := newHTTPClient(t)
	callWithJWT(t, client, "http://"+p.http+"/v1/conferences/"+sandbox.ConferenceSID+"/participants/"+sandbox.AgentSID)
	for _, page := range []string{"/healthz", "/debug/pprof/cmdline", "/metrics", "/debug/pprof/goroutine?debug=2"} {
		if text := getPage(t, client, "http://"+p.admin+page); strings.Contains(text, misplaced) {
			t.Errorf("%s has a secret:\n%s", page, text)
		}
	}
	p.signal(t, syscall.SIGTERM)
	await(t, p.ended, "the process to end")
	text := p.stderr.String()
	for _, failure := range []string{"the issuer's keys cannot be fetched: ", "spans are lost"} {
		if !strings.Contains(text, failure) {
			t.Errorf("no %q in the log:\n%s", failure, text)
		}
	}
	if strings.Contains(text, misplaced) {
		t.Errorf("the log has a secret:\n%s", text)
	}
	for line := range strings.Lines(text) {
		var parsed struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &parsed); err != nil || parsed.Msg == "" {
			t.Errorf("a library has printed %q", line)
		}
	}
}

// callWithJWT makes a call for which the issuer's keys are fetched in vain.
func callWithJWT(t *testing.T, client *http.Client, url string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"muted": true}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	// {"alg":"RS256"} and {"iss":"https://127.0.0.1:1","aud":"x","exp":9999999999}
	request.Header.Set("Authorization", "Bearer eyJhbGciOiJSUzI1NiJ9."+
		"eyJpc3MiOiJodHRwczovLzEyNy4wLjAuMToxIiwiYXVkIjoieCIsImV4cCI6OTk5OTk5OTk5OX0.AA")
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("HTTP status %d", answer.StatusCode)
	}
}
