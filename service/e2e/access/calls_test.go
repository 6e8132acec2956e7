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

// muting returns an update that mutes the agent in the account.
func muting(account string) *request {
	return to(account, &request{Muted: proto.Bool(true)})
}

// to addresses the change to the agent in the account.
func to(account string, change *request) *request {
	change = proto.CloneOf(change)
	change.AccountSid, change.ConferenceSid = account, sandbox.ConferenceSID
	if change.CallSid == "" {
		change.CallSid = sandbox.AgentSID
	}
	return change
}

// reply is the result of a call.
type reply struct {
	response *conferencev1.UpdateParticipantResponse
	// status is the service's status of an error.
	status *spb.Status
	// err is set if the service did not answer.
	err error

	// header is the answer's headers and, over gRPC, trailers.
	header metadata.MD
	// Over REST only.
	code int
	body string
}

func (r reply) ok() bool { return r.response != nil }

// reason returns the reason of the service's error, or "".
func (r reply) reason() string { return outcometest.Info(status.FromProto(r.status)).GetReason() }

func (r reply) String() string {
	switch {
	case r.err != nil:
		return "not reached: " + r.err.Error()
	case r.status != nil:
		return fmt.Sprintf("refused: %v", r.status)
	default:
		return fmt.Sprintf("answered: %v", r.response)
	}
}

// protocol makes calls over gRPC or REST.
type protocol struct {
	name string
	call func(ctx context.Context, c *client, authorization []string, message *request) reply
}

// protocols is the protocols, which must behave alike.
var protocols = []protocol{{"grpc", callGRPC}, {"rest", callREST}}

type headerKey struct{}

// withHeader adds headers, given as pairs, to the calls with the context: gRPC
// metadata or HTTP headers.
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
		got.err = err
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
		return reply{err: err}
	}
	outgoing.Header = header.Clone()
	if host := header.Get("Host"); host != "" {
		outgoing.Host = host
	}
	outgoing.Header.Set("Content-Type", "application/json")
	incoming, err := c.http.Do(outgoing)
	if err != nil {
		return reply{err: err}
	}
	defer incoming.Body.Close()
	return readREST(incoming)
}

func readREST(incoming *http.Response) reply {
	text, err := io.ReadAll(incoming.Body)
	if err != nil {
		return reply{err: err}
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
		return reply{err: fmt.Errorf("the answer %d is unreadable: %w: %s", got.code, err, text)}
	}
	return got
}

// refusal is an expected error, over either protocol.
type refusal struct {
	code          codes.Code
	http          int
	reason        string
	message       string
	authenticates string // The value of WWW-Authenticate.
}

var callerUnknown = refusal{codes.Unauthenticated, 401, "CALLER_UNKNOWN", "the caller is not known", "Bearer"}

var notConfigured = refusal{
	codes.FailedPrecondition, 400, "ACCOUNT_NOT_CONFIGURED", "the service has no credentials for this account", "",
}

// notAllowed returns the refusal of an update that the policy does not allow.
func notAllowed(what string) refusal {
	return refusal{codes.PermissionDenied, 403, "NOT_ALLOWED", "the caller may not do this: " + what, ""}
}

// check compares a reply with the refusal: the status, and over REST also the HTTP
// status and headers.
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
