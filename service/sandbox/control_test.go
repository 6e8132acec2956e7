package sandbox

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestStateHasEverythingButCredentials(t *testing.T) {
	s := newStage(t, Config{})
	s.clock.advance(time.Second)
	s.update(AgentSID, "HoldUrl=http://example.com/h&WaitUrl=&AnnounceUrl=http://example.com/a&BeepOnExit=true")
	s.update("fault:503", "Muted=true")
	got := s.get("/sandbox/state")
	if strings.Contains(got.body, AuthToken) || strings.Contains(got.body, APIKeySecret) {
		t.Error("the state has credentials")
	}
	state := got.json(t)
	account := state["accounts"].([]any)[0].(map[string]any)
	conferences := account["conferences"].([]any)
	conference := conferences[0].(map[string]any)
	participants := conference["participants"].([]any)
	diff(t, []any{3, 6}, []any{len(conferences), len(participants)})
	diff(t, map[string]any{
		"call_sid":      AgentSID,
		"label":         "agent",
		"status":        "connected",
		"muted":         false,
		"hold":          false,
		"hold_url":      "http://example.com/h",
		"hold_method":   "GET",
		"wait_url":      "",
		"wait_method":   "POST",
		"announcements": []any{map[string]any{"url": "http://example.com/a", "method": "POST", "time": "2011-02-18T21:07:20Z", "ends": "2011-02-18T21:07:25Z", "outcome": ""}},
		"playing": map[string]any{
			"kind": "announcement", "url": "http://example.com/a", "since": "2011-02-18T21:07:20Z", "ends": "2011-02-18T21:07:25Z",
		},
		"beep_on_enter":                    false,
		"beep_on_exit":                     true,
		"from":                             "",
		"to":                               "",
		"start_conference_on_enter":        true,
		"end_conference_on_exit":           true,
		"effective_end_conference_on_exit": true,
		"coaching":                         false,
		"call_sid_to_coach":                "",
		"queue_time":                       "",
		"date_created":                     "2011-02-18T21:07:19Z",
		"date_updated":                     "2011-02-18T21:07:20Z",
		"faults_served":                    0.0,
	}, participants[0].(map[string]any))
	diff(t, any(nil), participants[1].(map[string]any)["wait_url"])
	diff(t, 1.0, participants[5].(map[string]any)["faults_served"].(float64))

	delete(conference, "participants")
	diff(t, map[string]any{
		"sid":                        ConferenceSID,
		"account_sid":                AccountSID,
		"friendly_name":              "Support",
		"status":                     "in-progress",
		"region":                     "us1",
		"max_participants":           250.0,
		"reason_conference_ended":    "",
		"call_sid_ending_conference": "",
		"status_callback":            "",
		"status_callback_method":     "POST",
		"status_callback_event":      []any{},
		"sequence_number":            0.0,
		"calls_placed":               0.0,
		"announcements":              []any{},
		"faults_served":              0.0,
		"date_created":               "2011-02-18T21:07:19Z",
		"date_updated":               "2011-02-18T21:07:19Z",
	}, conference)
	delete(account, "conferences")
	diff(t, map[string]any{
		"accounts": []any{map[string]any{
			"sid": AccountSID, "owner_account_sid": AccountSID, "friendly_name": "Sandbox", "status": "active",
		}},
		"journal_length": 1.0,
		"faults_served":  map[string]any{"503": 1.0},
		"callbacks": map[string]any{
			"pending": 0.0, "delivered": 0.0, "failed": 0.0, "dropped": 0.0, "last_failure": "",
		},
	}, state)
}

func TestControlPages(t *testing.T) {
	tests := map[string]struct {
		method, path string
		status       int
		allow        string
	}{
		"the overview":                     {"GET", "/", http.StatusOK, ""},
		"the state":                        {"GET", "/sandbox/state", http.StatusOK, ""},
		"HEAD of the state":                {"HEAD", "/sandbox/state", http.StatusOK, ""},
		"reset":                            {"POST", "/sandbox/reset", http.StatusNoContent, ""},
		"GET of advance":                   {"GET", "/sandbox/advance", http.StatusMethodNotAllowed, "POST"},
		"advance without a duration":       {"POST", "/sandbox/advance", http.StatusBadRequest, ""},
		"advance by a negative duration":   {"POST", "/sandbox/advance?by=-1s", http.StatusBadRequest, ""},
		"advance":                          {"POST", "/sandbox/advance?by=1s", http.StatusNoContent, ""},
		"hang up an unknown participant":   {"POST", "/sandbox/hangup?ConferenceSid=" + ConferenceSID + "&CallSid=nobody", http.StatusNotFound, ""},
		"hang up in an unknown conference": {"POST", "/sandbox/hangup?ConferenceSid=CF1&CallSid=agent", http.StatusNotFound, ""},
		"hang up":                          {"POST", "/sandbox/hangup?ConferenceSid=" + ConferenceSID + "&CallSid=front+desk", http.StatusNoContent, ""},
		"an empty state":                   {"POST", "/sandbox/state", http.StatusBadRequest, ""},
		"DELETE of the state":              {"DELETE", "/sandbox/state", http.StatusMethodNotAllowed, "GET, HEAD, POST"},
		"the journal":                      {"GET", "/sandbox/journal", http.StatusOK, ""},
		"the faults":                       {"GET", "/sandbox/faults", http.StatusOK, ""},
		"reset of an unknown account":      {"POST", "/sandbox/reset?account=AC1", http.StatusNotFound, ""},
		"GET of reset":                     {"GET", "/sandbox/reset", http.StatusMethodNotAllowed, "POST"},
		"POST of the overview":             {"POST", "/", http.StatusMethodNotAllowed, "GET, HEAD"},
		"an unknown path":                  {"GET", "/other", http.StatusNotFound, ""},
		"the API's root without a slash":   {"GET", "/2010-04-01", http.StatusNotFound, ""},
	}
	s := newStage(t, Config{ErrorRate: 1})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := s.request(test.method, test.path, "")
			r.Header.Del("Authorization")
			got := s.do(r)
			diff(t, []any{test.status, test.allow}, []any{got.status, got.header.Get("Allow")})
		})
	}
}

