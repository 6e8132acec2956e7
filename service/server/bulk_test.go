package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery/redisstore/redistest"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
	"conferenced/service/settings"
)

type bulk = conferencev1.UpdateParticipantsRequest

// all returns an update of participants of the sandbox's conference that mutes them.
func all(change *bulk) *bulk {
	if change.ConferenceSid == "" {
		change.ConferenceSid = sandbox.ConferenceSID
	}
	if change.Set == nil {
		change.Set = &conferencev1.ParticipantChange{Muted: proto.Bool(true)}
	}
	return change
}

// bulkWays has the protocols of updates of many participants.
var bulkWays = map[string]caller{"grpc": overGRPC, "rest": bulkOverREST}

func bulkOverREST(t *testing.T, r *running, request proto.Message) (proto.Message, reply) {
	t.Helper()
	rest := proto.CloneOf(request.(*bulk))
	path := "/v1/conferences/" + rest.GetConferenceSid() + "/participants:update"
	if rest.GetAccountSid() != "" {
		path = strings.Replace(path, "/v1", "/v1/accounts/"+rest.GetAccountSid(), 1)
	}
	rest.AccountSid, rest.ConferenceSid = "", ""
	body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(rest)
	if err != nil {
		t.Fatal(err)
	}
	response := new(conferencev1.UpdateParticipantsResponse)
	if got := exchange(t, t.Context(), r, response, http.MethodPost, path, string(body)); got.status != nil {
		return nil, got
	}
	return response, reply{}
}

// summary describes a response in short.
func summary(response proto.Message) string {
	r, _ := response.(*conferencev1.UpdateParticipantsResponse)
	var parts []string
	for _, result := range r.GetResults() {
		name := result.GetLabel()
		if name == "" {
			name = result.GetCallSid()[32:]
		}
		switch {
		case result.GetError() != nil:
			name += " " + result.GetError().GetReason() + " " + result.GetError().GetApplied()
		case result.GetGone():
			name += " gone"
		default:
			name += fmt.Sprintf(" muted=%t", result.GetParticipant().GetMuted())
		}
		parts = append(parts, name)
	}
	slices.Sort(parts)
	for _, warning := range r.GetWarnings() {
		parts = append(parts, warning.GetCode())
	}
	return strings.Join(append(parts, fmt.Sprintf("%d updated, %d failed, complete=%t",
		r.GetUpdated(), r.GetFailed(), r.GetComplete())), "; ")
}

// others are the sandbox's participants after the agent, as summary describes them.
const others = "customer muted=true; front desk muted=true; supervisor muted=true; "

