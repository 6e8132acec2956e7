package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
	"conferenced/service/settings"
)

const serviceName = "conference.v1.ConferenceService"

// noListener is an address that refuses connections.
const noListener = "127.0.0.1:1"

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// serveText serves a Twilio that answers every request with the status and with the words
// in its message, links and IDs. It returns the base URL.
func serveText(t *testing.T, status int, words string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Twilio-Request-Id", words+"?")
		w.Header().Set("Location", "https://"+words+".example/")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code": 1, "message": %q, "more_info": "https://%s.example/", "muted": %q}`, words, words, words)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func askAdmin(t *testing.T, r *running, method, path string) (int, http.Header, string) {
	t.Helper()
	outgoing, err := http.NewRequestWithContext(t.Context(), method, r.adminURL(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	incoming, err := r.rest.Do(outgoing)
	if err != nil {
		t.Fatal(err)
	}
	defer incoming.Body.Close()
	body, err := io.ReadAll(incoming.Body)
	if err != nil {
		t.Fatal(err)
	}
	return incoming.StatusCode, incoming.Header, string(body)
}

func TestAdminIndex(t *testing.T) {
	r := start(t)
	code, header, body := askAdmin(t, r, http.MethodGet, "/")
	if code != http.StatusOK || header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", code, header)
	}
	links := regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(body, -1)
	if len(links) < 7 {
		t.Errorf("the index has only %d links", len(links))
	}
	for _, link := range links {
		if code, _, _ := askAdmin(t, r, http.MethodGet, link[1]); code != http.StatusOK {
			t.Errorf("%s answers %d", link[1], code)
		}
	}
}

func TestAdminPages(t *testing.T) {
	r := start(t)
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	callGRPC(t, t.Context(), r, muting("fault:503x1"))
	for _, path := range []string{"/startupz", "/livez", "/readyz"} {
		t.Run(path, func(t *testing.T) {
			code, header, body := askAdmin(t, r, http.MethodGet, path)
			if code != http.StatusOK || body != "ok\n" || header.Get("Content-Type") != "text/plain; charset=utf-8" || header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %q %v", code, body, header)
			}
		})
	}
	t.Run("/healthz", func(t *testing.T) {
		code, header, body := askAdmin(t, r, http.MethodGet, "/healthz")
		if code != http.StatusOK || header.Get("Content-Type") != "application/json" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", code, header)
		}
		var got details
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got.Settings.LoadedAt.IsZero() {
			t.Error("it is not said when the settings were loaded")
		}
		account, _ := r.cfg.Settings.Current().Accounts.Lookup("")
		want := details{
			Serving: true,
			Upstream: []delivery.UpstreamState{{
				AccountSID: sandbox.AccountSID, Host: account.BaseURL, Breaker: "off", ConcurrencyLimit: 1000, ConcurrentRequests: 1,
			}},
			Delivery: delivery.Stats{
				Updates: 2, Attempts: 3, Retries: 1, Sizes: delivery.Sizes{Labels: 2},
			},
			Settings: settings.Status{LoadedAt: got.Settings.LoadedAt},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		checkUnsaid(t, body, "fault:")
	})
}

func TestAdminRefusals(t *testing.T) {
	r := start(t)
	for _, path := range []string{"/startupz", "/livez", "/readyz", "/healthz"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			code, header, _ := askAdmin(t, r, method, path)
			if code != http.StatusMethodNotAllowed || header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, path, code, header.Get("Allow"))
			}
		}
	}
	for _, path := range []string{"/livez/", "/metrics/x", "/v1/conferences"} {
		if code, _, _ := askAdmin(t, r, http.MethodGet, path); code != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, code)
		}
	}
}

func TestReadinessWithoutAnAudit(t *testing.T) {
	for failOpen, want := range map[bool]int{false: http.StatusServiceUnavailable, true: http.StatusOK} {
		r := start(t, func(s *setup) { s.Audit, s.AuditFailOpen = fullAudit(t), failOpen })
		callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
		if code, _, body := askAdmin(t, r, http.MethodGet, "/readyz"); code != want {
			t.Errorf("fail open: %v: %d %q, want %d", failOpen, code, body, want)
		}
	}
}

