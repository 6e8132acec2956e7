package twilio_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"conferenced/service/twilio"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func testPath(participant string) twilio.ParticipantPath {
	return twilio.ParticipantPath{AccountSID: accountSID, ConferenceSID: conferenceSID, Participant: participant}
}

// mute makes a call that mutes a participant at the base URL.
func mute(ctx context.Context, client *twilio.Client, baseURL string) (*twilio.Answer, error) {
	return update(ctx, client, testAccount(baseURL), testPath(callSID), &twilio.ParticipantUpdate{Muted: new(true)})
}

// update makes a call and waits for its answer.
func update(
	ctx context.Context, client *twilio.Client, a twilio.Account, p twilio.ParticipantPath, u *twilio.ParticipantUpdate,
) (*twilio.Answer, error) {
	pending, err := client.Send(ctx, &a, &p, u)
	if err != nil {
		return nil, err
	}
	defer pending.Close()
	return pending.Answer()
}

// as returns err as an E, or fails the test.
func as[E error](t testing.TB, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
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

func TestUpdateParticipantReturnsTwiliosAnswer(t *testing.T) {
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Twilio-Request-Id", requestSID)
		_, _ = io.WriteString(w, connected)
	})
	client := newClient(t, twilio.Config{})
	for _, reused := range []bool{false, true} {
		got, err := mute(t.Context(), client, server.URL)
		if err != nil {
			t.Fatal(err)
		}
		want := &twilio.Answer{Participant: *connectedParticipant(), HTTPStatus: 200, RequestID: requestSID, Reused: reused}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
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
		_, _ = io.WriteString(w, connected)
	})
	return server, requests
}

func TestTheWholeRequest(t *testing.T) {
	server, requests := record(t)
	account := testAccount(server.URL)
	account.Username, account.Password = keySID, twilio.NewSecret("key:secret")
	change := &twilio.ParticipantUpdate{Muted: new(false), HoldURL: new("https://example.com/a b"), HoldMethod: "GET", WaitURL: new("")}
	if _, err := update(t.Context(), newClient(t, twilio.Config{}), account, testPath("front desk"), change); err != nil {
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
			"User-Agent":     {"conferenced"},
		},
	}
	if diff := cmp.Diff(want, <-requests); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptyUpdateHasAnEmptyBody(t *testing.T) {
	server, requests := record(t)
	_, err := update(t.Context(), newClient(t, twilio.Config{}), testAccount(server.URL), testPath("a"), &twilio.ParticipantUpdate{})
	if err != nil {
		t.Fatal(err)
	}
	if got := <-requests; got.Body != "" || got.Header.Get("Content-Length") != "0" {
		t.Errorf("body %q, length %q", got.Body, got.Header.Get("Content-Length"))
	}
}

func TestTheUserAgentCanBeSet(t *testing.T) {
	server, requests := record(t)
	if _, err := mute(t.Context(), newClient(t, twilio.Config{UserAgent: "conferenced/1.2.3"}), server.URL); err != nil {
		t.Fatal(err)
	}
	if got := (<-requests).Header.Get("User-Agent"); got != "conferenced/1.2.3" {
		t.Error(got)
	}
}

