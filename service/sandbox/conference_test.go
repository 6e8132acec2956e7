package sandbox

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const conferencesPath = "/2010-04-01/Accounts/" + AccountSID + "/Conferences"

func conferencePath(sid string) string { return conferencesPath + "/" + sid + ".json" }

func (s *stage) remove(key string) reply {
	s.t.Helper()
	return s.do(s.request(http.MethodDelete, participantPath(key), ""))
}

func TestConferenceResource(t *testing.T) {
	s := newStage(t, Config{})
	want := map[string]any{
		"account_sid":                AccountSID,
		"api_version":                "2010-04-01",
		"call_sid_ending_conference": nil,
		"date_created":               began,
		"date_updated":               began,
		"friendly_name":              "Support",
		"reason_conference_ended":    nil,
		"region":                     "us1",
		"sid":                        ConferenceSID,
		"status":                     "in-progress",
		"subresource_uris": map[string]any{
			"participants": participantsPath(ConferenceSID) + ".json",
			"recordings":   conferencesPath + "/" + ConferenceSID + "/Recordings.json",
		},
		"uri": conferencePath(ConferenceSID),
	}
	diff(t, want, s.get(conferencePath(ConferenceSID)).json(t))

	s.clock.advance(time.Second)
	want["status"], want["date_updated"], want["reason_conference_ended"] = "completed", began1, "conference-ended-via-api"
	diff(t, want, s.do(s.request(http.MethodPost, conferencePath(ConferenceSID), "Status=completed")).json(t))
	diff(t, want, s.get(conferencePath(ConferenceSID)).json(t))
}

func TestConferenceInXML(t *testing.T) {
	s := newStage(t, Config{})
	base := conferencesPath + "/" + ConferenceSID
	resource := `<Conference><Sid>` + ConferenceSID + `</Sid><AccountSid>` + AccountSID + `</AccountSid>` +
		`<FriendlyName>Support</FriendlyName><Status>in-progress</Status>` +
		`<DateCreated>` + began + `</DateCreated><DateUpdated>` + began + `</DateUpdated>` +
		`<ApiVersion>2010-04-01</ApiVersion><Region>us1</Region><ReasonConferenceEnded></ReasonConferenceEnded>` +
		`<CallSidEndingConference></CallSidEndingConference><Uri>` + base + `</Uri>` +
		`<SubresourceUris><Participants>` + base + `/Participants</Participants><Recordings>` + base + `/Recordings</Recordings></SubresourceUris></Conference>`
	const header = `<?xml version="1.0" encoding="UTF-8"?>` + "\n<TwilioResponse>"
	diff(t, header+resource+"</TwilioResponse>", s.get(base).body)
	page := conferencesPath + `?Status=in-progress&amp;PageSize=50&amp;Page=0`
	diff(t, header+`<Conferences page="0" pagesize="50" firstpageuri="`+page+`" nextpageuri="" previouspageuri="" uri="`+page+
		`" start="0" end="0">`+resource+"</Conferences></TwilioResponse>", s.get(conferencesPath+"?Status=in-progress").body)
}