func TestAdminRefusesPagesOfOtherOrigins(t *testing.T) {
	r := start(t)
	tests := []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"another origin", "PUT", "/loglevel", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"another site", "PUT", "/loglevel", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		{"an image in a page of another site", "GET", "/debug/pprof/cmdline", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "no-cors")
		}, 403},
		{"a link in a page of another site", "GET", "/metrics", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "navigate")
		}, 200},
		{"another host's name", "GET", "/metrics", func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"localhost", "GET", "/metrics", func(r *http.Request) { r.Host = "localhost:9090" }, 200},
		{"a page of admin", "PUT", "/loglevel", func(r *http.Request) { r.Header.Set("Origin", "http://"+r.Host) }, 200},
		{"no browser", "PUT", "/loglevel", func(*http.Request) {}, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			outgoing, err := http.NewRequest(test.method, r.adminURL(test.path), strings.NewReader("info"))
			if err != nil {
				t.Fatal(err)
			}
			test.change(outgoing)
			incoming, err := r.rest.Do(outgoing)
			if err != nil {
				t.Fatal(err)
			}
			incoming.Body.Close()
			if incoming.StatusCode != test.want {
				t.Errorf("HTTP status %d, want %d", incoming.StatusCode, test.want)
			}
		})
	}
}

func TestPublicAdmin(t *testing.T) {
	cfg := Config{
		GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: ":0",
		Settings: settingsOf(t, ""), Delivery: quick(), Logger: discarded, DefaultTimeout: patience,
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "--admin-public") {
		t.Errorf("%v", err)
	}
	cfg.AdminPublic = true
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestReflection(t *testing.T) {
	r := start(t)
	stream, err := grpc_reflection_v1.NewServerReflectionClient(r.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(question *grpc_reflection_v1.ServerReflectionRequest) *grpc_reflection_v1.ServerReflectionResponse {
		t.Helper()
		if err := stream.Send(question); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	list := ask(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	})
	var services []string
	for _, service := range list.GetListServicesResponse().GetService() {
		services = append(services, service.GetName())
	}
	for _, want := range []string{serviceName, "grpc.health.v1.Health"} {
		if !slices.Contains(services, want) {
			t.Errorf("%s is not among %v", want, services)
		}
	}
	files := ask(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: serviceName},
	}).GetFileDescriptorResponse().GetFileDescriptorProto()
	if len(files) == 0 {
		t.Fatal("no file")
	}
	got := new(descriptorpb.FileDescriptorProto)
	if err := proto.Unmarshal(files[0], got); err != nil {
		t.Fatal(err)
	}
	want := protodesc.ToFileDescriptorProto(conferencev1.File_conference_v1_conference_service_proto)
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("the file of the service (-want +got):\n%s", diff)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v", err)
	}
}

func TestAddressesAreBoundBeforeAnythingIsServed(t *testing.T) {
	r := build(t)
	for name, addr := range map[string]net.Addr{"gRPC": r.GRPC, "HTTP": r.HTTP, "admin": r.Admin} {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn.Close()
		if addr.(*net.TCPAddr).Port == 0 {
			t.Errorf("%s: port 0", name)
		}
	}
	for _, path := range []string{"/readyz", "/startupz"} {
		early := httptest.NewRecorder()
		r.adminPages().ServeHTTP(early, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, nil))
		if early.Code != http.StatusServiceUnavailable {
			t.Errorf("%s before Run: %d", path, early.Code)
		}
	}
	if got := r.log.String(); got != "" {
		t.Errorf("logged before Run:\n%s", got)
	}

	r.run(t)
	got := r.log.awaitLine(t, "serving")
	want := line{
		"level": "INFO", "msg": "serving", "time": got["time"],
		"grpc": r.GRPC.String(), "http": r.HTTP.String(), "admin": r.Admin.String(),
		"version": "", "tls": false, "callers": "anonymous", "accounts": 1.0, "redis": "none",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestATakenAddress(t *testing.T) {
	for taken, name := range []string{"GRPCAddr", "HTTPAddr", "AdminAddr"} {
		t.Run(name, func(t *testing.T) {
			var addrs [3]string
			var listeners [3]net.Listener
			for i := range listeners {
				listeners[i] = listen(t, "127.0.0.1:0")
				addrs[i] = listeners[i].Addr().String()
			}
			for i := range taken { // Those before the taken one are free.
				listeners[i].Close()
			}
			_, err := New(Config{
				GRPCAddr: addrs[0], HTTPAddr: addrs[1], AdminAddr: addrs[2],
				Settings: settingsOf(t, ""), Delivery: quick(), Logger: discarded,
				DefaultTimeout: patience, ShutdownTimeout: patience,
			})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range []string{"server." + name + ": ", addrs[taken], "address already in use"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %q", want, err)
				}
			}
			for i := range taken {
				listen(t, addrs[i]) // Released.
			}
		})
	}
}

