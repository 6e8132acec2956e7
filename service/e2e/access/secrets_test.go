package access_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"conferenced/service/certtest"
	"conferenced/service/sandbox"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
	"conferenced/service/twilio"
)

// Secrets that only the tests of secrets use.
const (
	keySecretVariable = "OTHER_KEY_SECRET"
	keySecret         = `pl4nted/api+key:s&cret=%7E"<0123456789>`
	wrongToken        = "wr0ng.bearer-token_0123456789abcdef=="
	garbageToken      = "g4rbage{}bearer<>0123456789abcdef"
	basicPassword     = "b4sic-password-0123456789abcdef"
	urlPassword       = "url-p4ssword-0123456789abcdef"
	bodyText          = "b0dy-text-that-is-nobodys-0123456789"
	panicText         = "p4nic-text-0123456789abcdef"
	proxyPassword     = "pr0xy-password-0123456789abcdef"
	label             = "Ada Lovelace 0123456789"

	// The texts that must be found in the outputs.
	controlName    = "control-name-0123456789"
	controlMessage = "control-message-0123456789"
)

// The outputs to search.
const (
	inJSONLog = "the log in JSON"
	inTextLog = "the log in text"
	inAudit   = "the audit"
	inStatus  = "statuses over gRPC"
	inBody    = "answers over REST"
	inAdmin   = "the admin pages"
	inMetrics = "the metrics"
	inTraces  = "the traces"
	inErrors  = "errors of the start"
)

// secretsTest is a world whose calls and files fail in many ways, with the outputs to
// search for secrets.
type secretsTest struct {
	*world
	outputs
	textLog *logged
	traces  *logged
	secrets []secret
	good    []caller
}

func newSecretsTest(t *testing.T) *secretsTest {
	t.Helper()
	t.Setenv(keySecretVariable, keySecret)
	b := &secretsTest{outputs: outputs{}, textLog: new(logged), traces: collectTraces(t)}
	tracing, err := telemetry.NewTracing(t.Context(), "test", slog.New(slog.DiscardHandler))
	if err != nil || tracing == nil {
		t.Fatalf("no traces: %v", err)
	}
	b.world = start(t, func(s *setup) {
		s.texts[accountsFile] = strings.Replace(s.texts[accountsFile], "{file: "+otherKeyFile+"}", "{env: "+keySecretVariable+"}", 1)
		s.texts[tokensFile] = tokensText(controlName, expiredName) // expiredName is removed below.
		s.Upstream = twilio.Config{Proxy: failingProxy}
		s.Tracing = tracing
		s.tee = panickingLog{slog.NewTextHandler(b.textLog, &slog.HandlerOptions{Level: slog.LevelDebug})}
	})
	b.up.accepted[otherSID] = []string{otherKeySID + ":" + keySecret}
	b.put(t, map[string]string{tokensFile: tokensText(controlName) + strings.Replace(
		tokenEntry(expiredName, tokenOf(expiredName)), "}", `, expires: "2024-02-29T12:00:00Z"}`, 1)})
	b.Reload()
	b.good = []caller{withToken(controlName), b.withJWT(t, controlName), b.withCertificate(t, controlName)}
	b.listSecrets(t)
	return b
}

// collectTraces collects the exported OTLP messages, which contain texts unencoded.
func collectTraces(t *testing.T) *logged {
	t.Helper()
	traces := new(logged)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Encoding") != "" {
			t.Error("the traces are compressed, so they cannot be searched")
		}
		_, _ = io.Copy(traces, r.Body)
	}))
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	return traces
}

// failingProxy is a proxy function that fails with errors that contain secrets, for
// some participants.
func failingProxy(r *http.Request) (*url.URL, error) {
	switch {
	case strings.Contains(r.URL.Path, "panic"):
		panic(panicText + r.Header.Get("Authorization"))
	case strings.Contains(r.URL.Path, "error"):
		return nil, errors.New("no proxy http://user:" + proxyPassword + "@proxy.example")
	case strings.Contains(r.URL.Path, "unreachable"):
		return url.Parse("http://user:" + proxyPassword + "@127.0.0.1:1")
	}
	return nil, nil
}

// panickingLog is a log handler that panics for the calls of one participant, outside
// the delivery.
type panickingLog struct{ slog.Handler }