func TestConferenceEnds(t *testing.T) {
	held := func(s *stage) {
		s.update(HeldSID, "EndConferenceOnExit=true")
	}
	alone := func(s *stage) {
		for _, sid := range []string{AgentSID, SupervisorSID, FrontDeskSID, HeldSID} {
			s.update(sid, "EndConferenceOnExit=false")
			s.remove(sid)
		}
	}
	tests := map[string]struct {
		prepare func(s *stage)
		end     func(s *stage) int
		reason  string // "" if it does not end
		by      string
	}{
		"by request": {
			nil, func(s *stage) int {
				return s.do(s.request(http.MethodPost, conferencePath(ConferenceSID), "Status=completed")).status
			}, "conference-ended-via-api", "",
		},
		"a participant removed":                                    {nil, func(s *stage) int { return s.remove(CustomerSID).status }, "", ""},
		"a participant removed by label":                           {nil, func(s *stage) int { return s.remove("front%20desk").status }, "", ""},
		"a participant with EndConferenceOnExit removed":           {nil, func(s *stage) int { return s.remove("agent").status }, "participant-with-end-conference-on-exit-kicked", AgentSID},
		"a participant with EndConferenceOnExit hanging up":        {nil, func(s *stage) int { s.HangUp(ConferenceSID, "agent"); return 0 }, "participant-with-end-conference-on-exit-left", AgentSID},
		"a participant whose EndConferenceOnExit is not in effect": {held, func(s *stage) int { return s.remove(HeldSID).status }, "", ""},
		"the last participant removed":                             {alone, func(s *stage) int { return s.remove(CustomerSID).status }, "last-participant-kicked", CustomerSID},
		"the last participant hanging up":                          {alone, func(s *stage) int { s.HangUp(ConferenceSID, CustomerSID); return 0 }, "last-participant-left", CustomerSID},
		"a participant with EndConferenceOnExit that was not connected": {
			nil, func(s *stage) int {
				s.create(ConferenceSID, calling(url.Values{"Label": {"host"}, "EndConferenceOnExit": {"true"}}))
				return s.remove("host").status
			}, "", "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			if test.prepare != nil {
				test.prepare(s)
			}
			status := test.end(s)
			c := s.conference("Support")
			wantStatus, gone := "in-progress", false
			if test.reason != "" {
				wantStatus, gone = "completed", true
			}
			diff(t, []any{wantStatus, test.reason, test.by}, []any{c.Status, c.ReasonConferenceEnded, c.CallSIDEndingConference})
			diff(t, gone, len(c.Participants) == 0)
			if gone {
				diff(t, "404/20404", s.get(participantPath(CustomerSID)).outcome())
				diff(t, "404/20404", s.update("supervisor", "Muted=true").outcome())
			}
			diff(t, true, status == 0 || status == 200 || status == 204)
		})
	}
}

func TestRemovedParticipantIsNotFound(t *testing.T) {
	s := newStage(t, Config{})
	got := s.remove("customer")
	diff(t, []any{204, "", ""}, []any{got.status, got.body, got.header.Get("Content-Type")})
	for range 2 {
		diff(t, "404/20404", s.remove("customer").outcome())
	}
	diff(t, "404/20404", s.get(participantPath(CustomerSID)).outcome())
	diff(t, []any{AgentSID, SupervisorSID, FrontDeskSID, HeldSID}, pageOf(t, s.get(participantsPath(ConferenceSID)+".json"))["participants"].([]any))
	diff(t, false, s.HangUp(ConferenceSID, "customer"))
}

func TestUpdateConference(t *testing.T) {
	const announce = "AnnounceUrl=http%3A%2F%2Fexample.com%2Fa.mp3"
	tests := map[string]struct {
		conference, form string
		want             string
		played           int
		status           string
	}{
		"an announcement":                        {ConferenceSID, announce, "200", 1, "in-progress"},
		"an announcement by GET":                 {ConferenceSID, announce + "&AnnounceMethod=GET", "200", 1, "in-progress"},
		"an announcement and the end":            {ConferenceSID, announce + "&Status=completed", "200", 1, "completed"},
		"no field":                               {ConferenceSID, "", "200", 0, "in-progress"},
		"an unknown field":                       {ConferenceSID, "FriendlyName=Other", "200", 0, "in-progress"},
		"another status":                         {ConferenceSID, "Status=init", "400/20001", 0, "in-progress"},
		"an invalid announcement URL":            {ConferenceSID, "AnnounceUrl=a.mp3", "400/21205", 0, "in-progress"},
		"an invalid method":                      {ConferenceSID, announce + "&AnnounceMethod=PUT", "400/21209", 0, "in-progress"},
		"an unknown status and an announcement":  {ConferenceSID, announce + "&Status=over", "400/20001", 0, "in-progress"},
		"an announcement before the start":       {InitConferenceSID, announce, "400/16099", 0, "init"},
		"the end before the start":               {InitConferenceSID, "Status=completed", "200", 0, "completed"},
		"an announcement after the end":          {CompletedConferenceSID, announce, "400/16099", 0, "completed"},
		"the end after the end":                  {CompletedConferenceSID, "Status=completed", "400/16099", 0, "completed"},
		"no field after the end":                 {CompletedConferenceSID, "", "200", 0, "completed"},
		"an unreadable form":                     {ConferenceSID, "%zz", "400/20001", 0, "in-progress"},
		"a malformed SID":                        {"Support", "", "405/20004", 0, ""},
		"an unknown conference":                  {"CF" + strings.Repeat("0", 32), "", "404/20404", 0, ""},
		"an empty announcement before the start": {InitConferenceSID, "AnnounceUrl=", "200", 0, "init"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			diff(t, test.want, s.do(s.request(http.MethodPost, conferencePath(test.conference), test.form)).outcome())
			for _, c := range s.State().Accounts[0].Conferences {
				if c.SID == test.conference {
					diff(t, []any{test.played, test.status}, []any{len(c.Announcements), c.Status})
				}
			}
		})
	}
}