func TestAnUnusableConfiguration(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"an address without a port", Config{GRPCAddr: "127.0.0.1"}, "server.GRPCAddr: address 127.0.0.1: missing port in address"},
		{"an empty address", Config{GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0"}, "server.AdminAddr: is empty"},
		{"every address and one of them", Config{GRPCAddr: "127.0.0.1:5", HTTPAddr: ":5", AllowAnonymous: true}, "server.HTTPAddr: :5 is not free: grpc listens on 127.0.0.1:5"},
		{"an address and every one of its kind", Config{GRPCAddr: "0.0.0.0:5", HTTPAddr: "127.0.0.1:5", AllowAnonymous: true}, "server.HTTPAddr: 127.0.0.1:5 is not free: grpc listens on 0.0.0.0:5"},
		{"one address twice", Config{GRPCAddr: "127.0.0.1:5", HTTPAddr: "127.0.0.1:5"}, "server.HTTPAddr: 127.0.0.1:5 is not free: grpc listens on 127.0.0.1:5"},
		{"an origin without a scheme", Config{GRPCAddr: "127.0.0.1:0", CORSOrigins: []string{"a.example"}}, "a.example"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Logger, test.cfg.Delivery, test.cfg.Settings = discarded, quick(), settingsOf(t, "")
			if _, err := New(test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// holds makes a sandbox hold each request until the test releases them.
type holds struct {
	arrived chan struct{} // one value for each request
	let     chan struct{} // closed to release them
}

func newHolds() *holds {
	return &holds{arrived: make(chan struct{}, 100), let: make(chan struct{})}
}

func (h *holds) setup(s *setup) {
	s.box.Fault = func(*http.Request) sandbox.Fault {
		h.arrived <- struct{}{}
		<-h.let
		return sandbox.Fault{}
	}
}

// begin starts a call and returns when its request is in the sandbox.
func (h *holds) begin(t *testing.T, r *running, way way, participant string) <-chan reply {
	t.Helper()
	done := make(chan reply, 1)
	go func() { done <- way.call(t, context.Background(), r, muting(participant)) }()
	await(t, h.arrived, "the call to reach the sandbox")
	return done
}

// awaitRefused waits until the address refuses connections.
func awaitRefused(t *testing.T, addr net.Addr) {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			return
		}
		conn.Close()
	}
	t.Fatalf("%s still listens", addr)
}

func checkNotReady(t *testing.T, r *running) {
	t.Helper()
	code, _, body := askAdmin(t, r, http.MethodGet, "/readyz")
	if code != http.StatusServiceUnavailable || body != "not serving\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	for _, path := range []string{"/livez", "/startupz"} {
		if code, _, _ := askAdmin(t, r, http.MethodGet, path); code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
	}
}

func checkDone(t *testing.T, r *running, done <-chan reply, participant string) {
	t.Helper()
	checkResponse(t, await(t, done, "the call in flight"), participantIn(r.box.State(), participant), nil)
}

func (r *running) checkEnded(t *testing.T) {
	t.Helper()
	await(t, r.ended, "Run to return")
	if r.err != nil {
		t.Errorf("Run: %v", r.err)
	}
}

func TestDrain(t *testing.T) {
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			h := newHolds()
			r := start(t, h.setup)
			underWay := h.begin(t, r, way, sandbox.AgentSID)

			r.stop()
			awaitRefused(t, r.GRPC)
			awaitRefused(t, r.HTTP)
			checkNotReady(t, r)
			// On a connection of its own: the open one may serve calls until it gets the GOAWAY.
			client := conferencev1.NewConferenceServiceClient(dial(t, r.GRPC.String()))
			if _, err := client.UpdateParticipant(t.Context(), muting(sandbox.CustomerSID)); status.Code(err) != codes.Unavailable {
				t.Errorf("a new call: %v", err)
			}

			close(h.let)
			checkDone(t, r, underWay, sandbox.AgentSID)
			r.checkEnded(t)
			awaitRefused(t, r.Admin)
			if got := r.box.State().JournalLength; got != 1 {
				t.Errorf("%d updates", got)
			}
			if lines := r.log.lines(t, "the shutdown timeout passed: calls in flight were ended"); len(lines) > 0 {
				t.Errorf("the log says that a call was cut off")
			}
			if lines := r.log.lines(t, "stopped"); len(lines) != 1 {
				t.Errorf("%d lines say that it has stopped", len(lines))
			}
		})
	}
}