// Handle implements slog.Handler.
func (l panickingLog) Handle(ctx context.Context, record slog.Record) error {
	record.Attrs(func(a slog.Attr) bool {
		if a.Value.String() == sandbox.ConnectingSID {
			panic(panicText)
		}
		return true
	})
	return l.Handler.Handle(ctx, record)
}

// listSecrets sets the secrets. Answers may contain the label that the caller sent.
func (b *secretsTest) listSecrets(t *testing.T) {
	t.Helper()
	own := []string{inStatus, inBody}
	b.secrets = []secret{
		{"the auth token", mainToken, nil}, {"the API key's secret", keySecret, nil},
		{"a valid token", tokenOf(controlName), nil}, {"an expired token", tokenOf(expiredName), nil},
		{"a wrong token", wrongToken, nil}, {"a malformed token", garbageToken, nil},
		{"a basic password", basicPassword, nil}, {"the password of a URL", urlPassword, nil},
		{"a text of a body", bodyText, nil}, {"the text of a panic", panicText, nil},
		{"the password of a proxy", proxyPassword, nil}, {"a label", label, own},
	}
	for _, line := range strings.Split(b.texts[keyFile], "\n")[1:3] {
		b.secrets = append(b.secrets, secret{"the server's key", line, nil})
	}
	for _, c := range append(b.invalidJWTs(t, controlName), b.good[1]) {
		for _, part := range strings.Split(strings.TrimPrefix(c.authorization[0], "Bearer "), ".")[1:] {
			if len(part) > len("AAAA") {
				b.secrets = append(b.secrets, secret{"a part of " + c.name, part, nil})
			}
		}
	}
}

// record adds an answer to the outputs.
func (b *secretsTest) record(got reply) {
	where := inStatus
	if got.code != 0 {
		where = inBody
		b.add(where, "%d %s", got.code, got.body)
	}
	for name, values := range got.header {
		b.add(where, "%s: %q", name, values)
	}
	if got.status != nil {
		b.add(where, "%s\n%s", got.status, prototext.Format(got.status))
	}
	if got.err != nil {
		b.add(where, "%v", got.err)
	}
}

func (b *secretsTest) call(t *testing.T, via protocol, c caller, message *request) {
	t.Helper()
	// The timeout is long, and ends only calls that hang.
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if strings.HasPrefix(message.GetCallSid(), "fault:hang") {
		ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
	}
	b.record(via.call(ctx, b.client(c.certificate), c.authorization, message))
}

// TestNoSecretIsWritten makes calls and files fail in every way, and then searches
// all outputs for each secret.
func TestNoSecretIsWritten(t *testing.T) {
	b := newSecretsTest(t)
	for _, via := range protocols {
		b.tryCallers(t, via)
		b.tryMessages(t, via)
		b.tryEchoes(t, via)
	}
	b.tryMalformed(t)
	b.tryFiles(t)
	for _, path := range []string{"/livez", "/readyz", "/healthz", "/" + wrongToken} {
		b.add(inAdmin, "%s", b.adminPage(t, path))
	}
	b.add(inMetrics, "%s", b.adminPage(t, "/metrics"))
	b.add(inAdmin, "%s", b.adminPage(t, "/debug/pprof/goroutine?debug=2"))
	b.end(t)
	b.add(inTraces, "%s", b.traces)
	b.add(inJSONLog, "%s", b.log)
	b.add(inTextLog, "%s", b.textLog)
	b.add(inAudit, "%s", read(t, b.auditPath))
	b.check(t, b.secrets, map[string]string{
		inJSONLog: controlName, inTextLog: controlName, inAudit: controlName,
		inStatus: controlMessage, inBody: controlMessage, inAdmin: b.dir, inErrors: b.dir,
		inMetrics: "conferenced_call_errors_total", inTraces: sandbox.AgentSID,
	})
}

// tryCallers makes calls with all kinds of credentials.
func (b *secretsTest) tryCallers(t *testing.T, via protocol) {
	t.Helper()
	bad := append(b.unknownCallers(t, controlName), b.refusedCertificates(t, controlName)...)
	for _, value := range []string{
		bearer(wrongToken), bearer(garbageToken), wrongToken, garbageToken, "Digest username=" + wrongToken,
		"Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+basicPassword)), bearer(strings.Repeat(wrongToken, 100)),
	} {
		bad = append(bad, caller{name: "of a value", authorization: []string{value}})
	}
	for _, c := range append(bad, b.good...) {
		b.call(t, via, c, muting(""))
	}
}