func TestListConferences(t *testing.T) {
	s := newStage(t, Config{})
	s.Advance(24 * time.Hour)
	made := s.create("New room", calling(nil)).json(t)["conference_sid"].(string)
	s.Advance(24 * time.Hour)
	s.do(s.request(http.MethodPost, conferencePath(InitConferenceSID), "Status=completed"))
	tests := map[string]struct {
		query string
		want  []any
	}{
		"all":                         {"", []any{made, CompletedConferenceSID, InitConferenceSID, ConferenceSID}},
		"by status":                   {"Status=completed", []any{CompletedConferenceSID, InitConferenceSID}},
		"by an unknown status":        {"Status=over", []any{}},
		"by name":                     {"FriendlyName=New+room", []any{made}},
		"by part of a name":           {"FriendlyName=New", []any{}},
		"by name and status":          {"FriendlyName=Support&Status=in-progress", []any{ConferenceSID}},
		"created on a day":            {"DateCreated=2011-02-19", []any{made}},
		"created on a day or earlier": {"DateCreated%3C=2011-02-18", []any{CompletedConferenceSID, InitConferenceSID, ConferenceSID}},
		"created on a day or later":   {"DateCreated>=2011-02-19", []any{made}},
		"updated on a day or later":   {"DateUpdated%3E=2011-02-20", []any{InitConferenceSID}},
		"created between days":        {"DateCreated%3E=2011-02-19&DateCreated%3C=2011-02-28", []any{made}},
		"the second page":             {"PageSize=2&Page=1", []any{InitConferenceSID, ConferenceSID}},
		"a page past the end":         {"Page=9", []any{}},
		"an unknown filter":           {"Region=au1", []any{made, CompletedConferenceSID, InitConferenceSID, ConferenceSID}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			page := s.get(conferencesPath + ".json?" + test.query).json(t)
			sids := []any{}
			for _, c := range page["conferences"].([]any) {
				sids = append(sids, c.(map[string]any)["sid"])
			}
			diff(t, test.want, sids)
		})
	}
	for _, query := range []string{"DateCreated=yesterday", "DateUpdated%3C=2019-09-06T03:59:31-0400", "PageSize=0", "%zz"} {
		diff(t, "400/20001", s.get(conferencesPath+".json?"+query).outcome())
	}
}

func TestPageOfConferencesHasLinks(t *testing.T) {
	s := newStage(t, Config{})
	page := s.get(conferencesPath + ".json?DateCreated%3C=2020-01-01&PageSize=1&Page=1").json(t)
	delete(page, "conferences")
	link := conferencesPath + ".json?DateCreated%3C=2020-01-01&PageSize=1&Page="
	diff(t, map[string]any{
		"page": 1.0, "page_size": 1.0, "start": 1.0, "end": 1.0,
		"first_page_uri": link + "0", "previous_page_uri": link + "0&PageToken=PB" + InitConferenceSID,
		"uri": link + "1", "next_page_uri": link + "2&PageToken=PA" + InitConferenceSID,
	}, page)
}

func TestConferencesOfOneName(t *testing.T) {
	state, err := ParseState("state", []byte(`
accounts:
  - sid: `+AccountSID+`
    auth_token: `+AuthToken+`
    conferences:
      - {friendly_name: Support, status: completed}
      - {friendly_name: Support, status: completed}
      - {friendly_name: Support}
`))
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, Config{State: state})
	list := func(query string) (sids []any) {
		for _, c := range s.get(conferencesPath + ".json?FriendlyName=Support" + query).json(t)["conferences"].([]any) {
			sids = append(sids, c.(map[string]any)["sid"])
		}
		return sids
	}
	all, running := list(""), list("&Status=in-progress")
	diff(t, []int{3, 1}, []int{len(all), len(running)})
	diff(t, all[0], running[0])
	diff(t, running[0], s.create("Support", calling(nil)).json(t)["conference_sid"])
}
