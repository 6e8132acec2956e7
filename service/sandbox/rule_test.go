package sandbox

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// arm arms a fault over HTTP.
func (s *stage) arm(rule string) reply {
	s.t.Helper()
	return s.call(http.MethodPost, "/sandbox/faults", rule)
}

func TestArmedFaults(t *testing.T) {
	update := http.MethodPost + " " + participantPath(AgentSID)
	other := http.MethodPost + " " + participantPath("customer")
	fetch := http.MethodGet + " " + participantPath(AgentSID)
	list := http.MethodGet + " " + participantsPath(ConferenceSID) + ".json"
	byName := http.MethodGet + " " + conferencesPath + ".json?FriendlyName=Support"
	remove := http.MethodDelete + " " + participantPath("customer")
	tests := map[string]struct {
		rule     string
		requests []string
		want     []string
	}{
		"the next request":               {`{"kind": "503"}`, []string{fetch, fetch}, []string{"503/20503", "200"}},
		"several requests":               {`{"kind": "429", "times": 2}`, []string{fetch, list, update}, []string{"429/20429", "429/20429", "200"}},
		"every request":                  {`{"kind": "conflict", "times": 0}`, []string{fetch, list, update}, []string{"409/20409", "409/20409", "409/20409"}},
		"an account":                     {`{"kind": "503", "account": "` + AccountSID + `"}`, []string{update}, []string{"503/20503"}},
		"a conference by SID":            {`{"kind": "503", "conference": "` + ConferenceSID + `"}`, []string{list}, []string{"503/20503"}},
		"a conference by name":           {`{"kind": "503", "conference": "Support"}`, []string{byName}, []string{"503/20503"}},
		"another conference":             {`{"kind": "503", "conference": "Over"}`, []string{byName, list}, []string{"200", "200"}},
		"a participant by label":         {`{"kind": "503", "participant": "agent"}`, []string{other, update}, []string{"200", "503/20503"}},
		"a participant by SID":           {`{"kind": "503", "participant": "` + CustomerSID + `"}`, []string{update, other}, []string{"200", "503/20503"}},
		"a participant that is not here": {`{"kind": "503", "participant": "nobody"}`, []string{http.MethodGet + " " + participantPath("nobody")}, []string{"503/20503"}},
		"an operation":                   {`{"kind": "reset-after", "operation": "remove"}`, []string{other, remove, remove}, []string{"200", "reset", "404/20404"}},
		"reads":                          {`{"kind": "503", "operation": "read", "times": 2}`, []string{update, byName, fetch}, []string{"200", "503/20503", "503/20503"}},
		"a property":                     {`{"kind": "503", "property": "Hold"}`, []string{update, fetch}, []string{"200", "200"}},
		"a property that is set":         {`{"kind": "503", "property": "Muted"}`, []string{fetch, update}, []string{"200", "503/20503"}},
		"a timeout of a proxy":           {`{"kind": "408"}`, []string{update}, []string{"408"}},
		"a status":                       {`{"status": 418}`, []string{update}, []string{"418"}},
		"a status and a code":            {`{"status": 400, "code": 16025}`, []string{update}, []string{"400/16025"}},
		"a body of JSON":                 {`{"status": 400, "body": {"code": "16025"}}`, []string{update}, []string{"400"}},
		"a body of HTML":                 {`{"status": 502, "body": "<html>"}`, []string{update}, []string{"502 HTML"}},
		"a delay":                        {`{"delay_before": "1ms", "delay_after": "1ms"}`, []string{update}, []string{"200"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			diff(t, 201, s.arm(test.rule).status)
			for i, request := range test.requests {
				method, path, _ := strings.Cut(request, " ")
				diff(t, test.want[i], s.observe(s.request(method, path, "Muted=true")))
			}
		})
	}
}

func TestArmedFaultOfAnUpdateThatIsNotApplied(t *testing.T) {
	s := newStage(t, Config{})
	s.arm(`{"status": 500, "body": "broken"}`)
	got := s.update(AgentSID, "Muted=true")
	diff(t, []any{500, "broken", "text/plain; charset=utf-8", false},
		[]any{got.status, got.body, got.header.Get("Content-Type"), s.participant(AgentSID).Muted})
	diff(t, []string{"1 request update 500 500"}, s.journal(""))
}

func TestDelaysOfArmedFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		if err := s.Arm(Rule{Fault: Fault{Kind: FailAfter, Delay: Duration(time.Second), DelayAfter: Duration(2 * time.Second)}}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, newRequest(t, "http://sandbox", http.MethodPost, participantPath(AgentSID), "Muted=true"))
		applied := s.Journal()[0].Time.Sub(began)
		diff(t, []any{500, time.Second, 3 * time.Second}, []any{w.Code, applied, time.Since(began)})
	})
}

func TestInvalidFaultsAreRefused(t *testing.T) {
	tests := map[string]struct{ rule, want string }{
		"nothing":              {"", "not valid JSON"},
		"no fault":             {"{}", "kind, status or a delay is missing"},
		"an unknown key":       {`{"kind": "503", "label": "x"}`, "label is no key of a fault"},
		"an unknown kind":      {`{"kind": "504"}`, "kind is not"},
		"an unknown operation": {`{"kind": "503", "operation": "mute"}`, "operation is none of"},
		"an unknown account":   {`{"kind": "503", "account": "AC1"}`, "no such account"},
		"kind and status":      {`{"kind": "503", "status": 503}`, "exclude each other"},
		"a code alone":         {`{"kind": "503", "code": 1}`, "need a status"},
		"a status of 600":      {`{"status": 600}`, "from 200 to 599"},
		"a negative number":    {`{"kind": "503", "times": -1}`, "negative"},
		"slow without a delay": {`{"kind": "slow"}`, "a delay is missing"},
		"a delay of an hour":   {`{"delay_after": "1h"}`, "up to 1m0s"},
		"a number as delay":    {`{"delay_after": 1}`, "delay_after must be a string"},
		"a number as kind":     {`{"kind": 503}`, "kind must be a string"},
		"a text as status":     {`{"status": "503"}`, "status must be an integer"},
		"half a request":       {`{"kind": "503", "times": 1.5}`, "times must be an integer"},
		"a list":               {`[{"kind": "503"}]`, "the fault must be a JSON object"},
		"a key twice":          {`{"kind": "503", "kind": "429"}`, "not valid JSON"},
		"two faults":           {`{"kind": "503"} {"kind": "429"}`, "not valid JSON"},
		"another notation":     {`{"kind": "503", "property": "announce_url"}`, "property is not the name of a field, such as Muted"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			got := s.arm(test.rule)
			if got.status != 400 || !strings.Contains(got.body, test.want) {
				t.Errorf("the answer is %d %q, want 400 and %q", got.status, got.body, test.want)
			}
			diff(t, 0, len(s.Armed("")))
		})
	}
}

// TestStatusWithoutACode: the answer has neither a code nor a page about it.
func TestStatusWithoutACode(t *testing.T) {
	s := newStage(t, Config{})
	s.arm(`{"status": 503}`)
	got := s.update(AgentSID, "Muted=true")
	diff(t, map[string]any{"message": "Service Unavailable", "status": 503.0}, got.json(t))
}

func TestArmedFaultsAreListedAndCleared(t *testing.T) {
	s := newStage(t, Config{})
	s.arm(`{"kind": "503", "participant": "agent", "times": 3, "delay_before": "1ms"}`)
	s.arm(`{"kind": "429", "account": "` + AccountSID + `"}`)
	s.update(AgentSID, "Muted=true")
	listed := s.call(http.MethodGet, "/sandbox/faults", "").json(t)["faults"].([]any)
	diff(t, []any{
		map[string]any{"kind": "503", "participant": "agent", "times": 3.0, "delay_before": "1ms", "served": 1.0},
		map[string]any{"kind": "429", "account": AccountSID, "times": 1.0, "served": 0.0},
	}, listed)
	diff(t, 204, s.call(http.MethodDelete, "/sandbox/faults?account="+AccountSID, "").status)
	diff(t, 1, len(s.Armed("")))
	diff(t, 204, s.call(http.MethodDelete, "/sandbox/faults", "").status)
	diff(t, 0, len(s.Armed("")))
	diff(t, "200", s.update(AgentSID, "Muted=true").outcome())
}