// tryMessages makes calls that are invalid, that Twilio refuses, and that do not
// reach Twilio.
func (b *secretsTest) tryMessages(t *testing.T, via protocol) {
	t.Helper()
	const dangerous = "https://user:" + urlPassword + "@a.example/h?token=" + bodyText
	urls := &request{HoldUrl: proto.String(dangerous), WaitUrl: proto.String(dangerous), AnnounceUrl: proto.String(dangerous)}
	messages := []*request{
		muting(otherSID), muting(unknownSID), muting("AC" + bodyText), to("", urls), to(otherSID, urls), to("", new(request)),
		{ConferenceSid: bodyText, CallSid: sandbox.AgentSID, Muted: proto.Bool(true)},
		{ConferenceSid: sandbox.ConferenceSID, CallSid: strings.Repeat(bodyText, 10), Muted: proto.Bool(true)},
		to("", &request{HoldUrl: proto.String("ftp://user:" + urlPassword + "@a.example/")}),
		to("", &request{HoldUrl: proto.String("//user:" + urlPassword + "@a.example/ " + bodyText)}),
		to("", &request{CallSidToCoach: proto.String(bodyText)}),
		to("", &request{RequestId: bodyText, Muted: proto.Bool(true)}),
		to("", &request{CallSid: label, Muted: proto.Bool(true)}),
		to("", &request{CallSid: sandbox.ConnectingSID, Muted: proto.Bool(true)}),
		to(otherSID, &request{CallSid: label, HoldUrl: proto.String(dangerous)}),
	}
	for _, kind := range []string{
		"429", "503", "500-after", "hang", "reset", "reset-after", "html", "truncated", "401", "conflict", "panic", "error", "unreachable",
	} {
		messages = append(messages, to("", &request{CallSid: "fault:" + kind, HoldUrl: proto.String(dangerous)}),
			to(otherSID, &request{CallSid: "fault:" + kind, AnnounceUrl: proto.String(dangerous)}))
	}
	for _, message := range messages {
		b.call(t, via, b.good[0], message)
	}
}

// tryEchoes makes Twilio repeat the request in every part of its answer.
func (b *secretsTest) tryEchoes(t *testing.T, via protocol) {
	t.Helper()
	defer b.up.setHook(nil)
	for _, code := range []int{200, 204, 302, 400, 401, 403, 404, 409, 418, 429, 500, 503} {
		for _, body := range []string{
			`{"code": 20001, "message": "%[2]s: %[1]s", "more_info": "https://a.example/%[1]s"}`,
			`{"code": "%[1]s", "message": ["%[1]s"], "more_info": "https://%[1]s@a.example/", "status": "%[1]s"}`,
			`<TwilioResponse><RestException><Code>20001</Code><Message>%[2]s: %[1]s</Message><MoreInfo>%[1]s</MoreInfo></RestException></TwilioResponse>`,
			`<html>%[2]s: %[1]s</html>`, `{"account_sid": "%[1]s", "date_created": "%[1]s", "status": "%[1]s"`,
		} {
			b.up.setHook(echoing(code, body))
			for _, account := range []string{mainSID, otherSID} {
				b.call(t, via, b.good[0], to(account, &request{CallSid: label, AnnounceUrl: proto.String("https://user:" + urlPassword + "@a.example/")}))
			}
		}
	}
	for _, code := range []string{"", "HTTP/1.1 ", "HTTP/1.1 200 OK\r\nContent-Length: ", "HTTP/1.1 200 OK\r\n"} {
		b.up.setHook(malformed(code))
		b.call(t, via, b.good[0], muting(""))
	}
}

// echo returns the request as text, credentials first.
func echo(r *http.Request) string {
	user, password, _ := r.BasicAuth()
	form, _ := io.ReadAll(r.Body)
	query, _ := url.QueryUnescape(string(form))
	return strings.Join([]string{r.Header.Get("Authorization"), user + ":" + password, password, query}, " ")
}

// malformed answers with bytes that are not HTTP.
func malformed(begin string) hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		text := echo(r)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, begin+text+"\r\n\r\n") // The service is there until the end.
		return true
	}
}

