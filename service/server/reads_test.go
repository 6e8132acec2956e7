package server

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// caller makes a call of any method over one protocol. The response is nil after an
// error.
type caller func(*testing.T, *running, proto.Message) (proto.Message, reply)

// methodOf returns the full name of the method with that request, and a response to
// read into.
func methodOf(t *testing.T, request proto.Message) (string, proto.Message) {
	t.Helper()
	desc := request.ProtoReflect().Descriptor()
	service := desc.ParentFile().Services().Get(0)
	method := service.Methods().ByName(protoreflect.Name(strings.TrimSuffix(string(desc.Name()), "Request")))
	kind, err := protoregistry.GlobalTypes.FindMessageByName(method.Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	return "/" + string(service.FullName()) + "/" + string(method.Name()), kind.New().Interface()
}

func overGRPC(t *testing.T, r *running, request proto.Message) (proto.Message, reply) {
	t.Helper()
	var header metadata.MD
	method, response := methodOf(t, request)
	err := r.conn.Invoke(t.Context(), method, request, response, grpc.Header(&header))
	got := reply{requestID: strings.Join(header.Get("twilio-request-id"), ",")}
	if err != nil {
		got.status = status.Convert(err).Proto()
		return nil, got
	}
	return response, got
}

// ways has the protocols of calls that are not updates.
var ways = map[string]caller{"grpc": overGRPC, "rest": overREST}

// overREST sends a GET or a DELETE with the fields that are not in the path in the query.
func overREST(t *testing.T, r *running, request proto.Message) (proto.Message, reply) {
	t.Helper()
	fields := url.Values{}
	request.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		fields.Set(string(field.Name()), value.String())
		return true
	})
	path := "/v1"
	if fields.Has("account_sid") {
		path += "/accounts/" + fields.Get("account_sid")
	}
	path += "/conferences/" + fields.Get("conference_sid") + "/participants"
	if _, ok := request.(interface{ GetCallSid() string }); ok {
		path += "/" + url.PathEscape(fields.Get("call_sid"))
	}
	for _, inPath := range []string{"account_sid", "conference_sid", "call_sid"} {
		fields.Del(inPath)
	}
	method, response := methodOf(t, request)
	verb := http.MethodGet
	if strings.Contains(method, "/Remove") {
		verb = http.MethodDelete
	}
	got := exchange(t, t.Context(), r, response, verb, path+"?"+fields.Encode(), "")
	if got.status != nil {
		return nil, got
	}
	return response, got
}

// participantsOf returns the sandbox's participants with the names, as the API shows
// them.
func participantsOf(state sandbox.State, names ...string) (shownAs []*conferencev1.Participant) {
	for _, name := range names {
		shownAs = append(shownAs, shown(participantIn(state, name)))
	}
	return shownAs
}

