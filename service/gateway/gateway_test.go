package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
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
	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	accountSID    = "AC00000000000000000000000000000001"
	conferenceSID = "CF00000000000000000000000000000001"
	callSID       = "CA00000000000000000000000000000001"

	defaultAccountPath = "/v1/conferences/" + conferenceSID + "/participants/"
	accountPath        = "/v1/accounts/" + accountSID + "/conferences/" + conferenceSID + "/participants/"
)

// call is what one call looked like from inside.
type call struct {
	request     *conferencev1.UpdateParticipantRequest
	metadata    metadata.MD
	protocol    string
	peer        *peer.Peer
	hasDeadline bool
}

// service records calls and answers them as the test says.
type service struct {
	conferencev1.UnimplementedConferenceServiceServer
	calls  chan call
	answer func(context.Context, *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error)
}

func (s *service) UpdateParticipant(ctx context.Context, req *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
	seen := call{request: proto.CloneOf(req), protocol: Protocol(ctx)}
	seen.metadata, _ = metadata.FromIncomingContext(ctx)
	seen.peer, _ = peer.FromContext(ctx)
	_, seen.hasDeadline = ctx.Deadline()
	s.calls <- seen
	if s.answer != nil {
		return s.answer(ctx, req)
	}
	return &conferencev1.UpdateParticipantResponse{}, nil
}

