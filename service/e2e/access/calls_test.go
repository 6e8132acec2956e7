package access_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome/outcometest"
	"conferenced/service/sandbox"
)

type request = conferencev1.UpdateParticipantRequest

// muting is an update of the agent in the account.
func muting(account string) *request {
	return to(account, &request{Muted: proto.Bool(true)})
}

// to is the change for the agent in the account.
func to(account string, change *request) *request {
	change = proto.CloneOf(change)
	change.AccountSid, change.ConferenceSid = account, sandbox.ConferenceSID
	if change.CallSid == "" {
		change.CallSid = sandbox.AgentSID
	}
	return change
}

// reply is how a call ended.
type reply struct {
	response *conferencev1.UpdateParticipantResponse
	// status is the service's own, of an error.
	status *spb.Status
	// failed says why the service was not reached.
	failed error

	// header is that of the answer, with gRPC's trailer.
	header metadata.MD
	// Over REST alone.
	code int
	body string
}

func (r reply) ok() bool { return r.response != nil }

// reason is that of the service's error, or "".
func (r reply) reason() string { return outcometest.Info(status.FromProto(r.status)).GetReason() }

func (r reply) String() string {
	switch {
	case r.failed != nil:
		return "not reached: " + r.failed.Error()
	case r.status != nil:
		return fmt.Sprintf("refused: %v", r.status)
	default:
		return fmt.Sprintf("answered: %v", r.response)
	}
}

// way is a protocol to make a call by, with authorization headers.
type way struct {
	name string
	call func(ctx context.Context, c *client, authorization []string, message *request) reply
}

// bothWays are the protocols that must not differ.
var bothWays = []way{{"grpc", callGRPC}, {"rest", callREST}}

type headerKey struct{}

// withHeader has calls bring further headers, given as pairs: gRPC metadata or
// headers of HTTP.
func withHeader(ctx context.Context, pairs ...string) context.Context {
	return context.WithValue(ctx, headerKey{}, pairs)
}

func headerOf(ctx context.Context) []string {
	pairs, _ := ctx.Value(headerKey{}).([]string)
	return pairs
}

func callGRPC(ctx context.Context, c *client, authorization []string, message *request) reply {
	pairs := slices.Clone(headerOf(ctx))
	for _, value := range authorization {
		pairs = append(pairs, "authorization", value)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, pairs...)
	var header, trailer metadata.MD
	response, err := conferencev1.NewConferenceServiceClient(c.conn).
		UpdateParticipant(ctx, message, grpc.Header(&header), grpc.Trailer(&trailer))
	got := reply{header: metadata.Join(header, trailer)}
	switch st := status.Convert(err); {
	case err == nil:
		got.response = response
	case outcometest.Info(st) != nil:
		got.status = st.Proto()
	default:
		got.failed = err
	}
	return got
}

func callREST(ctx context.Context, c *client, authorization []string, message *request) reply {
	header := http.Header{"Authorization": authorization}
	for pair := range slices.Chunk(headerOf(ctx), 2) {
		header.Add(pair[0], pair[1])
	}
	return send(ctx, c, restPath(message), restBody(message), header)
}

func restPath(message *request) string {
	path := "/v1"
	if message.GetAccountSid() != "" {
		path += "/accounts/" + url.PathEscape(message.GetAccountSid())
	}
	return path + "/conferences/" + url.PathEscape(message.GetConferenceSid()) +
		"/participants/" + url.PathEscape(message.GetCallSid())
}

func restBody(message *request) string {
	rest := proto.CloneOf(message)
	rest.AccountSid, rest.ConferenceSid, rest.CallSid = "", "", ""
	return protojson.MarshalOptions{UseProtoNames: true}.Format(rest)
}

// send makes a REST call with the headers.
func send(ctx context.Context, c *client, path, body string, header http.Header) reply {
	outgoing, err := http.NewRequestWithContext(ctx, http.MethodPatch, c.url+path, strings.NewReader(body))
	if err != nil {
		return reply{failed: err}
	}
	outgoing.Header = header.Clone()
	if host := header.Get("Host"); host != "" {
		outgoing.Host = host
	}
	outgoing.Header.Set("Content-Type", "application/json")
	incoming, err := c.http.Do(outgoing)
	if err != nil {
		return reply{failed: err}
	}
	defer incoming.Body.Close()
	return readREST(incoming)
}

func readREST(incoming *http.Response) reply {
	text, err := io.ReadAll(incoming.Body)
	if err != nil {
		return reply{failed: err}
	}
	got := reply{code: incoming.StatusCode, header: metadata.MD{}, body: string(text)}
	for name, values := range incoming.Header {
		got.header.Append(name, values...)
	}
	var into proto.Message
	if got.code == http.StatusOK {
		got.response = new(conferencev1.UpdateParticipantResponse)
		into = got.response
	} else {
		got.status = new(spb.Status)
		into = got.status
	}
	if err := protojson.Unmarshal(text, into); err != nil {
		return reply{failed: fmt.Errorf("the answer %d is unreadable: %w: %s", got.code, err, text)}
	}
	return got
}

// refusal is an error as it is expected, whichever way it comes.
type refusal struct {
	code          codes.Code
	http          int
	reason        string
	message       string
	authenticates string // The header WWW-Authenticate.
}

var callerUnknown = refusal{codes.Unauthenticated, 401, "CALLER_UNKNOWN", "the caller is not known", "Bearer"}

var notConfigured = refusal{
	codes.FailedPrecondition, 400, "ACCOUNT_NOT_CONFIGURED", "the service has no credentials for this account", "",
}

// notAllowed is the refusal of what the policy does not allow.
func notAllowed(what string) refusal {
	return refusal{codes.PermissionDenied, 403, "NOT_ALLOWED", "the caller may not make this update: " + what, ""}
}

// check compares a reply with the refusal: the whole status, and over REST the
// status line and all headers besides.
func (r refusal) check(t *testing.T, what string, got reply) {
	t.Helper()
	if got.status == nil {
		t.Errorf("%s: %v, want %s", what, got, r.reason)
		return
	}
	want := &spb.Status{Code: int32(r.code), Message: r.message, Details: []*anypb.Any{packed(&errdetails.ErrorInfo{
		Reason: r.reason, Domain: "conferenced", Metadata: map[string]string{"applied": "no"},
	})}}
	if diff := cmp.Diff(want, got.status, protocmp.Transform()); diff != "" {
		t.Errorf("%s: status (-want +got):\n%s", what, diff)
	}
	if got.code != 0 {
		r.checkHTTP(t, what, got)
	}
}

func (r refusal) checkHTTP(t *testing.T, what string, got reply) {
	t.Helper()
	if got.code != r.http {
		t.Errorf("%s: HTTP status %d, want %d", what, got.code, r.http)
	}
	want := metadata.Pairs("Cache-Control", "no-store", "Content-Type", "application/json", "X-Content-Type-Options", "nosniff")
	if r.authenticates != "" {
		want.Append("WWW-Authenticate", r.authenticates)
	}
	header := got.header.Copy()
	header.Delete("Date")
	header.Delete("Content-Length")
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("%s: headers (-want +got):\n%s", what, diff)
	}
}

func packed(message proto.Message) *anypb.Any {
	detail, err := anypb.New(message)
	if err != nil {
		panic(fmt.Sprintf("pack a detail: %v", err))
	}
	return detail
}
