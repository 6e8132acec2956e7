package twilio_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"conferenced/service/leaktest"
	"conferenced/service/property"
	"conferenced/service/twilio"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// newClient returns a client whose connections are closed with the test.
func newClient(t testing.TB, cfg twilio.Config) *twilio.Client {
	client := twilio.NewClient(cfg)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func newServer(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// newTLSServer returns a server that also supports HTTP/2, and its CA.
func newTLSServer(t testing.TB, handler http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, roots
}

func testPath(participant string) twilio.Path {
	return twilio.Path{AccountSID: accountSID, ConferenceSID: conferenceSID, Participant: participant}
}

// update makes a request without a permit.
func update(
	ctx context.Context, client *twilio.Client, a twilio.Account, p twilio.Path, u *property.Values,
) (*twilio.Answer, error) {
	return client.Do(ctx, &a, &twilio.Request{Path: p, Change: u}, nil)
}

// mute makes a request that mutes a participant at the base URL.
func mute(ctx context.Context, client *twilio.Client, baseURL string) (*twilio.Answer, error) {
	return update(ctx, client, testAccount(baseURL), testPath(callSID), muting())
}

// as returns err as an E, or fails the test.
func as[E error](t testing.TB, err error) E {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("error %v (%T), want a %T", err, err, e)
	}
	return e
}

// answer returns a handler that answers with that body.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// raw returns a handler that writes those bytes and closes the connection.
func raw(bytes string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, bytes)
			_ = conn.Close()
		}
	}
}

func TestAnswerOverNewAndReusedConnections(t *testing.T) {
	protocols := make(chan string, 2)
	server, roots := newTLSServer(t, func(w http.ResponseWriter, r *http.Request) {
		protocols <- r.Proto
		w.Header().Set("Twilio-Request-Id", requestSID)
		_, _ = io.WriteString(w, connected)
	})
	client := newClient(t, twilio.Config{RootCAs: roots})
	for _, reused := range []bool{false, true} {
		got, err := mute(t.Context(), client, server.URL)
		if err != nil {
			t.Fatal(err)
		}
		want := &twilio.Answer{Participant: *connectedParticipant(), HTTPStatus: 200, RequestID: requestSID, Reused: reused}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if got := <-protocols; got != "HTTP/1.1" {
			t.Errorf("protocol %s", got)
		}
	}
}

// request is what a server received.
type request struct {
	Method, Target, Body string
	Header               http.Header
}

// record returns a server and the channel of its requests.
func record(t testing.TB) (*httptest.Server, <-chan request) {
	requests := make(chan request, 1)
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- request{r.Method, r.RequestURI, string(body), r.Header}
		_, _ = io.WriteString(w, `{"status":"connected"}`)
	})
	return server, requests
}

func TestRequestIsExact(t *testing.T) {
	server, requests := record(t)
	account := testAccount(server.URL)
	account.Username, account.Password = keySID, twilio.NewSecret("key:secret")
	client := newClient(t, twilio.Config{Traceparent: func(context.Context) string { return "00-a-b-01" }})
	change := change(pair{property.Muted, "false"}, pair{property.HoldURL, "https://example.com/a b"}, pair{property.HoldMethod, "GET"}, pair{property.WaitURL, ""})
	if _, err := update(t.Context(), client, account, testPath("front desk"), change); err != nil {
		t.Fatal(err)
	}
	want := request{
		Method: "POST",
		Target: "/2010-04-01/Accounts/" + accountSID + "/Conferences/" + conferenceSID + "/Participants/front%20desk.json",
		Body:   "Muted=false&HoldUrl=https%3A%2F%2Fexample.com%2Fa+b&HoldMethod=GET&WaitUrl=",
		Header: http.Header{
			"Accept":         {"application/json"},
			"Authorization":  {"Basic U0swMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTprZXk6c2VjcmV0"},
			"Content-Length": {"75"},
			"Content-Type":   {"application/x-www-form-urlencoded"},
			"Traceparent":    {"00-a-b-01"},
			"User-Agent":     {"conferenced"},
		},
	}
	if diff := cmp.Diff(want, <-requests); diff != "" {
		t.Error(diff)
	}
}

