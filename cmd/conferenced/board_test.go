package main

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"conferenced/service/sandbox"
)

func TestCommandsOfTheBoard(t *testing.T) {
	s := startSandbox(t, "--state="+writeState(t, `
accounts:
  - sid: ACac000000000000000000000000000009
    auth_token: 99112233445566778899aabbccddeeff
    conferences:
      - sid: CFcf000000000000000000000000000009
        participants: [{label: agent}, {label: it's me}]
`))
	board := s.stdout.awaitMatch(t, `embedded Twilio +(\S+)`)[0]
	s.stdout.awaitMatch(t, `Stop with (Ctrl-C)\.`)
	client := newHTTPClient(t)
	made := map[string]int{}
	for _, match := range regexp.MustCompile(`data-copy="(\w*curl [^"]+)"`).FindAllStringSubmatch(getPage(t, client, board), -1) {
		line := html.UnescapeString(match[1])
		reset, err := client.Post(board+"/sandbox/reset", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		reset.Body.Close()
		switch {
		case strings.HasPrefix(line, "curl -X PATCH"):
			curl(t, client, line)
			made["curl"]++
		case strings.HasPrefix(line, "curl -X DELETE "):
			request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, strings.TrimPrefix(line, "curl -X DELETE "), nil)
			if err != nil {
				t.Fatal(err)
			}
			fetch(t, client, request)
			made["remove"]++
		case strings.HasPrefix(line, "curl "):
			getPage(t, client, strings.TrimPrefix(line, "curl "))
			made["fetch"]++
		case strings.HasSuffix(line, "/UpdateParticipant"):
			grpcurl(t, line)
			made["grpcurl"]++
		}
	}
	if made["curl"] != 12 || made["grpcurl"] != 12 || made["fetch"] != 2 || made["remove"] != 2 {
		t.Errorf("commands made: %v", made)
	}
	s.checkStops(t)
}

func TestChangesOfTheBoard(t *testing.T) {
	all := &sandbox.Conference{}
	for _, label := range []string{"agent", "customer"} {
		all.Participants = append(all.Participants, &sandbox.Participant{CallSID: "CA-" + label, Label: label})
	}
	names := func(p *sandbox.Participant) (names []string) {
		for _, change := range changesOf(all, p) {
			names = append(names, change.name)
		}
		return names
	}
	agent := all.Participants[0]
	if got := strings.Join(names(agent), ", "); got != "mute, hold, end the conference on exit, beep on exit, announce, coach customer" {
		t.Error(got)
	}
	agent.Muted, agent.Hold, agent.EndConferenceOnExit, agent.BeepOnExit, agent.Coaching = true, true, true, true, true
	if got := strings.Join(names(agent), ", "); got != "unmute, take off hold, do not end the conference on exit, do not beep on exit, announce, stop coaching" {
		t.Error(got)
	}
	if got := shellQuote("it's"); got != `'it'\''s'` {
		t.Error(got)
	}
}