func TestDrainIsForcedAfterItsTimeout(t *testing.T) {
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			arrived := make(chan struct{}, 10)
			r := start(t, hangs(arrived), func(s *setup) { s.ShutdownTimeout = 20 * time.Millisecond })
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				r.callAnyway(way)
			}()
			await(t, arrived, "the call to reach the sandbox")
			r.stop()
			r.checkEnded(t)
			await(t, gone, "the call to be ended")
			got := r.log.awaitLine(t, "the shutdown timeout passed: calls in flight were ended")
			if got.text("level") != "WARN" {
				t.Errorf("logged at %s", got.text("level"))
			}
		})
	}
}

// callAnyway makes a call and ignores its outcome.
func (r *running) callAnyway(way way) {
	if way.name == "grpc" {
		_, _ = r.service().UpdateParticipant(context.Background(), muting(sandbox.AgentSID))
		return
	}
	incoming, err := r.rest.Post(r.restURL(agentPath), "application/json", strings.NewReader(`{"muted": true}`))
	if err == nil {
		incoming.Body.Close()
	}
}

func TestAContextThatIsDoneBeforeRun(t *testing.T) {
	for range 20 { // The order in which the servers start varies.
		r := build(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Run(ctx); err != nil {
			t.Fatalf("Run: %v", err)
		}
		for _, addr := range []net.Addr{r.GRPC, r.HTTP, r.Admin} {
			awaitRefused(t, addr)
		}
	}
}

func TestAListenerThatFailsEndsRun(t *testing.T) {
	for i, name := range []string{"GRPCAddr", "HTTPAddr", "AdminAddr"} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(s *setup) { s.DrainDelay = time.Hour }) // It is skipped.
			r.log.awaitLine(t, "serving")
			r.listeners[i].Close()
			await(t, r.ended, "Run to return")
			if !errors.Is(r.err, net.ErrClosed) {
				t.Errorf("Run: %v", r.err)
			}
			for _, addr := range []net.Addr{r.GRPC, r.HTTP, r.Admin} {
				awaitRefused(t, addr)
			}
		})
	}
}

func TestUnreachableTwilio(t *testing.T) {
	r := start(t, func(s *setup) {
		s.Settings = settingsOf(t, sandbox.AccountSID, sandboxAccount("http://"+noListener))
	})
	want := refusal{kind: outcome.TwilioUnreachable, retry: time.Second}
	for _, way := range bothWays {
		want.check(t, way.call(t, t.Context(), r, muting(sandbox.AgentSID)))
		want.check(t, way.call(t, t.Context(), r, announcing(sandbox.AgentSID)))
	}
	wantValues(t, r, map[string]float64{
		`conferenced_upstream_attempts_total{outcome="not_sent"}`: 16,
		`conferenced_retries_total`:                               12,
		`conferenced_upstream_connections_total{reused="false"}`:  0,
	})
}

func TestNoDefaultAccount(t *testing.T) {
	r := start(t, func(s *setup) { s.Settings = settingsOf(t, "") })
	want := refusal{kind: outcome.AccountNotConfigured, detail: "account_sid is empty and there is no default account"}
	for _, way := range bothWays {
		want.check(t, way.call(t, t.Context(), r, muting(sandbox.AgentSID)))
	}
}

func TestTooManyPings(t *testing.T) {
	r := start(t)
	conn := newRawHTTP2(t, connect(t, r.GRPC))
	for range 10 {
		_ = conn.WritePing(false, [8]byte{}) // The server may have closed the connection.
	}
	if code, words := conn.awaitGoAway(t); code != http2.ErrCodeEnhanceYourCalm || words != "too_many_pings" {
		t.Errorf("GOAWAY with %v, %q", code, words)
	}
}
