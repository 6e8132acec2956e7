package sandbox

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"conferenced/service/browser"
)

// checkHas fails unless the text has all parts.
func checkHas(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

func TestBoard(t *testing.T) {
	s := newStage(t, Config{})
	s.SetActions(func(c *Conference, p *Participant) []Action {
		return []Action{{Name: "mute " + p.Label, GRPCurl: "grpcurl '" + p.CallSID, Curl: "curl " + c.SID}}
	})
	s.update(AgentSID, "Muted=true&Hold=true&HoldUrl=http://example.com/m")
	s.update(SupervisorSID, "CallSidToCoach="+CustomerSID+"&AnnounceUrl=http://example.com/a")
	s.update(HeldSID, "EndConferenceOnExit=true")
	s.update("fault:503", "Hold=true")
	s.create(ConferenceSID, calling(map[string][]string{"Label": {"<b>&'"}}))
	s.arm(`{"kind": "429", "participant": "agent", "times": 2}`)
	s.Advance(time.Second)
	page := s.call(http.MethodGet, "/", "")
	checkHas(t, page.body,
		"Support", "Not started", "Over", `data-copy="`+AgentSID+`"`,
		">muted<", ">on hold<", ">ends the conference on exit<", ">coaches customer<", ">beep on enter<", "shows end on exit, without effect",
		"hold: <code>http://example.com/m</code>, for 1s, 4s left", "announcement: <code>http://example.com/a</code>",
		"hold: Twilio's music, for 1s", "hears as a whisper", "&lt;b&gt;&amp;&#39;", ">connecting<",
		"request update", "supervisor", "Muted=true", "fault 503", "429: 0 of 2 requests, agent", "announcement started",
		`data-copy="grpcurl &#39;`+AgentSID+`"`, `data-copy="curl `+ConferenceSID+`"`, "mute agent",
	)
	for _, secret := range []string{AuthToken, APIKeySecret} {
		if strings.Contains(page.body, secret) {
			t.Error("the page has a credential")
		}
	}
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/sandbox/board.css": "text/css; charset=utf-8", "/sandbox/board.js": "text/javascript; charset=utf-8",
	} {
		got := s.call(http.MethodGet, path, "")
		diff(t, []string{contentType, browser.PagePolicy, "nosniff"},
			[]string{got.header.Get("Content-Type"), got.header.Get("Content-Security-Policy"), got.header.Get("X-Content-Type-Options")})
	}
}

func TestBoardOfManyParticipants(t *testing.T) {
	s := newStage(t, Config{})
	for range 30 {
		if _, err := s.AddParticipant(ConferenceSID, Participant{}); err != nil {
			t.Fatal(err)
		}
	}
	checkHas(t, s.call(http.MethodGet, "/", "").body, "15 more participants are not shown")
}

func TestBoardIsUpdated(t *testing.T) {
	s := New(Config{})
	server := httptest.NewServer(s)
	defer server.Close()
	response, err := http.Get(server.URL + "/sandbox/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	diff(t, "text/event-stream", response.Header.Get("Content-Type"))
	lines := bufio.NewScanner(response.Body)
	// await reads until a line contains the text.
	await := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("the events end before %q: %v", text, lines.Err())
	}
	await("retry: 1000")
	await(`id="conferences"`)
	if !s.HangUp(ConferenceSID, "front desk") {
		t.Fatal("there is no front desk")
	}
	await(`id="log"`)
	await(`id="conferences"`)
	if err := s.Arm(Rule{Times: 3, Fault: Fault{Kind: Hang}}); err != nil {
		t.Fatal(err)
	}
	await("hang: 0 of 3 requests")
	s.Close()
	for lines.Scan() { // The events end with the sandbox.
	}
}

func TestWhoHearsWhom(t *testing.T) {
	update := func(key, form string) func(*stage) { return func(s *stage) { s.update(key, form) } }
	coach := update(SupervisorSID, "CallSidToCoach="+AgentSID)
	tests := map[string]struct {
		prepare           []func(*stage)
		listener, speaker string
		want              hearing
	}{
		"two participants":               {nil, "agent", "customer", hears},
		"a muted one speaks":             {[]func(*stage){update("customer", "Muted=true")}, "agent", "customer", "the speaker is muted"},
		"a muted one listens":            {[]func(*stage){update("agent", "Muted=true")}, "agent", "customer", hears},
		"one on hold speaks":             {[]func(*stage){update("customer", "Hold=true")}, "agent", "customer", "the speaker is on hold"},
		"one on hold listens":            {[]func(*stage){update("agent", "Hold=true")}, "agent", "customer", "the listener is on hold"},
		"a coach speaks to the coached":  {[]func(*stage){coach}, "agent", "supervisor", whisper},
		"a coach speaks to others":       {[]func(*stage){coach}, "customer", "supervisor", "the speaker coaches another"},
		"a coach listens to others":      {[]func(*stage){coach}, "supervisor", "customer", hears},
		"a coach listens to the coached": {[]func(*stage){coach}, "supervisor", "agent", hears},
		"a muted coach":                  {[]func(*stage){coach, update("supervisor", "Muted=true")}, "agent", "supervisor", "the speaker is muted"},
		"a coach of a held participant":  {[]func(*stage){coach, update("agent", "Hold=true")}, "agent", "supervisor", "the listener is on hold"},
		"a coach whose coached left":     {[]func(*stage){update("agent", "EndConferenceOnExit=false"), coach, func(s *stage) { s.remove("agent") }}, "customer", "supervisor", "the speaker coaches another"},
		"a coach who stops":              {[]func(*stage){coach, update("supervisor", "Coaching=false")}, "customer", "supervisor", hears},
		"an announcement":                {[]func(*stage){update("agent", "AnnounceUrl=http://example.com/a")}, "agent", "customer", hears},
		"a ringing participant speaks":   {[]func(*stage){func(s *stage) { s.create(ConferenceSID, calling(map[string][]string{"Label": {"late"}})) }}, "agent", "late", "the speaker is not connected"},
		"a ringing participant listens":  {[]func(*stage){func(s *stage) { s.create(ConferenceSID, calling(map[string][]string{"Label": {"late"}})) }}, "late", "agent", "the listener is not connected"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			for _, prepare := range test.prepare {
				prepare(s)
			}
			c := s.conference("Support")
			diff(t, test.want, hearingOf(c, c.participant(test.listener), c.participant(test.speaker)))
		})
	}
	c := &Conference{Status: conferenceInit}
	p := &Participant{Status: statusConnected}
	diff(t, hearing("the conference is not in progress"), hearingOf(c, p, p))
}
