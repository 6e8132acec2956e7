package twilio

import (
	"encoding/json"
	"errors"
)

// Participant is Twilio's description of a participant, with every property
// as Twilio writes it. Only the status is never null.
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

// Answer is a successful update.
type Answer struct {
	Participant Participant
	HTTPStatus  int    // 2xx
	RequestID   string // Twilio-Request-Id, or ""
	Reused      bool   // whether the request went over a connection used before
}

// DecodeParticipant decodes Twilio's JSON. It ignores members that it does not
// know. It returns an error if data is not one JSON object with members of
// these types, or if the object has neither a status nor a Call SID and so
// describes no participant.
func DecodeParticipant(data []byte) (*Participant, error) {
	p := decodePlain(data)
	if p == nil {
		var err error
		if p, err = decodeJSON(data); err != nil {
			return nil, err
		}
	}
	if p.Status == "" && (p.CallSID == nil || *p.CallSID == "") {
		return nil, errors.New("twilio: the answer describes no participant")
	}
	return p, nil
}

// decodeJSON decodes any JSON.
func decodeJSON(data []byte) (*Participant, error) {
	var p struct {
		Participant
		QueueTime *looseText `json:"queue_time"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, err
	}
	p.Participant.QueueTime = (*string)(p.QueueTime)
	return &p.Participant, nil
}

// looseText is a JSON string, or a JSON number as it is written.
type looseText string

// UnmarshalJSON decodes a string or a number.
func (t *looseText) UnmarshalJSON(data []byte) error {
	if isNumber(data) {
		*t = looseText(data)
		return nil
	}
	return json.Unmarshal(data, (*string)(t))
}

// isNumber reports whether data, which is valid JSON, is a number.
func isNumber(data []byte) bool {
	return len(data) > 0 && (data[0] == '-' || '0' <= data[0] && data[0] <= '9')
}
