package sandbox

import (
	"fmt"
	"testing"
)

// pageOf decodes a page and replaces the participants by their Call SIDs.
func pageOf(t *testing.T, got reply) map[string]any {
	t.Helper()
	page := got.json(t)
	sids := []any{}
	for _, p := range page["participants"].([]any) {
		sids = append(sids, p.(map[string]any)["call_sid"])
	}
	page["participants"] = sids
	return page
}

func TestListOnOnePage(t *testing.T) {
	s := newStage(t, Config{})
	path := participantsPath(ConferenceSID) + ".json"
	diff(t, map[string]any{
		"participants":      []any{AgentSID, CustomerSID, SupervisorSID, FrontDeskSID, HeldSID},
		"page":              0.0,
		"page_size":         50.0,
		"first_page_uri":    path + "?PageSize=50&Page=0",
		"next_page_uri":     nil,
		"previous_page_uri": nil,
		"uri":               path + "?PageSize=50&Page=0",
		"start":             0.0,
		"end":               4.0,
	}, pageOf(t, s.get(path)))
	diff(t, s.get(participantPath(AgentSID)).json(t), s.get(path).json(t)["participants"].([]any)[0].(map[string]any))
}

func TestListOnSeveralPages(t *testing.T) {
	s := newStage(t, Config{})
	path := participantsPath(ConferenceSID) + ".json"
	diff(t, map[string]any{
		"participants":      []any{SupervisorSID, FrontDeskSID},
		"page":              1.0,
		"page_size":         2.0,
		"first_page_uri":    path + "?PageSize=2&Page=0",
		"next_page_uri":     path + "?PageSize=2&Page=2&PageToken=PA" + FrontDeskSID,
		"previous_page_uri": path + "?PageSize=2&Page=0&PageToken=PB" + SupervisorSID,
		"uri":               path + "?PageSize=2&Page=1",
		"start":             2.0,
		"end":               3.0,
	}, pageOf(t, s.get(path+"?PageSize=2&Page=1")))
}

func TestListFilters(t *testing.T) {
	s := newStage(t, Config{})
	s.update(AgentSID, "Muted=true")
	s.update(SupervisorSID, "Muted=true&CallSidToCoach="+AgentSID)
	tests := map[string]struct {
		query string
		want  []any
	}{
		"muted":                         {"Muted=true", []any{AgentSID, SupervisorSID}},
		"not muted":                     {"Muted=false", []any{CustomerSID, FrontDeskSID, HeldSID}},
		"a value that is not a boolean": {"Hold=maybe", []any{AgentSID, CustomerSID, SupervisorSID, FrontDeskSID}},
		"on hold":                       {"Hold=true", []any{HeldSID}},
		"coaching":                      {"Coaching=true", []any{SupervisorSID}},
		"two filters":                   {"Muted=true&Coaching=false", []any{AgentSID}},
		"no participant":                {"Hold=true&Muted=true", []any{}},
		"a page past the end":           {"Page=7", []any{}},
		"an unknown filter":             {"Label=agent&Hold=true", []any{HeldSID}},
		"the largest page":              {"Hold=true&PageSize=1000", []any{HeldSID}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := pageOf(t, s.get(participantsPath(ConferenceSID)+".json?"+test.query))
			diff(t, test.want, got["participants"].([]any))
		})
	}
}

func TestLinksKeepFilters(t *testing.T) {
	s := newStage(t, Config{})
	page := pageOf(t, s.get(participantsPath(ConferenceSID)+".json?PageSize=1&Muted=False&Hold=false"))
	diff(t, any(participantsPath(ConferenceSID)+".json?Hold=false&Muted=false&PageSize=1&Page=1&PageToken=PA"+AgentSID), page["next_page_uri"])
}

func TestInvalidPagingIsRefused(t *testing.T) {
	s := newStage(t, Config{})
	for _, query := range []string{"PageSize=0", "PageSize=1001", "PageSize=all", "PageSize=", "Page=-1", "Page=x", "Page=99999999999999999999", "Hold=%zz"} {
		t.Run(query, func(t *testing.T) {
			diff(t, "400/20001", s.get(participantsPath(ConferenceSID)+".json?"+query).outcome())
		})
	}
}

func TestCompletedConferenceListsNoParticipants(t *testing.T) {
	s := newStage(t, Config{})
	page := pageOf(t, s.get(participantsPath(CompletedConferenceSID)+".json"))
	diff(t, []any{[]any{}, 0.0, 0.0}, []any{page["participants"], page["start"], page["end"]})
}

// follow returns the items of the pages from path on, in the given direction.
func follow(t *testing.T, s *stage, path, direction string) (pages [][]any) {
	t.Helper()
	for next := path; next != ""; {
		page := pageOf(t, s.get(next))
		pages = append(pages, page["participants"].([]any))
		next, _ = page[direction].(string)
	}
	return pages
}

func TestPageTokens(t *testing.T) {
	s := newStage(t, Config{})
	path := participantsPath(ConferenceSID) + ".json"
	token := func(page int, token string) string {
		return fmt.Sprintf("%s?PageSize=2&Page=%d&PageToken=%s", path, page, token)
	}
	remove := func(keys ...string) {
		for _, key := range keys {
			diff(t, 204, s.remove(key).status)
		}
	}
	s.update(AgentSID, "EndConferenceOnExit=false")

	diff(t, [][]any{{AgentSID, CustomerSID}, {SupervisorSID, FrontDeskSID}, {HeldSID}}, follow(t, s, path+"?PageSize=2", "next_page_uri"))
	diff(t, [][]any{{FrontDeskSID, HeldSID}, {CustomerSID, SupervisorSID}}, follow(t, s, path+"?PageSize=2&Page=1&PageToken=PA"+SupervisorSID, "previous_page_uri"))

	// Participants who leave or join between two pages move nothing.
	remove(AgentSID, CustomerSID)
	guest, err := s.AddParticipant(ConferenceSID, Participant{})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, [][]any{{SupervisorSID, FrontDeskSID}, {HeldSID, guest.CallSID}}, follow(t, s, token(1, "PA"+CustomerSID), "next_page_uri"))
	diff(t, [][]any{{}}, follow(t, s, token(1, "PA"+guest.CallSID), "next_page_uri"))
	diff(t, [][]any{{}}, follow(t, s, token(0, "PB"+AgentSID), "previous_page_uri"))

	for _, wrong := range []string{"PA", "PA" + ConnectingSID, "PC" + AgentSID, ConferenceSID} {
		diff(t, "400/20001", s.get(token(1, wrong)).outcome())
	}
}

func TestPageTokensOfConferences(t *testing.T) {
	s := newStage(t, Config{})
	first := s.get(conferencesPath + ".json?PageSize=1").json(t)
	next := conferencesPath + ".json?PageSize=1&Page=1&PageToken=PA" + CompletedConferenceSID
	diff(t, next, first["next_page_uri"].(string))
	s.Advance(1)
	s.create("A new room", calling(nil)) // It comes first in the list.
	page := s.get(next).json(t)
	diff(t, InitConferenceSID, page["conferences"].([]any)[0].(map[string]any)["sid"].(string))
	diff(t, next, page["uri"].(string))
	diff(t, conferencesPath+".json?PageSize=1&Page=0&PageToken=PB"+InitConferenceSID, page["previous_page_uri"].(string))
}
