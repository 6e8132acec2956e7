package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/call"
	"conferenced/service/gateway"
	"conferenced/service/leaktest"
	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

const (
	accountSID    = "AC00000000000000000000000000000001"
	conferenceSID = "CF00000000000000000000000000000001"
	callSID       = "CA00000000000000000000000000000001"

	participants        = "/v1/conferences/" + conferenceSID + "/participants/"
	accountParticipants = "/v1/accounts/" + accountSID + "/conferences/" + conferenceSID + "/participants/"
)

type (
	request  = conferencev1.UpdateParticipantRequest
	response = conferencev1.UpdateParticipantResponse
)

// observed is a call as the service received it.
type observed struct {
	request     *request
	metadata    metadata.MD
	record      call.Call
	peer        *peer.Peer
	hasDeadline bool
}

// service records calls and answers them with the function answer.
type service struct {
	conferencev1.UnimplementedConferenceServiceServer
	calls  chan observed
	answer func(context.Context, *request) (*response, error)
}

func newService() *service { return &service{calls: make(chan observed, 100)} }

// failing returns a service that answers every call with an error.
func failing(err error) *service {
	s := newService()
	s.answer = func(context.Context, *request) (*response, error) { return nil, err }
	return s
}

func (s *service) UpdateParticipant(ctx context.Context, req *request) (*response, error) {
	seen := observed{request: proto.CloneOf(req), record: *call.From(ctx)}
	seen.metadata, _ = metadata.FromIncomingContext(ctx)
	seen.peer, _ = peer.FromContext(ctx)
	_, seen.hasDeadline = ctx.Deadline()
	s.calls <- seen
	if s.answer != nil {
		return s.answer(ctx, req)
	}
	return &response{}, nil
}

// seen returns the oldest recorded call.
func (s *service) seen(t *testing.T) observed {
	t.Helper()
	select {
	case got := <-s.calls:
		return got
	default:
		t.Fatal("the service was not called")
		return observed{}
	}
}

func (s *service) notCalled(t *testing.T) {
	t.Helper()
	select {
	case got := <-s.calls:
		t.Errorf("the service was called with %v", got.request)
	default:
	}
}

// pass is an interceptor that does nothing.
func pass(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(ctx, req)
}

func newHandler(t testing.TB, s conferencev1.ConferenceServiceServer, intercept grpc.UnaryServerInterceptor, cfg gateway.Config) http.Handler {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	handler, err := gateway.New(s, intercept, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// listen serves a handler on a free port.
func listen(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// serve serves a gateway in front of s.
func serve(t *testing.T, s conferencev1.ConferenceServiceServer, cfg gateway.Config) *httptest.Server {
	t.Helper()
	return listen(t, newHandler(t, s, pass, cfg))
}

// reply is a fully read HTTP response.
type reply struct {
	code   int
	header http.Header
	body   []byte
	closed bool
}

func readReply(t *testing.T, response *http.Response) reply {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Trailer) > 0 {
		t.Errorf("the answer has trailers: %v", response.Trailer)
	}
	return reply{code: response.StatusCode, header: response.Header, body: body, closed: response.Close}
}

// send sends a request with headers given as pairs.
func send(t *testing.T, server *httptest.Server, method, path, body string, header ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	request.Host = request.Header.Get("Host") // net/http ignores a Host in the headers.
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return readReply(t, response)
}

// update sends an update of the participant with the JSON body.
func update(t *testing.T, server *httptest.Server, body string, header ...string) reply {
	t.Helper()
	return send(t, server, http.MethodPost, participants+callSID, body, header...)
}

// sendRaw sends a request with exactly this target, which net/http's client would
// normalize.
func sendRaw(t *testing.T, server *httptest.Server, method, target, body string) reply {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request, err := http.NewRequest(method, server.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Opaque = target
	request.Close = true
	if err := request.Write(conn); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		t.Fatal(err)
	}
	return readReply(t, response)
}

// wantStatus compares an error answer, headers included, with a status.
func wantStatus(t *testing.T, got reply, want *status.Status) {
	t.Helper()
	if code := outcometest.HTTPStatus(want); got.code != code {
		t.Errorf("HTTP status %d, want %d", got.code, code)
	}
	if diff := cmp.Diff(want.Proto(), statusIn(t, got), protocmp.Transform()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	wantHeader := map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	}
	for name, value := range wantHeader {
		if got.header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), value)
		}
	}
}