func TestUpdateParticipants(t *testing.T) {
	r := start(t)
	tests := []struct {
		name    string
		request *bulk
		joins   []string // The labels of participants who join first.
		want    string
	}{
		{
			name: "everyone", request: &bulk{AccountSid: sandbox.AccountSID},
			want: "05 muted=true; agent muted=true; " + others + "5 updated, 0 failed, complete=true",
		},
		{
			name: "everyone but one", request: &bulk{Except: []string{"agent"}},
			want: "05 muted=true; " + others + "4 updated, 0 failed, complete=true",
		},
		{
			name: "everyone but one, by Call SID", request: &bulk{Except: []string{sandbox.AgentSID}},
			want: "05 muted=true; " + others + "4 updated, 0 failed, complete=true",
		},
		{
			name: "everyone but one, by Call SID in capital letters", request: &bulk{Except: []string{"CA" + strings.ToUpper(sandbox.AgentSID[2:])}},
			want: "05 muted=true; " + others + "4 updated, 0 failed, complete=true",
		},
		{
			name: "an exception who is not there", request: &bulk{Except: []string{"nobody", "agent"}},
			want: "05 muted=true; " + others + "EXCEPT_UNKNOWN; 4 updated, 0 failed, complete=true",
		},
		{
			name: "named twice", request: &bulk{Participants: []string{"customer", sandbox.CustomerSID, "customer"}},
			want: "customer muted=true; 1 updated, 0 failed, complete=true",
		},
		{
			name: "named by Call SID", request: &bulk{Participants: []string{sandbox.CustomerSID, sandbox.CustomerSID}},
			want: "customer muted=true; 1 updated, 0 failed, complete=true",
		},
		{
			name: "named by Call SID, once in capital letters", request: &bulk{Participants: []string{sandbox.CustomerSID, "CA" + strings.ToUpper(sandbox.CustomerSID[2:])}},
			want: "customer muted=true; 1 updated, 0 failed, complete=true",
		},
		{
			name: "a Call SID of nobody", request: &bulk{Participants: []string{sandbox.AgentSID, "CA99999999999999999999999999999999"}},
			want: "99 PARTICIPANT_NOT_FOUND no; agent muted=true; 1 updated, 1 failed, complete=true",
		},
		{
			name: "names of nobody", request: &bulk{Participants: []string{"nobody", "agent", "CA99999999999999999999999999999999"}},
			want: "99 PARTICIPANT_NOT_FOUND no; agent muted=true; nobody PARTICIPANT_NOT_FOUND no; 1 updated, 2 failed, complete=true",
		},
		{
			name: "a filter that matches nobody", request: &bulk{Filter: &conferencev1.ParticipantFilter{Muted: yes}},
			want: "NO_PARTICIPANT; 0 updated, 0 failed, complete=true",
		},
		{
			name: "a filter", request: &bulk{
				Filter: &conferencev1.ParticipantFilter{Hold: no, Coaching: no}, Except: []string{"customer"},
			},
			want: "agent muted=true; front desk muted=true; supervisor muted=true; 3 updated, 0 failed, complete=true",
		},
		{
			name: "one fails", joins: []string{"fault:update:500-after"}, request: &bulk{
				Set: &conferencev1.ParticipantChange{Muted: yes, AnnounceUrl: text("https://a.example/bell.mp3")},
			},
			want: "05 muted=true; agent muted=true; customer muted=true; fault:update:500-after OUTCOME_UNKNOWN maybe; " +
				"front desk muted=true; supervisor muted=true; 5 updated, 1 failed, complete=true",
		},
		{
			name: "a conference by its name", request: &bulk{ConferenceSid: "name:Support"},
			want: "05 muted=true; agent muted=true; " + others + "5 updated, 0 failed, complete=true",
		},
		{
			name:    "a conference by its name and a Call SID",
			request: &bulk{ConferenceSid: "name:Support", Participants: []string{sandbox.AgentSID}},
			want:    "agent muted=true; 1 updated, 0 failed, complete=true",
		},
	}
	for way, call := range bulkWays {
		for _, test := range tests {
			t.Run(way+"/"+test.name, func(t *testing.T) {
				r.box.Reset()
				for _, label := range test.joins {
					if _, err := r.box.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{Label: label}); err != nil {
						t.Fatal(err)
					}
				}
				response, got := call(t, r, all(test.request))
				if got.status != nil {
					t.Fatal(got.status)
				}
				if diff := cmp.Diff(test.want, summary(response)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

// TestErrorOfAParticipant has the error in a result, which is that of an update of one
// participant.
func TestErrorOfAParticipant(t *testing.T) {
	r := start(t)
	response, got := bulkOverREST(t, r, all(&bulk{Participants: []string{"CA99999999999999999999999999999999"}}))
	if got.status != nil {
		t.Fatal(got.status)
	}
	result := response.(*conferencev1.UpdateParticipantsResponse).GetResults()[0]
	delete(result.GetError().GetMetadata(), "twilio_request_id")
	want := &conferencev1.UpdateError{
		Code: 5, Reason: "PARTICIPANT_NOT_FOUND", Applied: "no",
		Metadata: map[string]string{
			"applied": "no", "twilio_status": "404", "twilio_code": "20404", "more_info": "https://www.twilio.com/docs/errors/20404",
		},
		Message: result.GetError().GetMessage(),
	}
	if diff := cmp.Diff(want, result.GetError(), protocmp.Transform()); diff != "" || want.GetMessage() == "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestUpdateParticipantsIsRefused(t *testing.T) {
	r := start(t)
	tests := []struct {
		name   string
		body   string
		path   string
		reason string
		says   string
	}{
		{"no property", `{"set": {}}`, "", "NOTHING_TO_UPDATE", "sets no property"},
		{"no set", `{"except": ["agent"]}`, "", "INVALID_REQUEST", "set: "},
		{"an unknown property", `{"set": {"mute": true}}`, "", "INVALID_REQUEST", "set.mute is no field of the request; did you mean muted?"},
		{"a property twice", `{"set": {"muted": true, "muted": true}}`, "", "INVALID_REQUEST", "set.muted is given more than once"},
		{"a URL that is none", `{"set": {"hold_url": "x"}}`, "", "INVALID_REQUEST", "set.hold_url: "},
		{"coaching nobody", `{"set": {"coaching": true}}`, "", "INVALID_REQUEST", "set.coaching: true needs call_sid_to_coach"},
		{"a name with a slash", `{"participants": ["a/b"], "set": {"muted": true}}`, "", "INVALID_REQUEST", "participants[0]: must not contain a /"},
		{"an empty name", `{"except": [""], "set": {"muted": true}}`, "", "INVALID_REQUEST", "except[0]: "},
		{"the conference in the body", `{"conference_sid": "x", "set": {"muted": true}}`, "", "INVALID_REQUEST", "conference_sid is given by the path"},
		{"no such conference", `{"set": {"muted": true}}`, "/v1/conferences/CF99999999999999999999999999999999/participants:update", "CONFERENCE_NOT_FOUND", "no such conference"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := test.path
			if path == "" {
				path = "/v1/conferences/" + sandbox.ConferenceSID + "/participants:update"
			}
			got := sendREST(t, t.Context(), r, http.MethodPost, path, test.body)
			if !strings.Contains(fmt.Sprint(got.status), test.reason) || !strings.Contains(got.status.GetMessage(), test.says) {
				t.Errorf("%v, want %s: %s", got.status, test.reason, test.says)
			}
		})
	}
	if journal := r.box.State().JournalLength; journal != 0 {
		t.Errorf("%d updates were applied", journal)
	}
}

// TestShortMethodsInAChange: REST takes the names without prefix within `set` too.
func TestShortMethodsInAChange(t *testing.T) {
	r := start(t)
	body := `{"participants": ["agent"], "set": {"hold_url": "https://a.example/", "hold_method": "POST"}}`
	response, err := r.rest.Post(r.restURL("/v1/conferences/"+sandbox.ConferenceSID+"/participants:update"), "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if p := participantIn(r.box.State(), "agent"); response.StatusCode != http.StatusOK || p.HoldMethod != http.MethodPost {
		t.Errorf("%s, hold_method %q", response.Status, p.HoldMethod)
	}
}

// TestLabelThatEndsLikeThePath: the path of one participant with a label such as
// `x:update` is not that of many.
func TestLabelThatEndsLikeThePath(t *testing.T) {
	r := start(t)
	if _, err := r.box.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{Label: "x:update"}); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodPost, http.MethodPatch} {
		path := "/v1/conferences/" + sandbox.ConferenceSID + "/participants/x:update"
		got := sendREST(t, t.Context(), r, method, path, `{"muted": true}`)
		if got.response.GetParticipant().GetLabel() != "x:update" {
			t.Errorf("%s: %v, %v", method, got.response, got.status)
		}
	}
}

// TestParticipantsWhoJoinMeanwhile are updated too, and those who leave are gone.
func TestParticipantsWhoJoinMeanwhile(t *testing.T) {
	var once sync.Once
	r := start(t, func(s *setup) {
		s.upstream = func(w http.ResponseWriter, request *http.Request, box *sandbox.Sandbox) {
			if request.Method == http.MethodPost {
				once.Do(func() {
					box.HangUp(sandbox.ConferenceSID, "leaving")
					if _, err := box.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{Label: "late"}); err != nil {
						t.Error(err)
					}
				})
			}
			box.ServeHTTP(w, request)
		}
	})
	if _, err := r.box.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{Label: "leaving"}); err != nil {
		t.Fatal(err)
	}
	response, got := overGRPC(t, r, all(&bulk{Except: []string{"agent"}}))
	if got.status != nil {
		t.Fatal(got.status)
	}
	want := "05 muted=true; customer muted=true; front desk muted=true; late muted=true; leaving gone; supervisor muted=true; 5 updated, 0 failed, complete=true"
	if diff := cmp.Diff(want, summary(response)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestLastListFails: what is known is returned, and that participants may have been
// missed.
func TestLastListFails(t *testing.T) {
	var lists atomic.Int32
	r := start(t, func(s *setup) {
		s.upstream = func(w http.ResponseWriter, request *http.Request, box *sandbox.Sandbox) {
			if request.Method == http.MethodGet && lists.Add(1) > 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			box.ServeHTTP(w, request)
		}
	})
	response, got := overGRPC(t, r, all(&bulk{}))
	if got.status != nil {
		t.Fatal(got.status)
	}
	want := "05 muted=true; agent muted=true; " + others + "INCOMPLETE; 5 updated, 0 failed, complete=false"
	if diff := cmp.Diff(want, summary(response)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRepeatedUpdateParticipants: an announcement is played once to each participant, and
// the request ID is for one content.
func TestRepeatedUpdateParticipants(t *testing.T) {
	t.Run("memory", func(t *testing.T) { checkRepeated(t, start(t)) })
	t.Run("Redis", func(t *testing.T) { checkRepeated(t, start(t, sharing(redistest.StartMini(t)))) })
}

func checkRepeated(t *testing.T, r *running) {
	request := all(&bulk{
		RequestId: uuid.NewString(), Set: &conferencev1.ParticipantChange{AnnounceUrl: text("https://a.example/bell.mp3")},
	})
	for _, call := range bulkWays {
		if response, got := call(t, r, request); got.status != nil || response.(*conferencev1.UpdateParticipantsResponse).GetUpdated() != 5 {
			t.Errorf("%v, %v", response, got.status)
		}
	}
	for _, name := range []string{"agent", "customer"} {
		if played := participantIn(r.box.State(), name).Announcements; len(played) != 1 {
			t.Errorf("%s hears %v", name, played)
		}
	}
	request.Except = []string{"agent"}
	if _, got := overGRPC(t, r, request); !strings.Contains(fmt.Sprint(got.status), outcome.RequestIDReused.Reason) {
		t.Errorf("with other content: %v", got.status)
	}
	single := to("agent", &conferencev1.UpdateParticipantRequest{Muted: yes, RequestId: request.GetRequestId()})
	if got := callGRPC(t, t.Context(), r, single); !strings.Contains(fmt.Sprint(got.status), outcome.RequestIDReused.Reason) {
		t.Errorf("for an update of one participant: %v", got.status)
	}
	if lines := r.log.lines(t, "a record cannot be read"); len(lines) > 0 {
		t.Errorf("the log has %v", lines)
	}
}

// TestRepetitionReturnsTheResults: a repetition has the results of the first operation,
// whatever has become of the participants since.
func TestRepetitionReturnsTheResults(t *testing.T) {
	t.Run("memory", func(t *testing.T) { checkRepetition(t, start(t)) })
	t.Run("Redis", func(t *testing.T) { checkRepetition(t, start(t, sharing(redistest.StartMini(t)))) })
}

func checkRepetition(t *testing.T, r *running) {
	leave := func(names ...string) func() {
		return func() {
			for _, name := range names {
				r.box.HangUp(sandbox.ConferenceSID, name)
			}
		}
	}
	end := leave(sandbox.AgentSID, sandbox.CustomerSID, sandbox.SupervisorSID, sandbox.FrontDeskSID, sandbox.HeldSID)
	tests := []struct {
		name    string
		request *bulk
		since   func()
	}{
		{"the filter does not match any more", &bulk{Filter: &conferencev1.ParticipantFilter{Muted: no}}, func() {}},
		{"one has left", &bulk{}, leave("agent")},
		{"one with a name has left", &bulk{Participants: []string{"agent", "customer", "nobody"}}, leave("agent")},
		{"the conference has ended", &bulk{}, end},
		{"the conference with the name has ended", &bulk{ConferenceSid: "name:Support"}, end},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r.box.Reset()
			request := all(test.request)
			request.RequestId = uuid.NewString()
			var want string
			for i := range 3 {
				response, got := overGRPC(t, r, request)
				if got.status != nil {
					t.Fatal(got.status)
				}
				if i == 0 {
					want = summary(response)
					test.since()
				}
				if diff := cmp.Diff(want, summary(response)); diff != "" {
					t.Errorf("the results differ (-want +got):\n%s", diff)
				}
				request.Confirm = true // It is not part of the content.
			}
		})
	}
}

func TestPolicyOfUpdateParticipants(t *testing.T) {
	policy := writeFile(t, "rules: [{callers: [{anonymous: true}], accounts: ['*'], operations: [update], properties: [muted]}]\n")
	r := start(t, func(s *setup) { s.Settings = withFiles(t, s.Settings, settings.Files{Policy: policy}) })
	for name, test := range map[string]struct {
		request *bulk
		allowed bool
	}{
		"by Call SID":      {&bulk{Participants: []string{sandbox.AgentSID}}, true},
		"by label":         {&bulk{Participants: []string{"agent"}}, true},
		"everyone":         {&bulk{}, false},
		"an exception":     {&bulk{Participants: []string{"agent"}, Except: []string{"customer"}}, false},
		"a filter":         {&bulk{Participants: []string{"agent"}, Filter: &conferencev1.ParticipantFilter{Muted: no}}, false},
		"another property": {&bulk{Participants: []string{"agent"}, Set: &conferencev1.ParticipantChange{Hold: yes}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r.box.Reset()
			response, got := overGRPC(t, r, all(test.request))
			if refused := strings.Contains(fmt.Sprint(got.status), outcome.NotAllowed.Reason); refused == test.allowed {
				t.Errorf("%v, %v", response, got.status)
			}
			if requests := r.box.State().JournalLength; requests > 0 && !test.allowed {
				t.Errorf("%d updates were applied", requests)
			}
		})
	}
}

// TestAuditOfABulkOperation: each participant's update has a record, and so has the
// operation, all with one id.
func TestAuditOfABulkOperation(t *testing.T) {
	configure, read := audited(t)
	r := start(t, configure)
	id := uuid.NewString()
	if _, got := overGRPC(t, r, all(&bulk{RequestId: id, Participants: []string{sandbox.AgentSID, "customer"}})); got.status != nil {
		t.Fatal(got.status)
	}
	var records []string
	for _, record := range read() {
		if record.OperationID != id || record.Operation != "update" || record.ConferenceSID != sandbox.ConferenceSID {
			t.Errorf("%+v", record)
		}
		records = append(records, fmt.Sprint(record.CallSID, " ", record.Values, " ", record.Outcome, " ", record.Applied))
	}
	want := []string{
		" map[muted:true] OK yes", sandbox.AgentSID + " map[muted:true] OK yes", sandbox.CustomerSID + " map[muted:true] OK yes",
	}
	slices.Sort(records)
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	line := r.log.awaitLine(t, "call")
	if line["participants"] != 2.0 || line["updated"] != 2.0 || line["operation_id"] != id {
		t.Errorf("%v", line)
	}
}

// TestAuditFailureOfABulkOperation: no record can be written, and the error says that the
// updates were applied.
func TestAuditFailureOfABulkOperation(t *testing.T) {
	r := start(t, func(s *setup) { s.Audit = fullAudit(t) })
	_, got := overGRPC(t, r, all(&bulk{}))
	refusal{kind: outcome.AuditFailed, applied: "yes"}.check(t, got)
	if applied := r.box.State().JournalLength; applied != 5 {
		t.Errorf("%d updates were applied, want 5", applied)
	}
}

// TestDeadlineOfABulkOperation: the results say what is known, and the call succeeds.
func TestDeadlineOfABulkOperation(t *testing.T) {
	const want = "05 muted=true; agent muted=true; customer muted=true; fault:update:hang DEADLINE maybe; " +
		"front desk muted=true; supervisor muted=true; INCOMPLETE; 5 updated, 1 failed, complete=false"
	var text string
	tryLonger(func(timeout time.Duration) bool {
		r := start(t, func(s *setup) { s.DefaultTimeout = timeout })
		if _, err := r.box.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{Label: "fault:update:hang"}); err != nil {
			t.Fatal(err)
		}
		response, got := overGRPC(t, r, all(&bulk{}))
		text = fmt.Sprint(summary(response), got.status.GetMessage())
		return text == want
	})
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
