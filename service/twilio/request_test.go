package twilio_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"conferenced/service/property"
	"conferenced/service/twilio"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

const (
	accountPath    = "/2010-04-01/Accounts/" + accountSID
	conferencePath = accountPath + "/Conferences/" + conferenceSID
)

var (
	account    = twilio.Path{AccountSID: accountSID}
	conference = twilio.Path{AccountSID: accountSID, ConferenceSID: conferenceSID}
)

// TestRequests has a request and an answer of each operation.
func TestRequests(t *testing.T) {
	tests := []struct {
		request *twilio.Request
		line    string // What the server receives.
		status  int
		body    string
		want    *twilio.Answer
	}{
		{
			&twilio.Request{Operation: twilio.UpdateParticipant, Path: testPath("front desk"), Change: muting()},
			"POST " + conferencePath + "/Participants/front%20desk.json Muted=true", 200, connected,
			&twilio.Answer{Participant: *connectedParticipant()},
		},
		{
			&twilio.Request{Operation: twilio.RemoveParticipant, Path: testPath(callSID)},
			"DELETE " + conferencePath + "/Participants/" + callSID + ".json ", 204, "",
			&twilio.Answer{Participant: twilio.Participant{CallSID: new(callSID)}},
		},
		{
			&twilio.Request{Operation: twilio.FetchParticipant, Path: testPath("front desk")},
			"GET " + conferencePath + "/Participants/front%20desk.json ", 200, connected,
			&twilio.Answer{Participant: *connectedParticipant()},
		},
		{
			&twilio.Request{
				Operation: twilio.ListParticipants, Path: conference,
				Query: url.Values{"Muted": {"true"}, "Page": {"1"}, "PageToken": {"PA&x"}},
			},
			"GET " + conferencePath + "/Participants.json?Muted=true&Page=1&PageToken=PA%26x ", 200,
			`{"participants": [` + connected + `, {"queue_time": 7, "status": "queued"}],
				"page_size": 2, "uri": "https://twilio.test` + conferencePath + `/Participants.json?Page=1",
				"previous_page_uri": "https://evil.test/other.json",
				"next_page_uri": "` + conferencePath + `/Participants.json?Muted=true&PageSize=2&Page=2&PageToken=PA2"}`,
			&twilio.Answer{
				Participants: []twilio.Participant{*connectedParticipant(), {QueueTime: new("7"), Status: "queued"}},
				Next:         url.Values{"Page": {"2"}, "PageToken": {"PA2"}},
				Paging: &twilio.Paging{
					PageSize: jsontext.Value("2"), URI: new(conferencePath + "/Participants.json?Page=1"),
					NextPageURI: new(conferencePath + "/Participants.json?Muted=true&PageSize=2&Page=2&PageToken=PA2"),
				},
			},
		},
		{
			&twilio.Request{Operation: twilio.ListParticipants, Path: conference},
			"GET " + conferencePath + "/Participants.json ", 200, `{"participants": [], "next_page_uri": null}`,
			&twilio.Answer{Participants: []twilio.Participant{}, Paging: &twilio.Paging{}},
		},
		{
			&twilio.Request{Operation: twilio.FetchConference, Path: conference},
			"GET " + conferencePath + ".json ", 200, `{"sid": "` + conferenceSID + `", "status": "completed"}`,
			&twilio.Answer{Conferences: []twilio.Conference{{SID: conferenceSID, Status: new("completed")}}},
		},
		{
			&twilio.Request{Operation: twilio.ListConferences, Path: account, Query: url.Values{"FriendlyName": {"a b"}}},
			"GET " + accountPath + "/Conferences.json?FriendlyName=a+b ", 200,
			`{"conferences": [{"sid": "CF1", "account_sid": "` + accountSID + `", "friendly_name": "a b"}]}`,
			&twilio.Answer{Conferences: []twilio.Conference{
				{SID: "CF1", AccountSID: new(accountSID), FriendlyName: new("a b")},
			}, Paging: &twilio.Paging{}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				form, _ := io.ReadAll(r.Body)
				if line := r.Method + " " + r.RequestURI + " " + string(form); line != tt.line {
					t.Errorf("received %q, want %q", line, tt.line)
				}
				if typed := r.Header.Get("Content-Type") != ""; typed != (len(form) > 0) {
					t.Errorf("Content-Type %q", r.Header.Get("Content-Type"))
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			client, a := newClient(t, twilio.Config{}), testAccount(server.URL)
			for _, reused := range []bool{false, true} {
				got, err := client.Do(t.Context(), &a, tt.request, nil)
				tt.want.HTTPStatus, tt.want.Reused = tt.status, reused
				if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
					t.Errorf("error %v, answer (-want +got):\n%s", err, diff)
				}
			}
		})
	}
}