func TestLabelsArriveAsOneSegment(t *testing.T) {
	server, requests := record(t)
	client := newClient(t, twilio.Config{})
	labels := []string{
		"front desk", "café", "100%", "a?b", "a#b", "a+b", "a&b", "a;b", "a/b", "//", ".", "..", "../../x", "%2e%2e",
		"a\r\nHost: evil", strings.Repeat("é", 128),
	}
	for _, label := range labels {
		t.Run(label, func(t *testing.T) {
			_, err := update(t.Context(), client, testAccount(server.URL), testPath(label), &twilio.ParticipantUpdate{Muted: new(true)})
			if err != nil {
				t.Fatal(err)
			}
			segments := strings.Split((<-requests).Target, "/")
			if len(segments) != 8 {
				t.Fatalf("segments %q", segments)
			}
			if got, err := url.PathUnescape(segments[7]); got != label+".json" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestArgumentsThatMakeNoRequest(t *testing.T) {
	good := testAccount("http://127.0.0.1:1")
	tests := []struct {
		name    string
		account twilio.Account
		path    twilio.ParticipantPath
	}{
		{"no participant", good, testPath("")},
		{"another account", good, twilio.ParticipantPath{AccountSID: otherSID, ConferenceSID: conferenceSID, Participant: "a"}},
		{"no base URL", testAccount(""), testPath("a")},
		{"a base URL with a path", testAccount("http://127.0.0.1:1/x"), testPath("a")},
		{"a base URL with a password", testAccount("http://a:test-token@127.0.0.1:1"), testPath("a")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := update(t.Context(), newClient(t, twilio.Config{}), tt.account, tt.path, &twilio.ParticipantUpdate{})
			refused := as[*twilio.RequestError](t, err)
			if strings.Contains(refused.Error(), "test-token") {
				t.Error(refused)
			}
		})
	}
}

func TestErrorAnswers(t *testing.T) {
	long := `{"code":20404,"message":"` + strings.Repeat("a", 2000) + `"}`
	tests := []struct {
		name   string
		status int
		body   string
		want   twilio.Error
		text   string
	}{
		{"Twilio's JSON", 404, `{"code":20404,"message":"not found","more_info":"https://www.twilio.com/docs/errors/20404","status":404}`,
			twilio.Error{Code: 20404, Message: "not found", MoreInfo: "https://www.twilio.com/docs/errors/20404"}, "twilio: answer 404, code 20404"},
		{"a code as a string", 429, `{"code":"20429"}`, twilio.Error{Code: 20429}, "twilio: answer 429, code 20429"},
		{"no code", 400, `{"message":"m"}`, twilio.Error{Message: "m"}, "twilio: answer 400"},
		{"a status of its own", 400, `{"status":200}`, twilio.Error{}, "twilio: answer 400"},
		{"XML", 404, "<TwilioResponse><RestException><Code>20404</Code></RestException></TwilioResponse>", twilio.Error{Code: 20404}, "twilio: answer 404, code 20404"},
		{"HTML", 502, "<html><body>Bad Gateway</body></html>", twilio.Error{}, "twilio: answer 502"},
		{"plain text", 503, "upstream connect error", twilio.Error{}, "twilio: answer 503"},
		{"nothing", 500, "", twilio.Error{}, "twilio: answer 500"},
		{"cut JSON", 500, `{"code":20500`, twilio.Error{}, "twilio: answer 500"},
		{"a body over the limit", 500, long, twilio.Error{}, "twilio: answer 500"},
		{"the largest status", 599, "", twilio.Error{}, "twilio: answer 599"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, answer(tt.status, tt.body))
			_, err := mute(t.Context(), newClient(t, twilio.Config{MaxAnswerBytes: 1000}), server.URL)
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
	tests := []struct {
		name, retryAfter string
		want             time.Duration
		has              bool
	}{
		{"seconds", "3", 3 * time.Second, true},
		{"a date", "Sun, 01 Mar 2026 15:00:09 GMT", 9 * time.Second, true},
		{"none", "", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Twilio-Request-Id", requestSID)
				w.Header().Set("Retry-After", tt.retryAfter)
				w.Header().Set("Date", "Sun, 01 Mar 2026 15:00:00 GMT")
				w.WriteHeader(429)
			})
			_, err := mute(t.Context(), newClient(t, twilio.Config{}), server.URL)
			got := as[*twilio.Error](t, err)
			want := &twilio.Error{HTTPStatus: 429, RequestID: requestSID, RetryAfter: tt.want, HasRetryAfter: tt.has}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if want := "twilio: answer 429 (request " + requestSID + ")"; got.Error() != want {
				t.Errorf("text %q, want %q", got, want)
			}
		})
	}
}

func TestUnusableAnswers(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		text       string
	}{
		{"an empty object", "{}", 200, "twilio: answer 200: body is not a participant"},
		{"null", "null", 200, "twilio: answer 200: body is not a participant"},
		{"an array", "[]", 200, "twilio: answer 200: body is not a participant"},
		{"nothing", "", 200, "twilio: answer 200: body is not a participant"},
		{"no content", "", 204, "twilio: answer 204: body is not a participant"},
		{"HTML", "<html></html>", 200, "twilio: answer 200: body is not a participant"},
		{"an error's body", `{"code":20500,"message":"secret"}`, 200, "twilio: answer 200: body is not a participant"},
		{"a body over the limit", connected + strings.Repeat(" ", 1000), 200, "twilio: answer 200: body cannot be read"},
		{"not modified", "", 304, "twilio: answer 304: redirect not followed"},
		{"a status above all", connected, 600, "twilio: answer 600: unexpected status"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, answer(tt.status, tt.body))
			_, err := mute(t.Context(), newClient(t, twilio.Config{MaxAnswerBytes: 1000}), server.URL)
			got := as[*twilio.AnswerError](t, err)
			if got.HTTPStatus != tt.status || got.Error() != tt.text {
				t.Errorf("status %d, text %q; want %d, %q", got.HTTPStatus, got, tt.status, tt.text)
			}
		})
	}
}

