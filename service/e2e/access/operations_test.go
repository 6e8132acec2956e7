package access_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome/outcometest"
	"conferenced/service/sandbox"
	"conferenced/service/telemetry"
)

// operated is a call of one method, over gRPC and over REST.
type operated struct {
	method, operation string
	request, response proto.Message
	verb, path, body  string
	want              telemetry.Record // Of a call that is allowed.
}

func operations() []operated {
	const participants = "/v1/conferences/" + sandbox.ConferenceSID + "/participants"
	agent := telemetry.Record{AccountSID: mainSID, CallSID: sandbox.AgentSID, Outcome: "OK", Applied: "no", TwilioRequestID: someID}
	updated, removed, listed := agent, agent, agent
	updated.Applied, updated.Properties, updated.Values = "yes", []string{"muted"}, map[string]bool{"muted": true}
	removed.Applied, removed.CallSID = "yes", sandbox.FrontDeskSID
	listed.CallSID = ""
	return []operated{
		{
			"UpdateParticipant", "update", muting(""), new(conferencev1.UpdateParticipantResponse),
			http.MethodPatch, participants + "/" + sandbox.AgentSID, `{"muted": true}`, updated,
		},
		{
			"GetParticipant", "read",
			&conferencev1.GetParticipantRequest{ConferenceSid: sandbox.ConferenceSID, CallSid: sandbox.AgentSID},
			new(conferencev1.GetParticipantResponse), http.MethodGet, participants + "/" + sandbox.AgentSID, "", agent,
		},
		{
			"ListParticipants", "read", &conferencev1.ListParticipantsRequest{ConferenceSid: sandbox.ConferenceSID},
			new(conferencev1.ListParticipantsResponse), http.MethodGet, participants, "", listed,
		},
		{
			"RemoveParticipant", "remove",
			&conferencev1.RemoveParticipantRequest{ConferenceSid: sandbox.ConferenceSID, CallSid: "front desk"},
			new(conferencev1.RemoveParticipantResponse), http.MethodDelete, participants + "/front%20desk", "", removed,
		},
	}
}

// call makes the call and returns the status of its error, or nil.
func (o *operated) call(t *testing.T, c *client, via string, authorization []string) *spb.Status {
	t.Helper()
	if via == "grpc" {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", authorization[0])
		if err := c.conn.Invoke(ctx, "/conference.v1.ConferenceService/"+o.method, o.request, o.response); err != nil {
			return status.Convert(err).Proto()
		}
		return nil
	}
	outgoing, err := http.NewRequestWithContext(t.Context(), o.verb, c.url+o.path, strings.NewReader(o.body))
	if err != nil {
		t.Fatal(err)
	}
	outgoing.Header = http.Header{"Authorization": authorization}
	incoming, err := c.http.Do(outgoing)
	if err != nil {
		t.Fatal(err)
	}
	defer incoming.Body.Close()
	text, err := io.ReadAll(incoming.Body)
	if err != nil {
		t.Fatal(err)
	}
	var failed *spb.Status
	into := o.response
	if incoming.StatusCode != http.StatusOK {
		failed = new(spb.Status)
		into = failed
	}
	if err := protojson.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return failed
}

// TestOperations makes calls of every method for callers that may do some operations. The
// error, the audit record and the log name what was done or refused.
func TestOperations(t *testing.T) {
	w := start(t, with(
		tokensFile, tokensText("old", "reader", "remover", "all"),
		policyFile, `rules:
  - {callers: [{token: old}], accounts: ["*"], properties: [muted]}
  - {callers: [{token: reader}], accounts: ["*"], operations: [read]}
  - {callers: [{token: remover}], accounts: ["*"], operations: [remove]}
  - {callers: [{token: all}], accounts: ["*"], operations: [update, read, remove], properties: ["*"]}
`,
	))
	allowed := map[string]string{"old": "update", "reader": "read", "remover": "remove", "all": "update read remove"}
	for name, may := range allowed {
		for _, via := range protocols {
			for _, o := range operations() {
				t.Run(strings.Join([]string{name, via.name, o.method}, " "), func(t *testing.T) {
					w.up.box.Reset()
					w.log.Reset()
					failed := o.call(t, w.client(nil), via.name, withToken(name).authorization)
					want := recorded(via, o.want)
					want.Caller, want.KnownBy = name, "token"
					want.Method, want.Operation = "/conference.v1.ConferenceService/"+o.method, o.operation
					if !strings.Contains(may, o.operation) {
						want.Outcome, want.Applied, want.TwilioRequestID = "NOT_ALLOWED", "no", ""
						if o.method == "RemoveParticipant" {
							want.CallSID = "" // Nobody looked up the label.
						}
						if got := failed.GetMessage(); got != "the caller may not do this: operation "+o.operation {
							t.Errorf("message %q", got)
						}
					} else if failed != nil {
						t.Errorf("%v, %v", failed, outcometest.Info(status.FromProto(failed)))
					}
					if diff := diffRecords([]telemetry.Record{want}, w.records(t)); diff != "" {
						t.Errorf("records (-want +got):\n%s", diff)
					}
					if lines := w.log.lines(`"method":"` + want.Method + `"`); len(lines) != 1 {
						t.Errorf("lines of the log: %q", lines)
					}
				})
			}
		}
	}
}
