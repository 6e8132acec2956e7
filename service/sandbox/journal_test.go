package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// call makes a request without credentials.
func (s *stage) call(method, path, body string) reply {
	s.t.Helper()
	r := s.request(method, path, body)
	r.Header.Del("Authorization")
	return s.do(r)
}

// journal returns the entries that a query selects, each in one line.
func (s *stage) journal(query string) (lines []string) {
	s.t.Helper()
	got := s.call(http.MethodGet, "/sandbox/journal"+query, "")
	for _, entry := range got.json(s.t)["entries"].([]any) {
		e := entry.(map[string]any)
		line := fmt.Sprintf("%v %v %v", e["seq"], e["kind"], e["operation"])
		if answer, answered := e["answer"].(map[string]any); answered {
			line += fmt.Sprint(" ", answer["status"])
		}
		if fault := e["fault"]; fault != "" {
			line += fmt.Sprint(" ", fault)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestJournal(t *testing.T) {
	receiver := newReceiver(t)
	s := newEventStage(t, receiver.URL, `
      - {friendly_name: other, participants: [{label: someone}]}
  - {sid: AC00000000000000000000000000000002, auth_token: other}
`)
	s.update("guest", "Muted=true&Odd=1&Odd=2")
	s.awaitCallbacks()
	s.get(participantPath("nobody"))
	s.update("host", "HoldUrl=nonsense")
	_, _ = s.try(s.request(http.MethodPost, participantPath("fault:reset-after"), "Hold=true"))
	s.awaitCallbacks()
	s.get(conferencesPath + ".json?FriendlyName=other")
	s.get("/2010-04-01/Accounts/AC404/Conferences.json")
	s.remove("guest")
	s.awaitCallbacks()
	all := []string{
		"1 callback participant-mute 204", "2 request update 200",
		"3 request fetch 404", "4 request update 400",
		"5 callback participant-join 204", "6 callback participant-hold 204", "7 request update 0 reset-after",
		"8 request list-conferences 200", "9 request  401",
		"10 callback participant-leave 204", "11 request remove 204",
	}
	tests := map[string]struct {
		query string
		want  []string
	}{
		"all":                          {"", all},
		"the latest":                   {"?since=9", all[9:]},
		"callbacks":                    {"?kind=callback", []string{all[0], all[4], all[5], all[9]}},
		"a conference by SID":          {"?conference=" + ConferenceSID + "&kind=request", []string{all[1], all[2], all[3], all[6], all[10]}},
		"a conference by name":         {"?conference=other", all[7:8]},
		"a participant by label":       {"?participant=guest", []string{all[0], all[1], all[9], all[10]}},
		"a participant by Call SID":    {"?participant=" + AgentSID, all[3:4]},
		"a participant that was asked": {"?participant=nobody", all[2:3]},
		"an account":                   {"?since=8&account=" + AccountSID, all[9:]},
		"another account":              {"?account=AC00000000000000000000000000000002", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { diff(t, test.want, s.journal(test.query)) })
	}
	for query, want := range map[string]int{"?account=AC1": 404, "?since=x": 400, "?label=guest": 400} {
		diff(t, want, s.call(http.MethodGet, "/sandbox/journal"+query, "").status)
	}

	first := s.call(http.MethodGet, "/sandbox/journal?participant=guest&kind=request", "").json(t)["entries"].([]any)[0].(map[string]any)
	diff(t, map[string]any{"Muted": []any{"true"}, "Odd": []any{"1", "2"}}, first["form"].(map[string]any))
	diff(t, true, first["answer"].(map[string]any)["body"].(map[string]any)["muted"].(bool))
	diff(t, []any{"2011-02-18T21:07:19Z", "guest", CustomerSID, true}, []any{first["time"], first["label"], first["call_sid"], first["applied"]})

	diff(t, 204, s.call(http.MethodDelete, "/sandbox/journal?account=AC00000000000000000000000000000002", "").status)
	diff(t, 11, len(s.journal("")))
	diff(t, 204, s.call(http.MethodDelete, "/sandbox/journal", "").status)
	diff(t, 0, len(s.journal("")))
	s.get(participantPath("host"))
	diff(t, []string{"12 request fetch 200"}, s.journal(""))
}

func TestJournalOfUpdates(t *testing.T) {
	s := newStage(t, Config{JournalLength: 3})
	s.update(AgentSID, "Muted=true")
	s.update("nobody", "Muted=true")
	s.get(participantPath(AgentSID))
	second := s.update("customer", "Muted=true")
	s.clock.advance(time.Second)
	s.update(AgentSID, "Hold=true")
	journal := s.Journal()
	diff(t, []int{4, 5}, []int{journal[0].Seq, journal[1].Seq}) // The first is forgotten.
	diff(t, []string{CustomerSID, second.header.Get("Twilio-Request-Id")}, []string{journal[0].CallSID, journal[0].RequestID})
	diff(t, newClock().now.Add(time.Second), journal[1].Time)

	journal[0].Form["Muted"][0] = "changed"
	diff(t, "true", s.Journal()[0].Form.Get("Muted"))
	diff(t, 3, s.State().JournalLength)
}

func TestLongAnswersAreNotInTheJournal(t *testing.T) {
	s := newStage(t, Config{})
	for range 10 {
		if _, err := s.AddParticipant(ConferenceSID, Participant{}); err != nil {
			t.Fatal(err)
		}
	}
	s.get(participantsPath(ConferenceSID) + ".json")
	s.get(strings.TrimSuffix(participantPath(AgentSID), ".json"))
	entries := s.call(http.MethodGet, "/sandbox/journal", "").json(t)["entries"].([]any)
	body := func(i int) any { return entries[i].(map[string]any)["answer"].(map[string]any)["body"] }
	diff(t, nil, body(0))
	if text, _ := body(1).(string); !strings.HasPrefix(text, "<?xml") {
		t.Errorf("the body of an XML answer is %v", body(1))
	}
}