func TestABodyAsLongAsTheLimitIsRead(t *testing.T) {
	server := newServer(t, answer(201, connected))
	got, err := mute(t.Context(), newClient(t, twilio.Config{MaxAnswerBytes: int64(len(connected))}), server.URL)
	if err != nil || got.HTTPStatus != 201 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			var arrivals atomic.Int32
			target := newServer(t, func(http.ResponseWriter, *http.Request) { arrivals.Add(1) })
			server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, target.URL+"/?password=secret", status)
			})
			_, err := mute(t.Context(), newClient(t, twilio.Config{}), server.URL)
			got := as[*twilio.AnswerError](t, err)
			if want := fmt.Sprintf("twilio: answer %d: redirect not followed", status); got.Error() != want {
				t.Errorf("text %q, want %q", got, want)
			}
			if arrivals.Load() != 0 {
				t.Error("the target got a request")
			}
		})
	}
}

func TestAHundredCallsUseOneConnection(t *testing.T) {
	bodies := []http.HandlerFunc{
		answer(200, connected), answer(404, `{"code":20404}`), answer(502, "<html></html>"), answer(500, ""),
		answer(204, ""), answer(200, "{}"), answer(302, "moved"), answer(200, strings.Repeat(" ", 1000)),
	}
	var calls, connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bodies[int(calls.Add(1))%len(bodies)](w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client := newClient(t, twilio.Config{MaxAnswerBytes: 1000})
	for range 100 {
		_, _ = mute(t.Context(), client, server.URL)
	}
	if calls.Load() != 100 || connections.Load() != 1 {
		t.Errorf("%d calls over %d connections", calls.Load(), connections.Load())
	}
}

// newTLSServer returns a server, of HTTP/2 too, and the certificates to trust it
// by.
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

func TestTLS(t *testing.T) {
	protocols := make(chan string, 2)
	server, roots := newTLSServer(t, func(w http.ResponseWriter, r *http.Request) {
		protocols <- r.Proto
		_, _ = io.WriteString(w, connected)
	})
	client := newClient(t, twilio.Config{RootCAs: roots})
	for _, reused := range []bool{false, true} {
		got, err := mute(t.Context(), client, server.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got.Reused != reused {
			t.Errorf("reused %v, want %v", got.Reused, reused)
		}
		if got := <-protocols; got != "HTTP/1.1" {
			t.Errorf("protocol %s", got)
		}
	}
}

func TestTheProxyIsUsed(t *testing.T) {
	hosts := make(chan string, 1)
	proxy := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.URL.Host
		_, _ = io.WriteString(w, connected)
	})
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, twilio.Config{Proxy: http.ProxyURL(at)})
	if _, err := mute(t.Context(), client, "http://api.example"); err != nil {
		t.Fatal(err)
	}
	if got := <-hosts; got != "api.example" {
		t.Errorf("the proxy was asked for %q", got)
	}
}

// TestAnAnswerStaysAsItIs when others are received after it, in the same room.
func TestAnAnswerStaysAsItIs(t *testing.T) {
	bodies := []string{
		connected,
		`{"status":"complete","label":"` + strings.Repeat("x", 5000) + `","queue_time":17}`,
		`{"status":"queued","label":"caf\u00e9 1"}`,
		`{"status":"queued","label":"` + strings.Repeat("y", 100_000) + `"}`,
		`{"status":"failed","call_sid":"CA1","uri":"/"}`,
	}
	const fault = `{"code":20404,"message":"not found","more_info":"https://example.com/20404"}`
	var calls atomic.Int32
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		n := int(calls.Add(1)) - 1
		if n%(len(bodies)+1) == len(bodies) {
			answer(404, fault)(w, r)
			return
		}
		answer(200, bodies[n%(len(bodies)+1)])(w, r)
	})
	client := newClient(t, twilio.Config{})
	var answers []*twilio.Answer
	var faults []*twilio.Error
	for range 4 * (len(bodies) + 1) {
		got, err := mute(t.Context(), client, server.URL)
		if err != nil {
			faults = append(faults, as[*twilio.Error](t, err))
			continue
		}
		answers = append(answers, got)
	}
	for i, got := range answers {
		want, err := twilio.DecodeParticipant([]byte(bodies[i%len(bodies)]))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, &got.Participant); diff != "" {
			t.Errorf("answer %d: %s", i, diff)
		}
	}
	want := &twilio.Error{HTTPStatus: 404, Code: 20404, Message: "not found", MoreInfo: "https://example.com/20404"}
	for i, got := range faults {
		got.Reused = false
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fault %d: %s", i, diff)
		}
	}
	if len(faults) != 4 {
		t.Errorf("%d faults", len(faults))
	}
}