// TestParametersOfControlPages: what a page does not know is refused, so that a request
// for one account, or for a part of the journal, never concerns all.
func TestParametersOfControlPages(t *testing.T) {
	const form, account = "application/x-www-form-urlencoded", "account=" + AccountSID
	tests := map[string]struct {
		method, path, contentType, body string
		status                          int
	}{
		"reset of an account":                {"POST", "/sandbox/reset", form, account, 204},
		"reset of an account in the query":   {"POST", "/sandbox/reset?" + account, "", "", 204},
		"reset of an account in JSON":        {"POST", "/sandbox/reset", "application/json", `{"account": "` + AccountSID + `"}`, 204},
		"reset with an empty object":         {"POST", "/sandbox/reset", "application/json", `{}`, 204},
		"reset with a misspelt key":          {"POST", "/sandbox/reset", "application/json", `{"acount": "` + AccountSID + `"}`, 400},
		"reset with another body":            {"POST", "/sandbox/reset", "text/plain", account, 400},
		"reset with a misspelt parameter":    {"POST", "/sandbox/reset", form, "acount=" + AccountSID, 400},
		"reset of two accounts":              {"POST", "/sandbox/reset?" + account, form, account, 400},
		"reset with a malformed query":       {"POST", "/sandbox/reset?account=%zz", "", "", 400},
		"reset with a malformed form":        {"POST", "/sandbox/reset", form, "account=%zz", 400},
		"empty the journal of requests":      {"DELETE", "/sandbox/journal?kind=request", "", "", 400},
		"empty the journal with a form":      {"DELETE", "/sandbox/journal", form, account, 400},
		"clear the faults with a form":       {"DELETE", "/sandbox/faults", form, account, 400},
		"the journal of an unknown kind":     {"GET", "/sandbox/journal?kind=requests", "", "", 400},
		"the journal of two kinds":           {"GET", "/sandbox/journal?kind=request&kind=callback", "", "", 400},
		"the faults of an operation":         {"GET", "/sandbox/faults?operation=update", "", "", 400},
		"clear the faults of an operation":   {"DELETE", "/sandbox/faults?operation=update", "", "", 400},
		"arm a fault with a query":           {"POST", "/sandbox/faults?" + account, form, `{"kind": "503"}`, 400},
		"arm a fault as curl sends it":       {"POST", "/sandbox/faults", form, `{"kind": "503"}`, 201},
		"load the state of an account":       {"POST", "/sandbox/state?" + account, "", "accounts: []", 400},
		"the state of an account":            {"GET", "/sandbox/state?" + account, "", "", 400},
		"advance an account":                 {"POST", "/sandbox/advance", form, "by=1s&" + account, 400},
		"hang up with a misspelt parameter":  {"POST", "/sandbox/hangup", form, "conference=" + ConferenceSID + "&CallSid=agent", 400},
		"the schema of the state of a query": {"GET", "/sandbox/state.schema.json?x=1", "", "", 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			s.update(AgentSID, "Muted=true")
			r := s.request(test.method, test.path, test.body)
			r.Header.Set("Content-Type", test.contentType)
			diff(t, test.status, s.do(r).status)
			if test.status == http.StatusBadRequest {
				diff(t, []any{1, 0, true}, []any{len(s.Journal()), len(s.Armed("")), s.participant(AgentSID).Muted})
			}
		})
	}
}

func TestPagesOfOtherOriginsAreRefused(t *testing.T) {
	s := New(Config{})
	defer s.Close()
	server := httptest.NewServer(s)
	defer server.Close()
	tests := []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"another origin", "POST", "/sandbox/reset", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"another site", "POST", "/sandbox/reset", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"a read of another origin", "GET", "/sandbox/state", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"a read of another site", "GET", "/", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"a link on another site", "GET", "/", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "navigate")
		}, 200},
		{"another origin at Twilio's API", "POST", "/2010-04-01/Accounts/" + AccountSID + "/Conferences/" + ConferenceSID + ".json",
			func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"another host's name", "GET", "/sandbox/state", func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"another host's name at Twilio's API", "GET", "/2010-04-01/Accounts/" + AccountSID + "/Conferences.json",
			func(r *http.Request) {
				r.Host = "api.twilio.com"
				r.SetBasicAuth(AccountSID, AuthToken)
			}, 200},
		{"localhost", "GET", "/sandbox/state", func(r *http.Request) { r.Host = "localhost:8010" }, 200},
		{"the page's own origin", "POST", "/sandbox/reset", func(r *http.Request) { r.Header.Set("Origin", "http://"+r.Host) }, 204},
		{"no browser", "POST", "/sandbox/reset", func(*http.Request) {}, 204},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request, err := http.NewRequest(test.method, server.URL+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			test.change(request)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			diff(t, test.want, response.StatusCode)
		})
	}
}