// TestAnswersToOtherRequests has answers with 2xx that are not the answer to the request.
func TestAnswersToOtherRequests(t *testing.T) {
	const other = "CF00000000000000000000000000000002"
	const foreign = "body answers another request"
	tests := []struct {
		name         string
		operation    twilio.Operation
		path         twilio.Path
		body, reason string
	}{
		{"a removal with a body", twilio.RemoveParticipant, testPath(callSID), connected, foreign},
		{"a fetch of another participant", twilio.FetchParticipant, testPath("CA00000000000000000000000000000002"), connected, foreign},
		{"a participant for a list", twilio.ListParticipants, conference, connected, "body describes no participants"},
		{"a list of null", twilio.ListParticipants, conference, `{"participants": null}`, "body describes no participants"},
		{"a list with nobody in it", twilio.ListParticipants, conference, `{"participants": [{}]}`, "body describes no participants"},
		{"a list of another conference", twilio.ListParticipants, conference,
			`{"participants": [{"status": "connected", "conference_sid": "` + other + `"}]}`, foreign},
		{"a page of another conference next", twilio.ListParticipants, conference,
			`{"participants": [], "next_page_uri": "` + accountPath + "/Conferences/" + other + `/Participants.json?Page=1"}`, foreign},
		{"the same page next", twilio.ListParticipants, conference,
			`{"participants": [], "next_page_uri": "` + conferencePath + `/Participants.json"}`, foreign},
		{"a list over the limit", twilio.ListParticipants, conference,
			`{"participants": []` + strings.Repeat(" ", 4<<20) + `}`, "body cannot be read"},
		{"another conference", twilio.FetchConference, conference, `{"sid": "` + other + `"}`, foreign},
		{"no conference", twilio.FetchConference, conference, `{}`, "body describes no conference"},
		{"a conference of another account", twilio.ListConferences, account,
			`{"conferences": [{"sid": "CF1", "account_sid": "` + otherSID + `"}]}`, foreign},
		{"conferences without a SID", twilio.ListConferences, account, `{"conferences": [{}]}`, "body describes no conferences"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, a := newClient(t, twilio.Config{}), testAccount(newServer(t, answer(200, tt.body)).URL)
			_, err := client.Do(t.Context(), &a, &twilio.Request{Operation: tt.operation, Path: tt.path}, nil)
			got := as[*twilio.AnswerError](t, err)
			if got.Reason != tt.reason || got.Foreign != (tt.reason == foreign) || got.Interrupted {
				t.Errorf("%+v, want %q", got, tt.reason)
			}
		})
	}
}

func TestALargeListIsRead(t *testing.T) {
	body := `{"participants": [` + connected + `]` + strings.Repeat(" ", 2<<20) + `}`
	client, a := newClient(t, twilio.Config{}), testAccount(newServer(t, answer(200, body)).URL)
	got, err := client.Do(t.Context(), &a, &twilio.Request{Operation: twilio.ListParticipants, Path: conference}, nil)
	if err != nil || len(got.Participants) != 1 {
		t.Errorf("%+v, error %v", got, err)
	}
}

func TestPathsOfOtherOperations(t *testing.T) {
	for name, request := range map[string]*twilio.Request{
		"a removal by label":                    {Operation: twilio.RemoveParticipant, Path: testPath("desk")},
		"a fetch of a conference":               {Operation: twilio.FetchParticipant, Path: conference},
		"a list of a participant":               {Operation: twilio.ListParticipants, Path: testPath(callSID)},
		"the participants of an account":        {Operation: twilio.ListParticipants, Path: account},
		"the conferences of a conference":       {Operation: twilio.ListConferences, Path: conference},
		"the conferences of dots":               {Operation: twilio.FetchConference, Path: twilio.Path{AccountSID: accountSID, ConferenceSID: ".."}},
		"the conferences of another account":    {Operation: twilio.ListConferences, Path: twilio.Path{AccountSID: otherSID}},
		"the update of a participant of nobody": {Path: conference, Change: new(property.Values)},
	} {
		t.Run(name, func(t *testing.T) {
			a := testAccount("http://127.0.0.1:1")
			_, err := newClient(t, twilio.Config{}).Do(t.Context(), &a, request, nil)
			as[*twilio.RequestError](t, err)
		})
	}
}
