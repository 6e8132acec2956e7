package gateway

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
)

// twilioHeaders are on each of Twilio's answers.
var twilioHeaders = http.Header{
	"Access-Control-Allow-Origin":  {"*"},
	"Access-Control-Allow-Methods": {"GET, POST, DELETE, OPTIONS"},
	"Access-Control-Allow-Headers": {"Accept, Authorization, Content-Type, If-Match, " +
		"If-Modified-Since, If-None-Match, If-Unmodified-Since, Idempotency-Key"},
	"Access-Control-Allow-Credentials": {"true"},
	"Access-Control-Expose-Headers":    {"ETag"},
}

// writeTwilio answers with a resource or an error in Twilio's form. Web pages,
// which alone heed the Access-Control headers, get those of the origins
// configured, here as everywhere.
func writeTwilio(w http.ResponseWriter, r *http.Request, code int, body any) {
	header := w.Header()
	if r.Header.Get("Origin") == "" {
		maps.Copy(header, twilioHeaders)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // The types of bodies are below, and each can be written.
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(text.Len()))
	w.WriteHeader(code)
	_, _ = w.Write(text.Bytes()) // A client that is gone cannot be told.
}

// twilioParticipant is a participant in Twilio's form.
type twilioParticipant struct {
	AccountSID             *string `json:"account_sid"`
	CallSID                *string `json:"call_sid"`
	Label                  *string `json:"label"`
	CallSIDToCoach         *string `json:"call_sid_to_coach"`
	Coaching               *bool   `json:"coaching"`
	ConferenceSID          *string `json:"conference_sid"`
	DateCreated            *string `json:"date_created"`
	DateUpdated            *string `json:"date_updated"`
	EndConferenceOnExit    *bool   `json:"end_conference_on_exit"`
	Muted                  *bool   `json:"muted"`
	Hold                   *bool   `json:"hold"`
	StartConferenceOnEnter *bool   `json:"start_conference_on_enter"`
	Status                 *string `json:"status"`
	QueueTime              *string `json:"queue_time"`
	URI                    *string `json:"uri"`
}

func participantJSON(p *conferencev1.Participant) *twilioParticipant {
	if p == nil {
		return new(twilioParticipant)
	}
	return &twilioParticipant{
		AccountSID:             p.AccountSid,
		CallSID:                p.CallSid,
		Label:                  p.Label,
		CallSIDToCoach:         p.CallSidToCoach,
		Coaching:               p.Coaching,
		ConferenceSID:          p.ConferenceSid,
		DateCreated:            dateText(p.GetDateCreated()),
		DateUpdated:            dateText(p.GetDateUpdated()),
		EndConferenceOnExit:    p.EndConferenceOnExit,
		Muted:                  p.Muted,
		Hold:                   p.Hold,
		StartConferenceOnEnter: p.StartConferenceOnEnter,
		Status:                 statusText(p.GetStatus()),
		QueueTime:              millisecondsText(p.GetQueueTime()),
		URI:                    p.Uri,
	}
}

// dateText is a date as of RFC 2822.
func dateText(at *timestamppb.Timestamp) *string {
	if at == nil {
		return nil
	}
	text := at.AsTime().Format(time.RFC1123Z)
	return &text
}

func millisecondsText(d *durationpb.Duration) *string {
	if d == nil {
		return nil
	}
	text := strconv.FormatInt(d.AsDuration().Milliseconds(), 10)
	return &text
}

// statusText is Twilio's word; none for a status that the API does not know.
func statusText(s conferencev1.ParticipantStatus) *string {
	if s == conferencev1.ParticipantStatus_PARTICIPANT_STATUS_UNSPECIFIED {
		return nil
	}
	text := strings.ToLower(strings.TrimPrefix(s.String(), "PARTICIPANT_STATUS_"))
	return &text
}
