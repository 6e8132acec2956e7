package twilio_test

import (
	"encoding/json"
	"testing"

	"conferenced/service/twilio"

	"github.com/google/go-cmp/cmp"
)

// connected is an answer in Twilio's documentation.
const connected = `{
  "account_sid": "` + accountSID + `",
  "call_sid": "` + callSID + `",
  "label": null,
  "call_sid_to_coach": null,
  "coaching": false,
  "conference_sid": "` + conferenceSID + `",
  "date_created": "Fri, 18 Feb 2011 21:07:19 +0000",
  "date_updated": "Fri, 18 Feb 2011 21:07:19 +0000",
  "end_conference_on_exit": false,
  "muted": true,
  "hold": false,
  "start_conference_on_enter": true,
  "status": "connected",
  "queue_time": "1000",
  "uri": "/2010-04-01/Accounts/` + accountSID + `/Conferences/` + conferenceSID + `/Participants/` + callSID + `.json"
}`

func connectedParticipant() *twilio.Participant {
	return &twilio.Participant{
		AccountSID:             new(accountSID),
		CallSID:                new(callSID),
		Coaching:               new(false),
		ConferenceSID:          new(conferenceSID),
		DateCreated:            new("Fri, 18 Feb 2011 21:07:19 +0000"),
		DateUpdated:            new("Fri, 18 Feb 2011 21:07:19 +0000"),
		EndConferenceOnExit:    new(false),
		Muted:                  new(true),
		Hold:                   new(false),
		StartConferenceOnEnter: new(true),
		Status:                 "connected",
		QueueTime:              new("1000"),
		URI:                    new("/2010-04-01/Accounts/" + accountSID + "/Conferences/" + conferenceSID + "/Participants/" + callSID + ".json"),
	}
}

func TestDecodeParticipant(t *testing.T) {
	tests := []struct {
		name, data string
		want       *twilio.Participant
	}{
		{"Twilio's example", connected, connectedParticipant()},
		{"null for everything but the status", `{"label":null,"muted":null,"queue_time":null,"status":"queued"}`, &twilio.Participant{Status: "queued"}},
		{"a Call SID without a status", `{"call_sid":"CA1"}`, &twilio.Participant{CallSID: new("CA1")}},
		{"an unknown status", `{"status":"levitating"}`, &twilio.Participant{Status: "levitating"}},
		{"unknown members", `{"status":"failed","mood":{"a":[1]}}`, &twilio.Participant{Status: "failed"}},
		{"a queue time as a number", `{"status":"queued","queue_time":1500}`, &twilio.Participant{Status: "queued", QueueTime: new("1500")}},
		{"a negative queue time", `{"status":"queued","queue_time":-1}`, &twilio.Participant{Status: "queued", QueueTime: new("-1")}},
		{"a name with an escape", `{"\u0073tatus":"queued"}`, &twilio.Participant{Status: "queued"}},
		{"a name that is not UTF-8", "{\"status\":\"queued\",\"\xff\":1,\"\\ud800\":2}", &twilio.Participant{Status: "queued"}},
		{"a member twice", `{"status":"failed","label":"a","muted":true,"status":"queued","label":null,"muted":false}`, &twilio.Participant{Status: "queued", Muted: new(false)}},
		{"an empty label", `{"status":"queued","label":""}`, &twilio.Participant{Status: "queued", Label: new("")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := twilio.DecodeParticipant([]byte(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeParticipantRefuses(t *testing.T) {
	tests := []struct{ name, data string }{
		{"nothing", ""},
		{"null", "null"},
		{"an empty object", "{}"},
		{"an array", "[]"},
		{"an array of participants", "[" + connected + "]"},
		{"a string", `"connected"`},
		{"an error's body", `{"code":20404,"message":"not found"}`},
		{"an empty status and Call SID", `{"status":"","call_sid":""}`},
		{"a truncated object", connected[:100]},
		{"two objects", connected + connected},
		{"HTML", "<html></html>"},
		{"a number for a status", `{"status":1}`},
		{"a string for muted", `{"status":"queued","muted":"true"}`},
		{"an object for a queue time", `{"status":"queued","queue_time":{}}`},
		{"a boolean for a queue time", `{"status":"queued","queue_time":true}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := twilio.DecodeParticipant([]byte(tt.data)); err == nil {
				t.Errorf("decoded as %+v", got)
			}
		})
	}
}

func TestParticipantEncodesInTwiliosFormat(t *testing.T) {
	encoded, err := json.Marshal(connectedParticipant())
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(connected), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkDecodeParticipant(b *testing.B) {
	data := []byte(connected)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := twilio.DecodeParticipant(data); err != nil {
			b.Fatal(err)
		}
	}
}
