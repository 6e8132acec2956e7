package sandbox

import (
	"encoding/xml"
	"net/url"
	"slices"
)

// A conferenceResource is a conference in Twilio's form.
type conferenceResource struct {
	XMLName                 xml.Name         `json:"-" xml:"Conference"`
	SID                     string           `json:"sid" xml:"Sid"`
	AccountSID              string           `json:"account_sid" xml:"AccountSid"`
	FriendlyName            nullable         `json:"friendly_name" xml:"FriendlyName"`
	Status                  string           `json:"status" xml:"Status"`
	DateCreated             string           `json:"date_created" xml:"DateCreated"`
	DateUpdated             string           `json:"date_updated" xml:"DateUpdated"`
	APIVersion              string           `json:"api_version" xml:"ApiVersion"`
	Region                  string           `json:"region" xml:"Region"`
	ReasonConferenceEnded   nullable         `json:"reason_conference_ended" xml:"ReasonConferenceEnded"`
	CallSIDEndingConference nullable         `json:"call_sid_ending_conference" xml:"CallSidEndingConference"`
	URI                     string           `json:"uri" xml:"Uri"`
	SubresourceURIs         subresourcesURIs `json:"subresource_uris" xml:"SubresourceUris"`
}

type subresourcesURIs struct {
	Participants string `json:"participants" xml:"Participants"`
	Recordings   string `json:"recordings" xml:"Recordings"`
}

// conferencesPage is one page of a list, in Twilio's form.
type conferencesPage struct {
	XMLName     xml.Name             `json:"-" xml:"Conferences"`
	Conferences []conferenceResource `json:"conferences" xml:"Conference"`
	paging
}

// showConference returns c in the form in which Twilio shows it under this path.
func (t target) showConference(c *Conference) conferenceResource {
	return conferenceResource{
		SID:                     c.SID,
		AccountSID:              c.AccountSID,
		FriendlyName:            nullable(c.FriendlyName),
		Status:                  c.Status,
		DateCreated:             formatDate(c.DateCreated),
		DateUpdated:             formatDate(c.DateUpdated),
		APIVersion:              "2010-04-01",
		Region:                  c.Region,
		ReasonConferenceEnded:   nullable(c.ReasonConferenceEnded),
		CallSIDEndingConference: nullable(c.CallSIDEndingConference),
		URI:                     t.uri("Conferences", c.SID),
		SubresourceURIs: subresourcesURIs{
			Participants: t.uri("Conferences", c.SID, "Participants"),
			Recordings:   t.uri("Conferences", c.SID, "Recordings"),
		},
	}
}

func (s *Sandbox) fetchConference(c *call) answer {
	s.lock()
	defer s.mu.Unlock()
	conference, _, refusal := s.world.locate(c.target)
	if refusal != nil {
		return refusal.answer()
	}
	return ok(c.target.showConference(conference))
}

// updateConference plays an announcement to everybody, or ends the conference,
// or does both in this order.
func (s *Sandbox) updateConference(c *call) answer {
	form, refusal := c.form()
	if refusal != nil {
		return refusal.answer()
	}
	now := s.lock()
	defer s.mu.Unlock()
	conference, _, refusal := s.world.locate(c.target)
	if refusal != nil {
		return refusal.answer()
	}
	e := editor{form: form}
	var announced []Announcement
	e.announcement(&announced, now)
	e.checkStatus(conference, len(announced) > 0)
	if e.refusal != nil {
		return e.refusal.answer()
	}
	if e.edited {
		conference.DateUpdated = now
	}
	conference.Announcements = append(conference.Announcements, announced...)
	s.world.notifyAnnounced(conference, nil, announced)
	if form.Has("Status") {
		s.world.end(conference, endedByAPI, nil, now)
	}
	return ok(c.target.showConference(conference))
}

// checkStatus refuses what the conference's status rules out: an announcement
// unless it is in progress, ending it twice, and any other change of status.
func (e *editor) checkStatus(c *Conference, announces bool) {
	ends := e.has("Status")
	switch {
	case ends && e.form.Get("Status") != conferenceCompleted:
		e.refuse(badRequest("Status can only be set to completed"))
	case ends && c.Status == conferenceCompleted, announces && c.Status != conferenceInProgress:
		e.refuse(errConferenceStatus)
	}
}

// listConferences has those created last first.
func (s *Sandbox) listConferences(c *call) answer {
	l, refusal := parseListing(c, conferenceFilters)
	if refusal != nil {
		return refusal.answer()
	}
	s.lock()
	defer s.mu.Unlock()
	matches := []conferenceResource{}
	for _, conference := range s.world.account(c.target.account).newestFirst() {
		if matchesConference(l.filters, conference) {
			matches = append(matches, c.target.showConference(conference))
		}
	}
	page, paging := pageFrom(l, matches)
	return ok(conferencesPage{Conferences: page, paging: paging})
}

// newestFirst returns the account's conferences in the order of their creation,
// the latest first.
func (a *Account) newestFirst() []*Conference {
	sorted := slices.Clone(a.Conferences)
	slices.Reverse(sorted)
	slices.SortStableFunc(sorted, func(x, y *Conference) int { return y.DateCreated.Compare(x.DateCreated) })
	return sorted
}

func matchesConference(filters url.Values, c *Conference) bool {
	return (!filters.Has("Status") || filters.Get("Status") == c.Status) &&
		(!filters.Has("FriendlyName") || filters.Get("FriendlyName") == c.FriendlyName) &&
		onDate(filters, "DateCreated", c.DateCreated) &&
		onDate(filters, "DateUpdated", c.DateUpdated)
}
