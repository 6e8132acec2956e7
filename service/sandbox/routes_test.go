package sandbox

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

func TestCredentials(t *testing.T) {
	other := strings.Replace(participantPath(AgentSID), AccountSID, "AC"+strings.Repeat("0", 32), 1)
	tests := map[string]struct {
		user, password, path string
		want                 string
	}{
		"the account's token":            {AccountSID, AuthToken, participantPath(AgentSID), "200"},
		"an API key and its secret":      {APIKeySID, APIKeySecret, participantPath(AgentSID), "200"},
		"a wrong token":                  {AccountSID, "wrong", participantPath(AgentSID), "401/20003"},
		"the token of the account's key": {AccountSID, APIKeySecret, participantPath(AgentSID), "401/20003"},
		"a wrong secret":                 {APIKeySID, AuthToken, participantPath(AgentSID), "401/20003"},
		"an unknown account":             {"AC" + strings.Repeat("0", 32), AuthToken, participantPath(AgentSID), "401/20003"},
		"another account's path":         {AccountSID, AuthToken, other, "401/20003"},
		"a key in another account":       {APIKeySID, APIKeySecret, other, "401/20003"},
		"no credentials":                 {"", "", participantPath(AgentSID), "401/20003"},
		"no credentials, unknown path":   {"", "", "/2010-04-01/Nothing.json", "401/20003"},
	}
	s := newStage(t, Config{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := s.request(http.MethodGet, test.path, "")
			r.Header.Del("Authorization")
			if test.user != "" {
				r.SetBasicAuth(test.user, test.password)
			}
			got := s.do(r)
			diff(t, test.want, got.outcome())
			challenged := got.header.Get("WWW-Authenticate") == `Basic realm="Twilio API"`
			diff(t, got.status == http.StatusUnauthorized, challenged)
		})
	}
}

func TestPaths(t *testing.T) {
	account := "/2010-04-01/Accounts/" + AccountSID
	absent := "CF" + strings.Repeat("0", 32)
	tests := map[string]struct {
		method, path string
		want         string
	}{
		"a participant":                               {"GET", participantPath(AgentSID), "200"},
		"a participant by label":                      {"GET", participantPath("agent"), "200"},
		"a participant of a starting conference":      {"GET", participantsPath(InitConferenceSID) + "/caller.json", "200"},
		"an unknown participant":                      {"POST", participantPath("nobody"), "404/20404"},
		"an unknown Call SID":                         {"GET", participantPath("CA" + strings.Repeat("0", 32)), "404/20404"},
		"no participant":                              {"POST", participantPath(""), "404/20404"},
		"a participant of a completed conference":     {"POST", participantsPath(CompletedConferenceSID) + "/agent.json", "404/20404"},
		"a fault label in a completed conference":     {"POST", participantsPath(CompletedConferenceSID) + "/fault:503.json", "404/20404"},
		"a participant of another conference":         {"GET", participantsPath(InitConferenceSID) + "/agent.json", "404/20404"},
		"an unknown conference":                       {"POST", participantsPath(absent) + "/agent.json", "404/20404"},
		"an unknown conference's list":                {"GET", participantsPath(absent) + ".json", "404/20404"},
		"a malformed conference SID":                  {"POST", participantsPath("CF1") + "/agent.json", "405/20004"},
		"a malformed conference SID, fetched":         {"GET", participantsPath("front desk") + "/agent.json", "405/20004"},
		"a malformed conference SID's list":           {"GET", participantsPath("CF1") + ".json", "405/20004"},
		"a method that participants do not have":      {"PUT", participantPath(AgentSID), "405/20004"},
		"a method that lists do not have":             {"PATCH", participantsPath(ConferenceSID) + ".json", "405/20004"},
		"a conference":                                {"GET", account + "/Conferences/" + ConferenceSID + ".json", "200"},
		"an unknown conference, fetched":              {"GET", account + "/Conferences/" + absent + ".json", "404/20404"},
		"an unknown conference, ended":                {"POST", account + "/Conferences/" + absent + ".json", "404/20404"},
		"a conference by its name":                    {"GET", account + "/Conferences/Support.json", "405/20004"},
		"a conference, deleted":                       {"DELETE", account + "/Conferences/" + ConferenceSID + ".json", "405/20004"},
		"the conferences":                             {"GET", account + "/Conferences.json", "200"},
		"the conferences, posted to":                  {"POST", account + "/Conferences.json", "405/20004"},
		"an unknown participant, removed":             {"DELETE", participantPath("nobody"), "404/20404"},
		"a participant of a malformed conference":     {"DELETE", participantsPath("CF1") + "/agent.json", "405/20004"},
		"the participants of a list, removed":         {"DELETE", participantsPath(ConferenceSID) + ".json", "405/20004"},
		"a new participant of an unknown conference":  {"POST", participantsPath(absent) + ".json", "404/16022"},
		"a new participant of a completed conference": {"POST", participantsPath(CompletedConferenceSID) + ".json", "404/16022"},
		"a new participant of no conference":          {"POST", participantsPath("") + ".json", "404/20404"},
		"an account":                                  {"GET", account + ".json", "404/20404"},
		"something below a participant":               {"GET", participantPath(AgentSID + "/More"), "404/20404"},
		"another resource":                            {"GET", account + "/Conferences/" + ConferenceSID + "/Recordings.json", "404/20404"},
		"a separator that is escaped":                 {"GET", account + "/Conferences/" + ConferenceSID + "/Participants%2Fagent.json", "404/20404"},
		"escapes in other segments":                   {"GET", strings.Replace(participantPath("agent"), "CFcf", "%43Fcf", 1), "200"},
		"an update of a starting conference":          {"POST", participantsPath(InitConferenceSID) + "/caller.json", "400/16099"},
		"a fault label in a starting conference":      {"POST", participantsPath(InitConferenceSID) + "/fault:503.json", "404/20404"},
		"a malformed fault label":                     {"POST", participantPath("fault:nothing"), "404/20404"},
		"a fault label that has not been used":        {"GET", participantPath("fault:503"), "404/20404"},
		"a fault label that is too long":              {"POST", participantPath("fault:slow=" + strings.Repeat("0", 128) + "1ms"), "404/20404"},
	}
	s := newStage(t, Config{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := strings.ReplaceAll(test.path, " ", "%20")
			diff(t, test.want, s.do(s.request(test.method, path, "")).outcome())
		})
	}
	diff(t, 0, len(s.Journal()))
}