func TestInvalidArguments(t *testing.T) {
	good := testAccount("http://127.0.0.1:1")
	tests := []struct {
		name    string
		account twilio.Account
		path    twilio.Path
	}{
		{"no participant", good, testPath("")},
		{"no account", good, twilio.Path{ConferenceSID: conferenceSID, Participant: "a"}},
		{"a path of another account", good, twilio.Path{AccountSID: otherSID, ConferenceSID: conferenceSID, Participant: "a"}},
		{"no conference", good, twilio.Path{AccountSID: accountSID, Participant: "a"}},
		{"two dots for a conference", good, twilio.Path{AccountSID: accountSID, ConferenceSID: "..", Participant: "a"}},
		{"no base URL", testAccount(""), testPath("a")},
		{"a base URL with a path", testAccount("http://127.0.0.1:1/x"), testPath("a")},
		{"a base URL with a password", testAccount("http://a:test-token@127.0.0.1:1"), testPath("a")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := update(t.Context(), newClient(t, twilio.Config{}), tt.account, tt.path, change())
			if refused := as[*twilio.RequestError](t, err); strings.Contains(refused.Error(), "test-token") {
				t.Error(refused)
			}
		})
	}
}

func TestErrorAnswers(t *testing.T) {
	long := `{"code":20404,"message":"` + strings.Repeat("a", 2<<20) + `"}`
	tests := []struct {
		name   string
		status int
		body   string
		want   twilio.Error
		text   string
	}{
		{"Twilio's JSON", 404, `{"code":20404,"message":"not found","more_info":"https://www.twilio.com/docs/errors/20404","status":404}`,
			twilio.Error{Code: 20404, Message: "not found", MoreInfo: "https://www.twilio.com/docs/errors/20404"}, "twilio: answer 404, code 20404"},
		{"XML", 404, "<TwilioResponse><RestException><Code>20404</Code></RestException></TwilioResponse>", twilio.Error{Code: 20404}, "twilio: answer 404, code 20404"},
		{"HTML", 502, "<html><body>Bad Gateway</body></html>", twilio.Error{}, "twilio: answer 502"},
		{"plain text", 503, "upstream connect error", twilio.Error{}, "twilio: answer 503"},
		{"nothing", 500, "", twilio.Error{}, "twilio: answer 500"},
		{"cut JSON", 500, `{"code":20500`, twilio.Error{}, "twilio: answer 500"},
		{"a body over the limit", 500, long, twilio.Error{}, "twilio: answer 500"},
		{"a participant", 400, connected, twilio.Error{}, "twilio: answer 400"},
		{"the largest status", 599, "", twilio.Error{}, "twilio: answer 599"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mute(t.Context(), newClient(t, twilio.Config{}), newServer(t, answer(tt.status, tt.body)).URL)
			got := as[*twilio.Error](t, err)
			tt.want.HTTPStatus = tt.status
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
			if got.Error() != tt.text {
				t.Errorf("text %q, want %q", got, tt.text)
			}
		})
	}
}

func TestErrorHeaders(t *testing.T) {
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Twilio-Request-Id", requestSID)
		w.Header().Set("Retry-After", "Sun, 01 Mar 2026 15:00:09 GMT")
		w.Header().Set("Twilio-Concurrent-Requests", "12")
		w.Header().Set("Date", "Sun, 01 Mar 2026 15:00:00 GMT")
		w.WriteHeader(429)
	})
	_, err := mute(t.Context(), newClient(t, twilio.Config{}), server.URL)
	want := &twilio.Error{
		HTTPStatus: 429, RequestID: requestSID, RetryAfter: 9 * time.Second, HasRetryAfter: true, Concurrent: 12,
	}
	if diff := cmp.Diff(want, as[*twilio.Error](t, err)); diff != "" {
		t.Error(diff)
	}
	if want := "twilio: answer 429 (request " + requestSID + ")"; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
}

