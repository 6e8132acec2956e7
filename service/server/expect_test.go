package server

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// refusal is an expected error, over any protocol.
type refusal struct {
	kind    outcome.Kind
	detail  string
	applied string // "" is no
	// twilioStatus and twilioCode are those of Twilio's answer.
	twilioStatus, twilioCode int
	// broken has pairs of a field and the rule that it breaks.
	broken   []string
	resource string
	retry    time.Duration
}

// status returns the google.rpc.Status of the refusal.
func (r refusal) status() *spb.Status {
	st := &spb.Status{Code: int32(r.kind.Code), Message: r.kind.Text}
	if r.detail != "" {
		st.Message += ": " + r.detail
	}
	st.Details = append(st.Details, packed(&errdetails.ErrorInfo{
		Reason: r.kind.Reason, Domain: "conferenced", Metadata: r.metadata(),
	}))
	if len(r.broken) > 0 {
		st.Details = append(st.Details, packed(r.badRequest()))
	}
	if r.resource != "" {
		st.Details = append(st.Details, packed(&errdetails.ResourceInfo{
			ResourceType: map[bool]string{true: "twilio.com/conference_participant", false: "twilio.com/conference"}[strings.Contains(r.resource, "/Participants/")],
			ResourceName: r.resource, Description: r.kind.Text,
		}))
	}
	if r.retry > 0 {
		st.Details = append(st.Details, packed(&errdetails.RetryInfo{RetryDelay: durationpb.New(r.retry)}))
	}
	return st
}

func (r refusal) metadata() map[string]string {
	metadata := map[string]string{"applied": "no"}
	if r.applied != "" {
		metadata["applied"] = r.applied
	}
	if r.twilioStatus != 0 {
		metadata["twilio_status"] = strconv.Itoa(r.twilioStatus)
		metadata["twilio_request_id"] = someRequestID
	}
	if r.twilioCode != 0 {
		metadata["twilio_code"] = strconv.Itoa(r.twilioCode)
		metadata["more_info"] = "https://www.twilio.com/docs/errors/" + strconv.Itoa(r.twilioCode)
	}
	return metadata
}

func (r refusal) badRequest() *errdetails.BadRequest {
	bad := new(errdetails.BadRequest)
	for i := 0; i < len(r.broken); i += 2 {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: r.broken[i], Description: r.broken[i+1],
		})
	}
	return bad
}

// check compares a reply with the refusal: the status with all its details, and over
// REST the status line and the headers.
func (r refusal) check(t *testing.T, got reply) {
	t.Helper()
	if got.status == nil {
		t.Fatalf("no error: %v", got.response)
	}
	id := takeRequestID(t, got.status)
	if diff := cmp.Diff(r.status(), got.status, protocmp.Transform()); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if id != got.requestID {
		t.Errorf("the header has the request id %q, the details have %q", got.requestID, id)
	}
	if id != "" && !twilioRequestID.MatchString(id) {
		t.Errorf("the request id %q is not Twilio's", id)
	}
	if got.header != nil {
		r.checkHTTP(t, got)
	}
}

func (r refusal) checkHTTP(t *testing.T, got reply) {
	t.Helper()
	if got.code != r.kind.HTTP {
		t.Errorf("HTTP status %d, want %d", got.code, r.kind.HTTP)
	}
	after := ""
	if r.retry > 0 {
		after = strconv.Itoa(int(math.Ceil(r.retry.Seconds())))
	}
	if diff := cmp.Diff(after, got.header.Get("Retry-After")); diff != "" {
		t.Errorf("Retry-After (-want +got):\n%s", diff)
	}
}

// checkResponse compares a reply with the response that shows a participant.
func checkResponse(t *testing.T, got reply, p *sandbox.Participant, warnings []*conferencev1.Warning) {
	t.Helper()
	if got.status != nil {
		t.Fatalf("an error: %v", got.status)
	}
	want := &conferencev1.UpdateParticipantResponse{Participant: shown(p), Warnings: warnings}
	if diff := cmp.Diff(want, got.response, protocmp.Transform()); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	if !twilioRequestID.MatchString(got.requestID) {
		t.Errorf("the header has the request id %q", got.requestID)
	}
}

// shown returns the API's message of a connected participant of the sandbox.
func shown(p *sandbox.Participant) *conferencev1.Participant {
	return &conferencev1.Participant{
		AccountSid:             proto.String(sandbox.AccountSID),
		CallSid:                proto.String(p.CallSID),
		Label:                  unlessEmpty(p.Label),
		CallSidToCoach:         unlessEmpty(p.CallSIDToCoach),
		Coaching:               proto.Bool(p.Coaching),
		ConferenceSid:          proto.String(sandbox.ConferenceSID),
		DateCreated:            timestamppb.New(p.DateCreated),
		DateUpdated:            timestamppb.New(p.DateUpdated),
		EndConferenceOnExit:    proto.Bool(p.EndConferenceOnExit),
		Muted:                  proto.Bool(p.Muted),
		Hold:                   proto.Bool(p.Hold),
		StartConferenceOnEnter: proto.Bool(p.StartConferenceOnEnter),
		Status:                 conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
		Uri: proto.String("/2010-04-01/Accounts/" + sandbox.AccountSID +
			"/Conferences/" + sandbox.ConferenceSID + "/Participants/" + p.CallSID + ".json"),
	}
}

func unlessEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// participantIn returns the participant of the sandbox's conference with that
// Call SID or label, or nil.
func participantIn(state sandbox.State, name string) *sandbox.Participant {
	for _, conference := range state.Accounts[0].Conferences {
		if conference.SID != sandbox.ConferenceSID {
			continue
		}
		for _, p := range conference.Participants {
			if p.CallSID == name || p.Label != "" && p.Label == name {
				return p
			}
		}
	}
	return nil
}