func TestReads(t *testing.T) {
	const conference, other = sandbox.ConferenceSID, "CF99999999999999999999999999999999"
	path := "/2010-04-01/Accounts/" + sandbox.AccountSID + "/Conferences/"
	r := start(t)
	state := r.box.State()
	get := func(name string) *conferencev1.GetParticipantRequest {
		return &conferencev1.GetParticipantRequest{ConferenceSid: conference, CallSid: name}
	}
	list := func(sid string) *conferencev1.ListParticipantsRequest {
		return &conferencev1.ListParticipantsRequest{AccountSid: sandbox.AccountSID, ConferenceSid: sid}
	}
	filtered := list(conference)
	filtered.Hold, filtered.Muted = proto.Bool(true), proto.Bool(false)
	for name, call := range ways {
		for _, test := range []struct {
			name    string
			request proto.Message
			want    proto.Message
			refused *refusal
		}{
			{"a participant", get(sandbox.AgentSID), &conferencev1.GetParticipantResponse{
				Participant: shown(participantIn(state, sandbox.AgentSID)),
			}, nil},
			{"a participant by label", get("front desk"), &conferencev1.GetParticipantResponse{
				Participant: shown(participantIn(state, "front desk")),
			}, nil},
			{"a participant of a conference by name", &conferencev1.GetParticipantRequest{
				ConferenceSid: "name:Support", CallSid: "agent",
			}, &conferencev1.GetParticipantResponse{Participant: shown(participantIn(state, "agent"))}, nil},
			{"a list of a conference by name", list("name:Support"), &conferencev1.ListParticipantsResponse{
				Participants: participantsOf(state, sandbox.AgentSID, sandbox.CustomerSID, sandbox.SupervisorSID,
					sandbox.FrontDeskSID, sandbox.HeldSID),
			}, nil},
			{"a list of a name that no conference has", list("name:sales"), nil, noConference("name%3Asales")},
			{"nobody", get("nobody"), nil, &refusal{
				kind: outcome.ParticipantNotFound, twilioStatus: 404, twilioCode: 20404,
				detail:   "The requested resource " + path + conference + "/Participants/[redacted].json was not found",
				resource: path + conference + "/Participants/nobody.json",
			}},
			{"a list of a name without name:", list("support"), nil, violates("conference_sid", conferenceRule)},
			{"a negative page size", &conferencev1.ListParticipantsRequest{ConferenceSid: conference, PageSize: -1}, nil,
				violates("page_size", "must be greater than or equal to 0")},
			{"a list", list(conference), &conferencev1.ListParticipantsResponse{
				Participants: participantsOf(state, sandbox.AgentSID, sandbox.CustomerSID, sandbox.SupervisorSID,
					sandbox.FrontDeskSID, sandbox.HeldSID),
			}, nil},
			{"a list with filters", filtered, &conferencev1.ListParticipantsResponse{
				Participants: participantsOf(state, sandbox.HeldSID),
			}, nil},
			{"a list of no conference", list(other), nil, &refusal{
				kind: outcome.ConferenceNotFound, twilioStatus: 404, twilioCode: 20404,
				detail:   "The requested resource " + path + other + "/Participants.json was not found",
				resource: path + other + ".json",
			}},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				response, got := call(t, r, test.request)
				if test.refused != nil {
					test.refused.check(t, got)
					return
				}
				if diff := cmp.Diff(test.want, response, protocmp.Transform()); diff != "" {
					t.Errorf("%v (-want +got):\n%s", got.status, diff)
				}
				if !twilioRequestID.MatchString(got.requestID) {
					t.Errorf("the header has the request id %q", got.requestID)
				}
			})
		}
	}
}

// TestPages follows the page tokens of a list, and uses one for other lists.
func TestPages(t *testing.T) {
	for _, conference := range []string{sandbox.ConferenceSID, "name:Support"} {
		t.Run(conference, func(t *testing.T) { testPages(t, conference) })
	}
}

func testPages(t *testing.T, conference string) {
	r := start(t)
	request := func(change ...func(*conferencev1.ListParticipantsRequest)) *conferencev1.ListParticipantsRequest {
		message := &conferencev1.ListParticipantsRequest{ConferenceSid: conference, PageSize: 2}
		for _, change := range change {
			change(message)
		}
		return message
	}
	for name, call := range ways {
		t.Run(name, func(t *testing.T) {
			var seen []string
			var tokens []string
			for token := ""; len(tokens) == 0 || token != ""; {
				response, got := call(t, r, request(func(l *conferencev1.ListParticipantsRequest) { l.PageToken = token }))
				page, ok := response.(*conferencev1.ListParticipantsResponse)
				if !ok {
					t.Fatal(got.status)
				}
				for _, p := range page.GetParticipants() {
					seen = append(seen, p.GetCallSid())
				}
				token = page.GetNextPageToken()
				tokens = append(tokens, token)
			}
			want := []string{sandbox.AgentSID, sandbox.CustomerSID, sandbox.SupervisorSID, sandbox.FrontDeskSID, sandbox.HeldSID}
			if diff := cmp.Diff(want, seen); diff != "" || len(tokens) != 3 {
				t.Errorf("%d pages, participants (-want +got):\n%s", len(tokens), diff)
			}
			for what, change := range map[string]func(*conferencev1.ListParticipantsRequest){
				"another conference": func(l *conferencev1.ListParticipantsRequest) { l.ConferenceSid = "CF" + strings.Repeat("9", 32) },
				"another name":       func(l *conferencev1.ListParticipantsRequest) { l.ConferenceSid = "name:support" },
				"another filter":     func(l *conferencev1.ListParticipantsRequest) { l.Muted = proto.Bool(true) },
				"a part":             func(l *conferencev1.ListParticipantsRequest) { l.PageToken = tokens[0][:len(tokens[0])/2] },
				"no page":            func(l *conferencev1.ListParticipantsRequest) { l.PageToken = tokens[0][:22] },
				"no token":           func(l *conferencev1.ListParticipantsRequest) { l.PageToken = "https://evil.example/" },
			} {
				t.Run(what, func(t *testing.T) {
					const rule = "must be the next_page_token of a response about the same account, conference and filters"
					_, got := call(t, r, request(func(l *conferencev1.ListParticipantsRequest) { l.PageToken = tokens[0] }, change))
					refusal{
						kind: outcome.InvalidRequest, detail: "page_token: " + rule, broken: []string{"page_token", rule},
					}.check(t, got)
				})
			}
		})
	}
}