// seen is the one call that the service got.
func (s *service) seen(t *testing.T) call {
	t.Helper()
	select {
	case got := <-s.calls:
		return got
	default:
		t.Fatal("the service was not called")
		return call{}
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

func newService() *service { return &service{calls: make(chan call, 100)} }

// newHandler returns a gateway in front of s.
func newHandler(t testing.TB, s conferencev1.ConferenceServiceServer, cfg Config) http.Handler {
	t.Helper()
	return newInterceptedHandler(t, s, pass, cfg)
}

// pass is an interceptor that does nothing.
func pass(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(ctx, req)
}

func newInterceptedHandler(
	t testing.TB, s conferencev1.ConferenceServiceServer, intercept grpc.UnaryServerInterceptor, cfg Config,
) http.Handler {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	handler, err := New(s, intercept, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// serve serves a gateway in front of s on a port of its own.
func serve(t *testing.T, s *service, cfg Config) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(newHandler(t, s, cfg))
	t.Cleanup(server.Close)
	return server
}

// reply is an answer, read to its end.
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
	request.Host = request.Header.Get("Host") // net/http sends no other.
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return readReply(t, response)
}

// sendRaw sends a request whose target net/http's client does not get to tidy.
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

// wantStatus compares a whole error answer with a status.
func wantStatus(t *testing.T, got reply, want *status.Status) {
	t.Helper()
	if code := outcome.HTTPStatus(want); got.code != code {
		t.Errorf("HTTP status %d, want %d", got.code, code)
	}
	var gotStatus spb.Status
	if err := protojson.Unmarshal(got.body, &gotStatus); err != nil {
		t.Fatalf("the body %q is not a google.rpc.Status: %v", got.body, err)
	}
	if diff := cmp.Diff(want.Proto(), &gotStatus, protocmp.Transform()); diff != "" {
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

// refusal is INVALID_REQUEST with violations, given as pairs.
func refusal(pairs ...string) *status.Status {
	var violations []*errdetails.BadRequest_FieldViolation
	for i := 0; i < len(pairs); i += 2 {
		violations = append(violations, &errdetails.BadRequest_FieldViolation{Field: pairs[i], Description: pairs[i+1]})
	}
	return outcome.InvalidRequest.Status(outcome.Facts{
		Detail:     strings.TrimSpace(pairs[0] + " " + pairs[1]),
		Violations: violations,
	})
}

func wantRequest(t *testing.T, got call, want *conferencev1.UpdateParticipantRequest) {
	t.Helper()
	if diff := cmp.Diff(want, got.request, protocmp.Transform()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func compact(t *testing.T, body []byte) string {
	t.Helper()
	var text bytes.Buffer
	if err := json.Compact(&text, body); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return text.String()
}

func TestConfigurationThatCannotBeServed(t *testing.T) {
	tests := map[string]Config{
		"a negative body limit":       {MaxBodyBytes: -1},
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
			if _, err := New(newService(), pass, cfg); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestEveryMethodOfEveryPathReachesTheService(t *testing.T) {
	s := newService()
	server := serve(t, s, Config{})
	for _, method := range []string{http.MethodPatch, http.MethodPost} {
		for path, account := range map[string]string{defaultAccountPath: "", accountPath: accountSID} {
			t.Run(method+" "+path, func(t *testing.T) {
				got := send(t, server, method, path+callSID, `{"muted": true}`, "Content-Type", "application/json")
				if got.code != http.StatusOK {
					t.Fatalf("HTTP status %d: %s", got.code, got.body)
				}
				wantRequest(t, s.seen(t), &conferencev1.UpdateParticipantRequest{
					AccountSid: account, ConferenceSid: conferenceSID, CallSid: callSID, Muted: proto.Bool(true),
				})
			})
		}
	}
}

func TestBodySizeLimit(t *testing.T) {
	tooLarge := outcome.RequestTooLarge.Status(outcome.Facts{})
	padded := func(size int) string { return `{"muted": true}` + strings.Repeat(" ", size-len(`{"muted": true}`)) }
	tests := []struct {
		name string
		cfg  Config
		size int
		want *status.Status
	}{
		{"the default limit", Config{}, 64 << 10, nil},
		{"one byte more", Config{}, 64<<10 + 1, tooLarge},
		{"5 MB", Config{}, 5 << 20, tooLarge},
		{"a limit of its own", Config{MaxBodyBytes: 100}, 100, nil},
		{"one byte more than that", Config{MaxBodyBytes: 100}, 101, tooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newService()
			server := serve(t, s, test.cfg)
			got := send(t, server, http.MethodPost, defaultAccountPath+callSID, padded(test.size))
			if test.want == nil {
				if s.seen(t); got.code != http.StatusOK {
					t.Errorf("HTTP status %d: %s", got.code, got.body)
				}
				return
			}
			s.notCalled(t)
			wantStatus(t, got, test.want)
			if !got.closed {
				t.Error("the connection is kept, with the rest of the body still to come")
			}
		})
	}
}

func TestBodyThatEndsEarly(t *testing.T) {
	s := newService()
	server := serve(t, s, Config{})
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "POST "+defaultAccountPath+callSID+" HTTP/1.1\r\nHost: localhost\r\n"+
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

func TestErrorOfTheServiceIsTheBody(t *testing.T) {
	s := newService()
	s.answer = func(context.Context, *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
		return nil, outcome.TwilioRateLimited.Err(outcome.Facts{
			Applied: delivery.No,
			Twilio:  &outcome.TwilioAnswer{HTTPStatus: 429, Code: 20429},
		})
	}
	got := send(t, serve(t, s, Config{}), http.MethodPost, defaultAccountPath+callSID, `{"muted": true}`)
	want := `{"code":8,"message":"Twilio limits the rate of the account","details":[` +
		`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"TWILIO_RATE_LIMITED","domain":"conferenced",` +
		`"metadata":{"applied":"no","twilio_code":"20429","twilio_status":"429"}},` +
		`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retry_delay":"1s"}]}`
	if diff := cmp.Diff(want, compact(t, got.body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// An interceptor that swallows the answer must not make a success of it.
func TestNoAnswerAndNoError(t *testing.T) {
	s := newService()
	s.answer = func(context.Context, *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
		return nil, nil
	}
	server := serve(t, s, Config{})
	want := outcome.Internal.Status(outcome.Facts{Applied: delivery.Maybe})
	wantStatus(t, send(t, server, http.MethodPost, defaultAccountPath+callSID, "{}"), want)
	wantTwilioError(t, send(t, server, http.MethodPost, twilioPathOfCall, ""),
		twilioError{20500, outcome.Internal.Text, moreInfo("20500"), http.StatusInternalServerError})
}
