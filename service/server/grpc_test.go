package server

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// bytesCodec sends bytes in place of a message.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (bytesCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = data
	return nil
}

func (r *running) invokeBytes(ctx context.Context, method string, message []byte) ([]byte, error) {
	var answer []byte
	err := r.conn.Invoke(ctx, method, message, &answer, grpc.ForceCodec(bytesCodec{}))
	return answer, err
}

const updateMethod = conferencev1.ConferenceService_UpdateParticipant_FullMethodName

// field encodes a field of a message.
func field(number int, value string) string {
	if len(value) > 127 {
		panic(fmt.Sprintf("a length of %d takes more than one byte", len(value)))
	}
	return string([]byte{byte(number<<3 | 2), byte(len(value))}) + value
}

func TestUndecodableRequests(t *testing.T) {
	valid := field(2, sandbox.ConferenceSID) + field(3, sandbox.AgentSID)
	tests := []struct{ name, message string }{
		{"a label that is not UTF-8", field(2, sandbox.ConferenceSID) + field(3, "caf\xe9")},
		{"a URL that is not UTF-8", valid + field(6, "https://h.example/\xff")},
		{"an unfinished field", valid + "\x1a\x7f"},
		{"garbage", "\xff\xff\xff\xff"},
		{"JSON", `{"muted": true}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := start(t)
			before := r.box.State()
			_, err := r.invokeBytes(t.Context(), updateMethod, []byte(test.message))
			want := refusal{
				kind:   outcome.InvalidRequest,
				detail: "it is not a message of this method, or a text in it is not UTF-8",
			}
			want.check(t, reply{status: status.Convert(err).Proto()})
			if diff := cmp.Diff(before, r.box.State()); diff != "" {
				t.Errorf("something reached the sandbox (-want +got):\n%s", diff)
			}
			checkCallLines(t, r.log, []line{{
				"level": "INFO", "method": updateMethod, "protocol": "grpc",
				"code": "InvalidArgument", "reason": "INVALID_REQUEST", "applied": "no",
			}})
		})
	}
}

func TestFieldsOfANewerAPIAreIgnored(t *testing.T) {
	r := start(t)
	message := field(2, sandbox.ConferenceSID) + field(3, sandbox.AgentSID) + "\x20\x01" + "\xa2\x06\x01x" // muted, and field 100
	answer, err := r.invokeBytes(t.Context(), updateMethod, []byte(message))
	if err != nil {
		t.Fatal(err)
	}
	response := new(conferencev1.UpdateParticipantResponse)
	if err := proto.Unmarshal(answer, response); err != nil {
		t.Fatal(err)
	}
	if !response.GetParticipant().GetMuted() {
		t.Errorf("not muted: %v", response)
	}
}

func TestRequestsOnlyOverGRPC(t *testing.T) {
	r := start(t)
	before := r.box.State()
	tests := []struct {
		name    string
		request *request
		want    *refusal
	}{
		{
			"a label with a slash", muting("a/b"),
			violates("call_sid", "must not contain a /"),
		},
		{
			"a conference's name with a slash", to(sandbox.AgentSID, &request{ConferenceSid: "name:a/b", Muted: yes}),
			violates("conference_sid", "must not contain a /, which a path cannot have within a name"),
		},
		{
			"a label that breaks two rules", muting(strings.Repeat("/", 129)),
			violates("call_sid", labelRule, "call_sid", "must not contain a /"),
		},
		{"an empty message", &request{}, violates("conference_sid", "value is required", "call_sid", "value is required")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.want.check(t, callGRPC(t, t.Context(), r, test.request))
		})
	}
	if diff := cmp.Diff(before, r.box.State()); diff != "" {
		t.Errorf("something reached the sandbox (-want +got):\n%s", diff)
	}
}

func TestMessageSizeLimit(t *testing.T) {
	r := start(t)
	long := func(size int) *request {
		message := to(sandbox.AgentSID, &request{HoldUrl: text("https://h.example/")})
		*message.HoldUrl += strings.Repeat("a", size-proto.Size(message)-2) // The length grows by two bytes.
		if got := proto.Size(message); got != size {
			t.Fatalf("made a message of %d bytes, not %d", got, size)
		}
		return message
	}
	largest := callGRPC(t, t.Context(), r, long(maxRequestBytes))
	if code := codes.Code(largest.status.GetCode()); code != codes.InvalidArgument {
		t.Errorf("a message of the maximum size: %v", largest.status)
	}
	tooLarge := &refusal{kind: outcome.RequestTooLarge, detail: "its message is larger than 64 KiB"}
	compressing := &running{conn: dial(t, r.GRPC.String(), grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))}
	for _, size := range []int{maxRequestBytes + 1, 2 * maxRequestBytes, maxMessageBytes} {
		tooLarge.check(t, callGRPC(t, t.Context(), r, long(size)))
		tooLarge.check(t, callGRPC(t, t.Context(), compressing, long(size)))
	}
	tooLarge.check(t, callGRPC(t, t.Context(), compressing, long(2*maxMessageBytes-10)))
	// gRPC itself refuses these.
	beyond := callGRPC(t, t.Context(), r, long(maxMessageBytes+1))
	if code := codes.Code(beyond.status.GetCode()); code != codes.ResourceExhausted {
		t.Errorf("beyond gRPC's limit: %v", beyond.status)
	}
	awaitSeries(t, r, `conferenced_call_errors_total{reason="REQUEST_TOO_LARGE"}`, 8)
}

func TestUnknownMethods(t *testing.T) {
	r := start(t)
	for _, method := range []string{
		"/conference.v1.ConferenceService/DeleteParticipant",
		"/conference.v2.ConferenceService/UpdateParticipant",
	} {
		t.Run(method, func(t *testing.T) {
			_, err := r.invokeBytes(t.Context(), method, nil)
			if got := status.Code(err); got != codes.Unimplemented {
				t.Errorf("code %v", got)
			}
		})
	}
}

func TestRequestIDOverBothProtocols(t *testing.T) {
	const id = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	r := start(t)
	message := muting(sandbox.AgentSID)
	message.RequestId = id
	first := callGRPC(t, t.Context(), r, message)
	checkResponse(t, first, participantIn(r.box.State(), sandbox.AgentSID), nil)

	again := callREST(t, t.Context(), r, message)
	if diff := cmp.Diff(first.response, again.response, protocmp.Transform()); diff != "" {
		t.Errorf("the second answer (-first +second):\n%s", diff)
	}
	if first.requestID != again.requestID {
		t.Errorf("Twilio's request id: first %q, then %q", first.requestID, again.requestID)
	}
	if got := r.box.State().JournalLength; got != 1 {
		t.Errorf("applied %d times", got)
	}

	reused := &refusal{kind: outcome.RequestIDReused}
	body := `{"muted": false}`
	reused.check(t, sendREST(t, t.Context(), r, "POST", agentPath, body, "Idempotency-Key", `"`+id+`"`))
	message.Muted = no
	reused.check(t, callGRPC(t, t.Context(), r, message))
}