func TestRemovals(t *testing.T) {
	r := start(t)
	for name, call := range ways {
		for _, test := range []struct {
			name, participant string
			joins             bool     // The participant joins the conference first.
			want              *refusal // nil: the participant is removed.
		}{
			{"by Call SID", sandbox.AgentSID, false, nil},
			{"by label", "front desk", false, nil},
			{"nobody", "nobody", false, absent(sandbox.ConferenceSID, "nobody")},
			{"the answer is lost", "fault:remove:reset-after", true, nil},
			{"Twilio fails", "fault:remove:503", true, &refusal{
				kind: outcome.UnrepeatableOutcomeUnknown, applied: "maybe", twilioStatus: 503, twilioCode: 20503,
			}},
			{"the participant cannot be looked up", "fault:fetch:503", true, &refusal{
				kind: outcome.TwilioFailed, twilioStatus: 503, twilioCode: 20503, retry: time.Second,
			}},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				r.box.Reset()
				if test.joins {
					if _, err := r.box.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{Label: test.participant}); err != nil {
						t.Fatal(err)
					}
				}
				before := participantIn(r.box.State(), test.participant)
				response, got := call(t, r, &conferencev1.RemoveParticipantRequest{
					ConferenceSid: sandbox.ConferenceSID, CallSid: test.participant,
				})
				after := participantIn(r.box.State(), test.participant)
				if test.want != nil {
					test.want.check(t, got)
					if (before == nil) != (after == nil) {
						t.Error("the participant was removed")
					}
					return
				}
				removed, ok := response.(*conferencev1.RemoveParticipantResponse)
				if !ok || removed.GetCallSid() != before.CallSID || after != nil {
					t.Errorf("response %v, %v, want %s; left: %v", response, got.status, before.CallSID, after)
				}
			})
		}
	}
}

// TestARemovalThatIsRepeated: the same request ID does not remove the label's next owner.
func TestARemovalThatIsRepeated(t *testing.T) {
	r := start(t)
	for name, call := range ways {
		t.Run(name, func(t *testing.T) {
			r.box.Reset()
			removal := &conferencev1.RemoveParticipantRequest{
				ConferenceSid: sandbox.ConferenceSID, CallSid: "front desk", RequestId: uuid.NewString(),
			}
			first, got := call(t, r, removal)
			if got.status != nil {
				t.Fatal(got.status)
			}
			if _, err := r.box.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{Label: "front desk"}); err != nil {
				t.Fatal(err)
			}
			again, _ := call(t, r, removal)
			if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" {
				t.Errorf("(-first +again):\n%s", diff)
			}
			if participantIn(r.box.State(), "front desk") == nil {
				t.Error("the next owner of the label was removed")
			}
		})
	}
}

// TestIdempotencyKeyOfARemoval: the header is the request ID of a DELETE.
func TestIdempotencyKeyOfARemoval(t *testing.T) {
	r := start(t)
	key := uuid.NewString()
	sendRemoval := func(query string) reply {
		path := "/v1/conferences/" + sandbox.ConferenceSID + "/participants/" + sandbox.AgentSID
		return exchange(t, t.Context(), r, new(conferencev1.RemoveParticipantResponse), http.MethodDelete, path+query, "", "Idempotency-Key", `"`+key+`"`)
	}
	for _, query := range []string{"", "?request_id=" + strings.ToUpper(key)} { // The second would get a 404 if it was sent.
		if got := sendRemoval(query); got.status != nil {
			t.Error(got.status)
		}
	}
	got := sendRemoval("?request_id=" + uuid.NewString())
	const rule = "differs from the Idempotency-Key header: give one of them, or the same in both"
	refusal{kind: outcome.InvalidRequest, detail: "request_id " + rule, broken: []string{"request_id", rule}}.check(t, got)
}