func TestMethodNotAllowedHasAllow(t *testing.T) {
	s := newStage(t, Config{})
	for path, want := range map[string]string{
		participantPath(AgentSID):                                    "DELETE, GET, HEAD, POST",
		participantsPath(ConferenceSID) + ".json":                    "GET, HEAD, POST",
		strings.TrimSuffix(participantsPath("X"), "/X/Participants"): "GET, HEAD",
	} {
		diff(t, want, s.do(s.request(http.MethodPut, path, "")).header.Get("Allow"))
	}
}

func TestLabelsAreDecodedOnce(t *testing.T) {
	tests := map[string]struct{ label, key string }{
		"a space":                       {"back office", "back%20office"},
		"a letter beyond ASCII":         {"café", "caf%C3%A9"},
		"a letter beyond ASCII, lower":  {"cafés", "caf%c3%a9s"},
		"a percent sign":                {"100%", "100%25"},
		"an escaped percent sign":       {"100%25", "100%2525"},
		"an escape for a slash":         {"a%2Fb", "a%252Fb"},
		"a question mark":               {"a?b", "a%3Fb"},
		"a hash":                        {"a#b", "a%23b"},
		"a plus":                        {"a+b", "a+b"},
		"an escaped plus":               {"c+d", "c%2Bd"},
		"a dot":                         {".", "."},
		"two dots":                      {"..", ".."},
		"a suffix .json":                {"a.json", "a.json"},
		"an ampersand and equals":       {"a&b=c", "a&b=c"},
		"a semicolon":                   {"a;b", "a;b"},
		"a colon":                       {"sip:a@b", "sip:a@b"},
		"an emoji":                      {"☎️", "%E2%98%8E%EF%B8%8F"},
		"a quotation mark and brackets": {`"<a>"`, "%22%3Ca%3E%22"},
	}
	s := newStage(t, Config{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			added, err := s.AddParticipant(ConferenceSID, Participant{Label: test.label})
			if err != nil {
				t.Fatal(err)
			}
			got := s.update(test.key, "Muted=true").json(t)
			diff(t, []any{test.label, added.CallSID, true}, []any{got["label"], got["call_sid"], got["muted"]})
		})
	}
	for _, key := range []string{"front%2520desk", "front+desk", "front%2Fdesk", "a%2Fb", "%2F"} {
		t.Run(key, func(t *testing.T) {
			diff(t, "404/20404", s.update(key, "Muted=true").outcome())
		})
	}
	if got := s.update("front%20desk", "Muted=true").json(t)["call_sid"]; got != FrontDeskSID {
		t.Errorf("the front desk's Call SID is %v, want %s", got, FrontDeskSID)
	}
}

func TestBodies(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	tests := map[string]struct {
		contentType, body string
		want              string
	}{
		"a form with a charset":         {form + "; charset=utf-8", "Muted=true", "200"},
		"a form without a type":         {"", "Muted=true", "200"},
		"an empty body of another type": {"application/json", "", "200"},
		"the largest body":              {form, "Muted=" + strings.Repeat("x", maxBody-len("Muted=")), "200"},
		"a body over the limit":         {form, strings.Repeat("x", maxBody+1), "413/20413"},
		"a broken escape":               {form, "Muted=%zz", "400/20001"},
		"a semicolon as separator":      {form, "Muted=true;Hold=true", "400/20001"},
		"JSON":                          {"application/json", `{"Muted":true}`, "400/20001"},
		"a malformed type":              {"; ;", "Muted=true", "400/20001"},
		"a multipart form":              {"multipart/form-data; boundary=x", "--x--", "400/20001"},
		"JSON that claims to be a form": {form, `{"Muted":true}`, "200"}, // It is an unknown field.
	}
	s := newStage(t, Config{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := s.request(http.MethodPost, participantPath(AgentSID), test.body)
			r.Header.Del("Content-Type")
			if test.contentType != "" {
				r.Header.Set("Content-Type", test.contentType)
			}
			diff(t, test.want, s.do(r).outcome())
		})
	}
}

func TestIncompleteBodyIsNotApplied(t *testing.T) {
	s, w := New(Config{}), httptest.NewRecorder()
	r := newRequest(t, "http://sandbox", http.MethodPost, participantPath(AgentSID), "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("Muted=true"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	s.ServeHTTP(w, r)
	diff(t, []int{400, 0}, []int{w.Code, len(s.Journal())})
}