func TestUnusableAnswers(t *testing.T) {
	var arrivals atomic.Int32
	target := newServer(t, func(http.ResponseWriter, *http.Request) { arrivals.Add(1) })
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL+"/?password=secret", http.StatusTemporaryRedirect)
	}
	tests := []struct {
		name   string
		handle http.HandlerFunc
		text   string
	}{
		{"an empty object", answer(200, "{}"), "200: body describes no participant"},
		{"null", answer(200, "null"), "200: body describes no participant"},
		{"nothing", answer(200, ""), "200: body describes no participant"},
		{"no content", answer(204, ""), "204: body describes no participant"},
		{"HTML", answer(200, "<html></html>"), "200: body describes no participant"},
		{"an error's body", answer(200, `{"code":20500,"message":"secret"}`), "200: body describes no participant"},
		{"a body over the limit", answer(200, connected+strings.Repeat(" ", 1<<20)), "200: body cannot be read"},
		{"a truncated body", raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"), "200: body cannot be read"},
		{"not modified", answer(304, ""), "304: redirect not followed"},
		{"a redirect", redirect, "307: redirect not followed"},
		{"a status above 599", answer(600, connected), "600: unexpected status"},
		{"a status below 100", raw("HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n"), "99: unexpected status"},
		{"a change of protocol", raw("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "101: unexpected status"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mute(t.Context(), newClient(t, twilio.Config{}), newServer(t, tt.handle).URL)
			got := as[*twilio.AnswerError](t, err)
			if want := "twilio: answer " + tt.text; got.Error() != want || got.Foreign {
				t.Errorf("text %q, want %q; foreign: %v", got, want, got.Foreign)
			}
		})
	}
	if arrivals.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// TestForeignAnswers makes two requests, and checks whether the answers count as
// being about another participant, and whether the connection is then closed.
func TestForeignAnswers(t *testing.T) {
	const otherCall, otherConference = "CA00000000000000000000000000000002", "CF00000000000000000000000000000002"
	mixed := strings.NewReplacer("CA", "cA", "CF", "cf", "AC", "aC")
	tests := []struct {
		name, participant, body string
		foreign                 bool
	}{
		{"the same participant", callSID, connected, false},
		{"the same participant in another case", callSID, mixed.Replace(connected), false},
		{"the same participant with a label", callSID, `{"call_sid":"` + callSID + `","label":"desk"}`, false},
		{"no SIDs", callSID, `{"status":"connected"}`, false},
		{"nulls", callSID, `{"status":"connected","account_sid":null,"conference_sid":null,"call_sid":null,"label":null}`, false},
		{"another account", callSID, `{"status":"connected","account_sid":"` + otherSID + `"}`, true},
		{"another conference", callSID, `{"status":"connected","conference_sid":"` + otherConference + `"}`, true},
		{"another call", callSID, `{"call_sid":"` + otherCall + `"}`, true},
		{"a label as the Call SID", callSID, `{"status":"connected","call_sid":"desk"}`, true},
		{"by label", "front desk", `{"call_sid":"` + otherCall + `","label":"front desk"}`, false},
		{"by label, without one", "front desk", `{"call_sid":"` + otherCall + `","label":null}`, false},
		{"by label, with an empty one", "front desk", `{"call_sid":"` + otherCall + `","label":""}`, false},
		{"by label, another one", "front desk", `{"call_sid":"` + otherCall + `","label":"back desk"}`, true},
		{"by label, in another conference", "front desk", `{"label":"front desk","status":"connected","conference_sid":"` + otherConference + `"}`, true},
		{"by something like a Call SID", callSID[:33], `{"call_sid":"` + otherCall + `"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			connections := make(chan string, 2)
			server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				connections <- r.RemoteAddr
				w.Header().Set("Twilio-Request-Id", requestSID)
				_, _ = io.WriteString(w, tt.body)
			})
			client := newClient(t, twilio.Config{})
			for range 2 {
				_, err := update(t.Context(), client, testAccount(server.URL), testPath(tt.participant), muting())
				if !tt.foreign {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				want := &twilio.AnswerError{HTTPStatus: 200, RequestID: requestSID, Foreign: true, Reason: "body answers another request"}
				if diff := cmp.Diff(want, as[*twilio.AnswerError](t, err)); diff != "" {
					t.Error(diff)
				}
			}
			if first, second := <-connections, <-connections; (first != second) != tt.foreign {
				t.Errorf("connections from %s and %s", first, second)
			}
		})
	}
}

func TestUsableConnectionsAreReused(t *testing.T) {
	bodies := []http.HandlerFunc{
		answer(200, connected), answer(404, `{"code":20404}`), answer(502, "<html></html>"), answer(500, ""),
		answer(204, ""), answer(200, "{}"), answer(302, "moved"),
	}
	calls, connections := 0, map[string]bool{}
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		connections[r.RemoteAddr] = true
		bodies[calls%len(bodies)](w, r)
		calls++
	})
	client := newClient(t, twilio.Config{})
	for range 3 * len(bodies) {
		_, _ = mute(t.Context(), client, server.URL)
	}
	if calls != 3*len(bodies) || len(connections) != 1 {
		t.Errorf("%d calls over %d connections", calls, len(connections))
	}
}

// TestAnswerDoesNotShareMemoryWithItsConnection checks that later answers on the same
// connection do not change an answer.
func TestAnswerDoesNotShareMemoryWithItsConnection(t *testing.T) {
	bodies := make(chan string, 1)
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, <-bodies) })
	client := newClient(t, twilio.Config{})
	bodies <- connected
	first, err := mute(t.Context(), client, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	bodies <- strings.ReplaceAll(connected, "2011", "2012")
	if _, err := mute(t.Context(), client, server.URL); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*connectedParticipant(), first.Participant); diff != "" {
		t.Error(diff)
	}
}

func TestPermit(t *testing.T) {
	var arrivals atomic.Int32
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) { arrivals.Add(1); _, _ = io.WriteString(w, connected) })
	client := newClient(t, twilio.Config{})
	account, path := testAccount(server.URL), testPath(callSID)
	for _, refusal := range []error{errors.New("another replica has the queue"), nil} {
		_, err := client.Do(t.Context(), &account, &twilio.Request{Path: path, Change: change()}, func() error { return refusal })
		if refusal == nil && err != nil {
			t.Error(err)
		}
		if refusal != nil {
			if got := as[*twilio.TransportError](t, err); got.Sent || !errors.Is(err, refusal) || arrivals.Load() != 0 {
				t.Errorf("%+v, %d requests arrived", got, arrivals.Load())
			}
		}
	}
}

// TestTransportErrors checks the fields and the text of the error, that it contains
// no credential, and that the client's own timeouts do not look like the caller's.
func TestTransportErrors(t *testing.T) {
	untrusted, _ := newTLSServer(t, answer(200, connected))
	plain := newServer(t, answer(200, connected))
	silent := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	closed := httptest.NewServer(nil)
	closed.Close()
	refusing := &url.URL{Scheme: "http", Host: closed.Listener.Addr().String(), User: url.UserPassword("u", "secret")}
	badProxy := func(*http.Request) (*url.URL, error) { return nil, errors.New("bad URL http://u:secret@proxy") }
	tests := []struct {
		name, baseURL string
		cfg           twilio.Config
		sent          bool
		text          string
	}{
		{"connection refused", closed.URL, twilio.Config{}, false, "connection refused"},
		{"no such name", "http://" + strings.Repeat("a", 64), twilio.Config{}, false, "name lookup failed"},
		{"a certificate that is not trusted", untrusted.URL, twilio.Config{}, false, "certificate not trusted"},
		{"no TLS", strings.Replace(plain.URL, "http", "https", 1), twilio.Config{}, false, "TLS handshake failed"},
		{"a proxy that refuses connections", "https://api.example", twilio.Config{Proxy: http.ProxyURL(refusing)}, false, "no connection through the proxy"},
		{"an unusable proxy setting", "https://api.example", twilio.Config{Proxy: badProxy}, false, "proxy setting not usable"},
		{"a close", newServer(t, raw("")).URL, twilio.Config{}, true, "connection closed"},
		{"a truncated header", newServer(t, raw("HTTP/1.1 200 OK\r\nA: b")).URL, twilio.Config{}, true, "connection closed"},
		{"another protocol", newServer(t, raw("220 smtp.example\r\n")).URL, twilio.Config{}, true, "the response is not HTTP"},
		{"an endless header", newServer(t, raw("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("a", 1<<20))).URL, twilio.Config{}, true, "the response is larger than the limit"},
		{"no answer in time", silent.URL, twilio.Config{AnswerTimeout: 50 * time.Millisecond}, true, "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mute(t.Context(), newClient(t, tt.cfg), tt.baseURL)
			got := as[*twilio.TransportError](t, err)
			want := map[bool]string{true: "twilio: no answer: ", false: "twilio: request not sent: "}[tt.sent] + tt.text
			if got.Sent != tt.sent || got.Error() != want {
				t.Errorf("sent %v, text %q, want %q; cause %v", got.Sent, got, want, got.Err)
			}
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v looks like the end of the caller's context", got.Err)
			}
			if tt.text == "timeout" && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("cause %v", got.Err)
			}
			if strings.Contains(got.Err.Error(), "secret") {
				t.Errorf("the cause shows a password: %v", got.Err)
			}
		})
	}
}

func TestContextEndsARequest(t *testing.T) {
	arrived := make(chan struct{}, 1)
	server := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	past, cancelPast := context.WithTimeout(t.Context(), -1)
	defer cancelPast()
	cancelled, cancel := context.WithCancel(t.Context())
	cause := errors.New("the grace period has ended")
	caused, cancelCause := context.WithCancelCause(t.Context())
	go func() { <-arrived; cancel(); <-arrived; cancelCause(cause) }()
	tests := []struct {
		name string
		ctx  context.Context
		sent bool
		want error
		text string
	}{
		{"before the request", past, false, context.DeadlineExceeded, "context deadline exceeded"},
		{"while it waits", cancelled, true, context.Canceled, "context canceled"},
		{"with a cause", caused, true, cause, "connection failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mute(tt.ctx, newClient(t, twilio.Config{}), server.URL)
			got := as[*twilio.TransportError](t, err)
			if got.Sent != tt.sent || !errors.Is(err, tt.want) || !strings.HasSuffix(err.Error(), ": "+tt.text) {
				t.Errorf("sent %v, %v, cause %v", got.Sent, got, got.Err)
			}
		})
	}
}

func TestErrorTextsContainNoCredentialURLOrLabel(t *testing.T) {
	reflect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Twilio-Request-Id", r.Header.Get("Authorization"))
			w.Header().Set("Location", r.URL.String())
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"message":%q,"more_info":%q}`, r.Header.Get("Authorization")+" test-token "+r.RequestURI, "https://x/?"+r.RequestURI)
		}
	}
	noHTTP := func(w http.ResponseWriter, r *http.Request) {
		raw(r.Header.Get("Authorization")+r.RequestURI+"\r\n\r\n")(w, r)
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, baseURL := range map[string]string{
		"an error":        newServer(t, reflect(400)).URL,
		"a redirect":      newServer(t, reflect(302)).URL,
		"no participant":  newServer(t, reflect(200)).URL,
		"another label":   newServer(t, answer(200, `{"status":"connected","label":"jane-doe 2"}`)).URL,
		"no connection":   closed.URL,
		"not even a host": "http://" + accountSID + ":test-token@jane-doe/",
		"no HTTP":         newServer(t, noHTTP).URL,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := update(t.Context(), newClient(t, twilio.Config{}), testAccount(baseURL), testPath("jane-doe"), everything())
			if err == nil {
				t.Fatal("no error")
			}
			for _, private := range []string{"test-token", "Basic", "QUMw", "jane-doe", "://", "2010-04-01", accountSID} {
				if strings.Contains(err.Error(), private) {
					t.Errorf("%q shows %q", err, private)
				}
			}
			if answered, ok := errors.AsType[*twilio.Error](err); ok && (strings.Contains(answered.Message, "test-token") || strings.Contains(answered.Message, "QUMw")) {
				t.Errorf("the message shows a credential: %q", answered.Message)
			}
		})
	}
}

func BenchmarkUpdateParticipant(b *testing.B) {
	server := newServer(b, answer(200, connected))
	client := newClient(b, twilio.Config{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mute(b.Context(), client, server.URL); err != nil {
			b.Fatal(err)
		}
	}
}
