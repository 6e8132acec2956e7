package twilio

import (
	"encoding/json"
	"errors"
	"strings"

	"conferenced/service/twilio/wire"
)

// Participant is Twilio's description of a participant, with every property as
// Twilio writes it. Only the status is never null.
type Participant struct {
	AccountSID             *string `json:"account_sid"`
	CallSID                *string `json:"call_sid"`
	Label                  *string `json:"label"`
	CallSIDToCoach         *string `json:"call_sid_to_coach"`
	Coaching               *bool   `json:"coaching"`
	ConferenceSID          *string `json:"conference_sid"`
	DateCreated            *string `json:"date_created"` // RFC 2822
	DateUpdated            *string `json:"date_updated"` // RFC 2822
	EndConferenceOnExit    *bool   `json:"end_conference_on_exit"`
	Muted                  *bool   `json:"muted"`
	Hold                   *bool   `json:"hold"`
	StartConferenceOnEnter *bool   `json:"start_conference_on_enter"`
	Status                 string  `json:"status"`
	QueueTime              *string `json:"queue_time"` // milliseconds; Twilio writes a string
	URI                    *string `json:"uri"`        // relative to the API's host
}

// Answer is Twilio's answer to a successful update.
type Answer struct {
	Participant Participant
	HTTPStatus  int    // 2xx
	RequestID   string // Twilio-Request-Id, or ""
	Reused      bool   // whether the request went over a connection used before
}

// readAnswer returns what the response to an update of the participant at p says.
func readAnswer(r *wire.Response, a *Account, p *ParticipantPath) (*Answer, error) {
	unusable := &AnswerError{HTTPStatus: r.StatusCode, RequestID: requestID(r.Header), Reused: r.Reused}
	switch status := r.StatusCode; {
	case status < 200, status >= 600:
		unusable.Reason = "unexpected status"
		return nil, unusable
	case status >= 400:
		return nil, newError(r, a, p.Participant)
	case status >= 300:
		unusable.Reason = "redirect not followed"
		return nil, unusable
	case r.BodyErr != nil:
		unusable.Reason, unusable.Err = "body cannot be read", r.BodyErr
		return nil, unusable
	}
	participant, err := DecodeParticipant(r.Body)
	switch {
	case err != nil:
		unusable.Reason, unusable.Err = "body is not a participant", err
		return nil, unusable
	case !participant.mayBeAt(p):
		unusable.Reason, unusable.Foreign = "body is about another participant", true
		return nil, unusable
	}
	return &Answer{Participant: *participant, HTTPStatus: r.StatusCode, RequestID: unusable.RequestID, Reused: r.Reused}, nil
}

// DecodeParticipant decodes Twilio's JSON. It ignores members that it does not
// know. It returns an error if data is not one JSON object with members of
// these types, or if the object has neither a status nor a Call SID and so
// describes no participant.
func DecodeParticipant(data []byte) (*Participant, error) {
	var p struct {
		Participant
		QueueTime *textOrNumber `json:"queue_time"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, err
	}
	if p.Status == "" && (p.CallSID == nil || *p.CallSID == "") {
		return nil, errors.New("twilio: the answer describes no participant")
	}
	p.Participant.QueueTime = (*string)(p.QueueTime)
	return &p.Participant, nil
}

// mayBeAt reports whether no member contradicts the path. A label or a SID that is
// null, missing or empty contradicts nothing, and case does not matter. Who is
// addressed by label may have any Call SID, and the other way round.
func (p *Participant) mayBeAt(path *ParticipantPath) bool {
	name := p.Label
	if isSID("CA", path.Participant) {
		name = p.CallSID
	}
	return mayBe(p.AccountSID, path.AccountSID) && mayBe(p.ConferenceSID, path.ConferenceSID) && mayBe(name, path.Participant)
}

func mayBe(got *string, want string) bool {
	return got == nil || *got == "" || strings.EqualFold(*got, want)
}

// textOrNumber is a JSON string, or a JSON number as it is written.
type textOrNumber string

// UnmarshalJSON decodes a string or a number.
func (t *textOrNumber) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && (data[0] == '-' || '0' <= data[0] && data[0] <= '9') {
		*t = textOrNumber(data)
		return nil
	}
	return json.Unmarshal(data, (*string)(t))
}