func echoing(code int, format string) hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		text, header := echo(r), w.Header()
		for _, name := range []string{"Twilio-Request-Id", "Retry-After", "X-Echo", "Set-Cookie", "Www-Authenticate"} {
			header.Set(name, text)
		}
		header.Set("Location", "https://user:"+urlPassword+"@a.example/"+text)
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, format, escaped(format, text), controlMessage) // The service is there until the end.
		return true
	}
}

// escaped encodes the text for a body of that format.
func escaped(format, text string) string {
	if strings.HasPrefix(format, "<") {
		return html.EscapeString(text)
	}
	return inJSON(text)
}

// tryMalformed sends requests that are not calls.
func (b *secretsTest) tryMalformed(t *testing.T) {
	t.Helper()
	c, path := b.client(nil), restPath(muting(""))
	for _, body := range []string{
		`{"muted": "` + bodyText + `"}`, `{"muted": true} ` + bodyText, bodyText, `{"muted": tr` + bodyText, `{"hold_url": {"a": "` + bodyText + `"}}`,
		`{"hold_method": "` + bodyText + `"}`, `["` + bodyText + `"]`, "\xff" + bodyText, `{"muted": true, "muted": "` + bodyText + `"}`,
		strings.Repeat(bodyText, 4000),
	} {
		b.record(send(t.Context(), c, path, body, http.Header{"Authorization": {bearer(tokenOf(controlName))}}))
	}
	for _, path := range []string{
		path + "?token=" + bodyText, "/v1/" + bodyText, "/v1/conferences/" + bodyText + "/participants/" + bodyText, "/" + bodyText + "%2F", "/docs/" + bodyText,
	} {
		b.record(send(t.Context(), c, path, `{"muted": true}`, http.Header{"Authorization": {bearer(wrongToken)}}))
	}
	for _, header := range []http.Header{
		{"Idempotency-Key": {bodyText}}, {"Grpc-Timeout": {bodyText}}, {"Traceparent": {bodyText}}, {"Origin": {"https://" + bodyText}},
		{"Cookie": {wrongToken}, "X-Api-Key": {wrongToken}}, {"Authorization": {"Bearer \x80" + wrongToken}},
	} {
		b.record(send(t.Context(), c, path, `{"muted": true}`, header))
	}
	b.tryBytes(t)
	b.tryUnreadable(t)
}

// tryBytes sends bytes that are neither HTTP nor gRPC to each listener.
func (b *secretsTest) tryBytes(t *testing.T) {
	t.Helper()
	for _, protocol := range []string{"h2", "http/1.1"} {
		for _, addr := range []string{b.GRPC.String(), b.HTTP.String()} {
			for _, text := range []string{
				"PATCH / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + wrongToken + "\x01\r\n\r\n",
				"PATCH / HTTP/1.1\r\nHost: x\r\n" + wrongToken + "\r\n\r\n",
				"GET /" + wrongToken + " " + wrongToken + "\r\n\r\n",
				"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + wrongToken,
				"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + strings.Repeat(wrongToken, 2000) + "\r\n\r\n",
			} {
				b.tryText(t, addr, protocol, text)
			}
		}
	}
}

func (b *secretsTest) tryText(t *testing.T, addr, protocol, text string) {
	t.Helper()
	config := b.tlsConfig(nil)
	config.NextProtos = []string{protocol}
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil { // The gRPC listener requires its ALPN protocol.
		b.add(inBody, "%v", err)
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(text)) // The service may close the connection at any time.
	_ = conn.CloseWrite()
	answer, _ := io.ReadAll(conn)
	b.add(inBody, "%s", answer)
}

// tryUnreadable sends gRPC messages that cannot be decoded.
func (b *secretsTest) tryUnreadable(t *testing.T) {
	t.Helper()
	for _, authorization := range []string{bearer(tokenOf(controlName)), bearer(wrongToken)} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", authorization, "x-secret", wrongToken, "secret-bin", wrongToken)
		for _, message := range []string{"\x12\xff" + bodyText, "\x12\x04\xff\xfe\xfd\xfc" + bodyText, bodyText, strings.Repeat(bodyText, 3000)} {
			err := b.client(nil).conn.Invoke(ctx, updateMethod, []byte(message), new([]byte), grpc.ForceCodecV2(rawBytes{}))
			b.add(inStatus, "%v", err)
		}
	}
}

// rawBytes is a codec that sends bytes unchanged.
type rawBytes struct{}

func (rawBytes) Name() string { return "proto" }

func (rawBytes) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawBytes) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = bytes.Clone(data.Materialize())
	return nil
}