func statusIn(t *testing.T, got reply) *spb.Status {
	t.Helper()
	var in spb.Status
	if err := protojson.Unmarshal(got.body, &in); err != nil {
		t.Fatalf("the body %q is not a google.rpc.Status: %v", got.body, err)
	}
	return &in
}

// refusal is INVALID_REQUEST with violations, given as pairs.
func refusal(pairs ...string) *status.Status {
	var violations []*errdetails.BadRequest_FieldViolation
	for i := 0; i < len(pairs); i += 2 {
		violations = append(violations, &errdetails.BadRequest_FieldViolation{Field: pairs[i], Description: pairs[i+1]})
	}
	return outcometest.Status(outcome.InvalidRequest, outcome.Facts{
		Detail:     strings.TrimSpace(pairs[0] + " " + pairs[1]),
		Violations: violations,
	})
}

func wantRequest(t *testing.T, got observed, want *request) {
	t.Helper()
	if diff := cmp.Diff(want, got.request, protocmp.Transform()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// wantJSON compares JSON texts, ignoring white space and the order of members.
func wantJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	var gotValue, wantValue any
	if err := json.Unmarshal(got, &gotValue); err != nil {
		t.Fatalf("%q: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &wantValue); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantValue, gotValue); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestInvalidConfigs(t *testing.T) {
	tests := map[string]gateway.Config{
		"an origin without a scheme":  {CORSOrigins: []string{"ui.example.com"}},
		"an origin of another scheme": {CORSOrigins: []string{"ftp://ui.example.com"}},
		"an origin with a path":       {CORSOrigins: []string{"https://ui.example.com/"}},
		"an origin with a query":      {CORSOrigins: []string{"https://ui.example.com?"}},
		"an origin with a user":       {CORSOrigins: []string{"https://me@ui.example.com"}},
		"an origin without a host":    {CORSOrigins: []string{"https://:443"}},
		"a pattern":                   {CORSOrigins: []string{"https://*.example.com"}},
		"the opaque origin":           {CORSOrigins: []string{"null"}},
		"an empty origin":             {CORSOrigins: []string{""}},
		"any origin and another":      {CORSOrigins: []string{"https://ui.example.com", "*"}},
	}
	for name, cfg := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := gateway.New(newService(), pass, cfg); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestBodySizeLimit(t *testing.T) {
	tooLarge := outcometest.Status(outcome.RequestTooLarge, outcome.Facts{Detail: "its body is larger than 65536 bytes"})
	padded := func(size int) string { return `{"muted": true}` + strings.Repeat(" ", size-len(`{"muted": true}`)) }
	tests := []struct {
		name string
		size int
		want *status.Status
	}{
		{"the limit", 64 << 10, nil},
		{"one byte more than the limit", 64<<10 + 1, tooLarge},
		{"5 MB", 5 << 20, tooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newService()
			got := update(t, serve(t, s, gateway.Config{}), padded(test.size))
			if test.want == nil {
				if s.seen(t); got.code != http.StatusOK {
					t.Errorf("HTTP status %d: %s", got.code, got.body)
				}
				return
			}
			s.notCalled(t)
			wantStatus(t, got, test.want)
			if !got.closed {
				t.Error("the connection stays open, with the rest of the body unread")
			}
		})
	}
}

func TestBodyThatEndsEarly(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{})
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "POST "+participants+callSID+" HTTP/1.1\r\nHost: localhost\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"mut\r\nnot a chunk\r\n")
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, readReply(t, response), refusal("", "the body could not be read to its end"))
	s.notCalled(t)
}

// TestLastAnswerClosesTheConnection has a call, a document and refusals as the last
// answer of a connection.
func TestLastAnswerClosesTheConnection(t *testing.T) {
	server := serve(t, newService(), gateway.Config{Docs: true, LastAnswer: func(r *http.Request) bool {
		return r.Header.Get("X-Last") != ""
	}})
	for _, test := range []struct {
		method, path string
		code         int
	}{
		{http.MethodPost, participants + callSID, http.StatusOK},
		{http.MethodPut, participants + callSID, http.StatusMethodNotAllowed},
		{http.MethodGet, "/openapi.json", http.StatusOK},
		{http.MethodGet, "/nowhere", http.StatusNotFound},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			if got := send(t, server, test.method, test.path, "{}"); got.closed || got.code != test.code {
				t.Errorf("an answer before the last: HTTP status %d, closed: %v", got.code, got.closed)
			}
			if got := send(t, server, test.method, test.path, "{}", "X-Last", "yes"); !got.closed || got.code != test.code {
				t.Errorf("the last answer: HTTP status %d, closed: %v", got.code, got.closed)
			}
		})
	}
}