// send sends an update whose answer can be waited for.
func send(ctx context.Context, t testing.TB, client *twilio.Client, baseURL string) twilio.Pending {
	t.Helper()
	account, path := testAccount(baseURL), testPath(callSID)
	pending, err := client.Send(ctx, &account, &path, &twilio.ParticipantUpdate{Muted: new(true)})
	if err != nil {
		t.Fatal(err)
	}
	return pending
}

// TestAClosedUpdateTouchesNoOther: its connection may serve the next by then.
func TestAClosedUpdateTouchesNoOther(t *testing.T) {
	server := newServer(t, answer(200, connected))
	client := newClient(t, twilio.Config{})
	first := send(t.Context(), t, client, server.URL)
	if _, err := first.Answer(); err != nil {
		t.Fatal(err)
	}
	first.Close()
	second := send(t.Context(), t, client, server.URL)
	defer second.Close()
	first.Close()
	if first.Resume(t.Context()) {
		t.Error("the first can be resumed")
	}
	_, err := first.Answer()
	if got := as[*twilio.TransportError](t, err); !got.Sent {
		t.Errorf("%+v", got)
	}
	if got, err := second.Answer(); err != nil || !got.Reused {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestAnInterruptedUpdateCanBeResumed: once the context has ended, another may
// wait for the same answer.
func TestAnInterruptedUpdateCanBeResumed(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			proceed := make(chan struct{})
			handler := func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				select {
				case <-proceed:
					answer(200, connected)(w, r)
				case <-r.Context().Done():
				}
			}
			server, roots := newTLSServer(t, handler)
			if scheme == "http" {
				server = newServer(t, handler)
			}
			client := newClient(t, twilio.Config{RootCAs: roots})
			ctx, cancel := context.WithCancel(t.Context())
			pending := send(ctx, t, client, server.URL)
			defer pending.Close()
			for range 2 {
				cancel()
				_, err := pending.Answer()
				if got := as[*twilio.TransportError](t, err); !got.Sent || !errors.Is(err, context.Canceled) {
					t.Errorf("%+v", got)
				}
				next, stop := context.WithCancel(t.Context())
				if cancel = stop; !pending.Resume(next) {
					t.Fatal("it cannot be resumed")
				}
			}
			defer cancel()
			close(proceed)
			if got, err := pending.Answer(); err != nil || got.Participant.Status != "connected" {
				t.Errorf("%+v, %v", got, err)
			}
			if pending.Resume(t.Context()) {
				t.Error("another answer is to come")
			}
		})
	}
}

func TestNoSettingAddsALineToTheRequest(t *testing.T) {
	server, requests := record(t)
	client := newClient(t, twilio.Config{
		UserAgent: "conferenced\r\nX-Agent: x",
		Header: func(_ context.Context, h http.Header) {
			h.Set("Traceparent", "a\r\nX-Trace: x")
			h.Set("Transfer-Encoding", "chunked")
			h.Set("Content-Length", "0")
			h.Set("Host", "x")
			h.Set("Authorization", "x")
			h["X-Name: x\r\nX-Other"] = []string{"x"}
		},
	})
	if _, err := mute(t.Context(), client, server.URL); err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Accept":         {"application/json"},
		"Authorization":  {"Basic " + base64.StdEncoding.EncodeToString([]byte(accountSID+":test-token"))},
		"Content-Length": {"10"},
		"Content-Type":   {"application/x-www-form-urlencoded"},
		"Traceparent":    {"a  X-Trace: x"},
		"User-Agent":     {"conferenced  X-Agent: x"},
	}
	got := <-requests
	if diff := cmp.Diff(want, got.Header); diff != "" || got.Body != "Muted=true" {
		t.Errorf("body %q, header %s", got.Body, diff)
	}
}