// tryFiles misplaces secrets in every file, at the start and at a reload.
func (b *secretsTest) tryFiles(t *testing.T) {
	t.Helper()
	good := maps.Clone(b.texts)
	for _, name := range slices.Sorted(maps.Keys(b.misplaced(t))) {
		for _, text := range b.misplaced(t)[name] {
			b.put(t, map[string]string{name: text})
			b.Reload()
			b.add(inAdmin, "%s\n%s", b.adminPage(t, "/readyz"), b.adminPage(t, "/healthz"))
			if _, err := settings.NewLive(b.files(), settings.Base{}, slog.New(slog.DiscardHandler)); err != nil {
				b.add(inErrors, "%v", err)
			} else {
				t.Errorf("%s is accepted:\n%s", name, text)
			}
		}
		b.put(t, good)
	}
}

// misplaced returns invalid texts of each file that contain secrets.
func (b *secretsTest) misplaced(t *testing.T) map[string][]string {
	t.Helper()
	key := certtest.KeyPEM(t, b.serverCA) // Each of its lines is listed as a secret.
	for _, line := range strings.Split(key, "\n")[1:3] {
		b.secrets = append(b.secrets, secret{"a misplaced key", line, nil})
	}
	account := func(text string) string { return "accounts:\n  - sid: " + mainSID + "\n    " + text + "\n" }
	accounts := []string{
		account("auth_token: " + mainToken), account("auth_token: {env: " + mainToken + "}"), account("auth_token: {file: " + mainToken + "}"),
		account("auth_token: {file: /run/" + mainToken + "}"), account("auth_token: [" + mainToken), account("auth_token: *" + mainToken),
		account("auth_token: {text: " + mainToken + "}"), account(mainToken + ": auth_token"), account("auth_token: {" + mainToken + ": env}"),
		account("api_key: {sid: " + mainToken + ", secret: {env: " + keySecretVariable + "}}"), account("api_key: " + mainToken),
		account("auth_token: {file: " + mainTokenFile + "}\n    base_url: https://user:" + urlPassword + "@a.example"),
		account("auth_token: {file: " + mainTokenFile + "}\n    region: " + mainToken), account("auth_token: {file: " + mainTokenFile + "}\n    edge: " + mainToken),
		account("auth_token: {file: " + mainTokenFile + "}\n    subaccounts: [" + mainToken + "]"),
		"default: " + mainToken + "\n" + account("auth_token: {file: "+mainTokenFile+"}"), mainToken, "accounts: " + mainToken, "accounts: [" + mainToken + "]",
		"accounts:\n\t- " + mainToken, "accounts: !" + mainToken + " x", "accounts: \"" + mainToken,
	}
	tokens := []string{
		"tokens: [{name: ui, sha256: " + wrongToken + "}]", "tokens: [{name: \"" + garbageToken + "\", sha256: x}]", "tokens: [" + wrongToken + "]",
		"tokens: [{name: ui, token: " + wrongToken + "}]", "tokens: [{" + wrongToken + ": x}]", "tokens: " + wrongToken, wrongToken + ": x",
		"tokens: [{name: ui, sha256: x, expires: " + wrongToken + "}]", "tokens: [*" + wrongToken, "tokens: \"" + wrongToken, "tokens: !" + wrongToken + " x",
	}
	policy := []string{
		"rules: " + wrongToken, "rules: [{" + wrongToken + ": x}]", "rules: [{callers: [{token: " + wrongToken + "}], accounts: [" + mainToken + "], properties: [" + wrongToken + "]}]",
		"rules: [{callers: [" + wrongToken + "], accounts: [\"*\"], properties: [\"*\"]}]", "rules: \"" + wrongToken, "rules: *" + wrongToken,
		"rules: [{callers: [{anonymous: " + wrongToken + "}], accounts: [\"*\"], properties: [\"*\"]}]",
	}
	return map[string][]string{
		accountsFile: accounts, tokensFile: tokens, policyFile: policy,
		mainTokenFile: {mainToken + " " + mainToken, mainToken + "\u00e9", "\n" + mainToken},
		certFile:      {key, mainToken, strings.Replace(b.texts[certFile], "MII", key, 1)},
		keyFile:       {key, mainToken, strings.Replace(key, "\n", " ", 2), key[:len(key)-40]},
		clientCAFile:  {key, mainToken},
	}
}
