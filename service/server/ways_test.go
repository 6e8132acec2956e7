package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
)

type request = conferencev1.UpdateParticipantRequest

// to returns an update of a participant of the sandbox's conference.
func to(participant string, change *request) *request {
	change.CallSid = participant
	if change.ConferenceSid == "" {
		change.ConferenceSid = sandbox.ConferenceSID
	}
	return change
}

func muting(participant string) *request { return to(participant, &request{Muted: proto.Bool(true)}) }

func announcing(participant string) *request {
	return to(participant, &request{AnnounceUrl: proto.String("https://a.example/bell.mp3")})
}

// reply is the result of a call over any protocol.
type reply struct {
	response *conferencev1.UpdateParticipantResponse
	status   *spb.Status // of an error
	// requestID is the Twilio-Request-Id header, over gRPC and over REST.
	requestID string

	// Only over REST.
	code   int
	header http.Header
}

// way is a protocol of calls.
type way struct {
	name string
	call func(*testing.T, context.Context, *running, *request) reply
}

// bothWays has the protocols that must not differ.
var bothWays = []way{{"grpc", callGRPC}, {"rest", callREST}}

func callGRPC(t *testing.T, ctx context.Context, r *running, message *request) reply {
	t.Helper()
	var header metadata.MD
	response, err := r.service().UpdateParticipant(ctx, message, grpc.Header(&header))
	got := reply{requestID: strings.Join(header.Get("twilio-request-id"), ",")}
	if err != nil {
		got.status = status.Convert(err).Proto()
		return got
	}
	got.response = response
	return got
}

func callREST(t *testing.T, ctx context.Context, r *running, message *request) reply {
	t.Helper()
	path, body := restOf(t, message)
	return sendREST(t, ctx, r, http.MethodPatch, path, body)
}

// restOf returns the path and the body of an update over REST.
func restOf(t *testing.T, message *request) (path, body string) {
	t.Helper()
	path = "/v1"
	if message.GetAccountSid() != "" {
		path += "/accounts/" + url.PathEscape(message.GetAccountSid())
	}
	path += "/conferences/" + url.PathEscape(message.GetConferenceSid()) +
		"/participants/" + strings.ReplaceAll(url.PathEscape(message.GetCallSid()), "+", "%2B")
	rest := proto.CloneOf(message)
	rest.AccountSid, rest.ConferenceSid, rest.CallSid = "", "", ""
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(rest)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(text)
}

// sendREST sends an update with headers given as pairs.
func sendREST(
	t *testing.T, ctx context.Context, r *running, method, path, body string, header ...string,
) reply {
	t.Helper()
	response := new(conferencev1.UpdateParticipantResponse)
	got := exchange(t, ctx, r, response, method, path, body, header...)
	if got.status == nil {
		got.response = response
	}
	return got
}

// exchange sends a request over REST with headers given as pairs, and reads the answer.
func exchange(
	t *testing.T, ctx context.Context, r *running, response proto.Message, method, path, body string, header ...string,
) reply {
	t.Helper()
	outgoing, err := http.NewRequestWithContext(ctx, method, r.restURL(path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	outgoing.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		outgoing.Header.Set(header[i], header[i+1])
	}
	incoming, err := r.rest.Do(outgoing)
	if err != nil {
		t.Fatal(err)
	}
	return readREST(t, incoming, response)
}

// readREST reads an answer, and its body into the response if it is no error.
func readREST(t *testing.T, incoming *http.Response, response proto.Message) reply {
	t.Helper()
	defer incoming.Body.Close()
	text, err := io.ReadAll(incoming.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := incoming.Header.Get("Content-Type"); got != "application/json" {
		t.Fatalf("the answer %d is of the type %q: %s", incoming.StatusCode, got, text)
	}
	got := reply{
		code: incoming.StatusCode, header: incoming.Header,
		requestID: strings.Join(incoming.Header.Values("Twilio-Request-Id"), ","),
	}
	into := response
	if got.code != http.StatusOK {
		got.status = new(spb.Status)
		into = got.status
	}
	if err := protojson.Unmarshal(text, into); err != nil {
		t.Fatalf("the answer %d is unreadable: %v: %s", got.code, err, text)
	}
	return got
}

var twilioRequestID = regexp.MustCompile(`^RQ[0-9a-f]{32}$`)

// someRequestID stands for any request ID of the sandbox in a status.
const someRequestID = "RQ..."

// takeRequestID replaces the request id in a status by someRequestID and
// returns it.
func takeRequestID(t *testing.T, st *spb.Status) string {
	t.Helper()
	for i, detail := range st.GetDetails() {
		info := new(errdetails.ErrorInfo)
		if !detail.MessageIs(info) {
			continue
		}
		if err := detail.UnmarshalTo(info); err != nil {
			t.Fatal(err)
		}
		id := info.GetMetadata()["twilio_request_id"]
		if id == "" {
			return ""
		}
		info.Metadata["twilio_request_id"] = someRequestID
		st.Details[i] = packed(info)
		return id
	}
	return ""
}

func packed(message proto.Message) *anypb.Any {
	detail, err := anypb.New(message)
	if err != nil {
		panic(fmt.Sprintf("pack a detail: %v", err))
	}
	return detail
}
