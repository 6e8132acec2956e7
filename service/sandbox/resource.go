package sandbox

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"time"
)

// A participantResource is a participant as the API shows it.
type participantResource struct {
	XMLName                xml.Name `json:"-" xml:"Participant"`
	AccountSID             string   `json:"account_sid" xml:"AccountSid"`
	CallSID                string   `json:"call_sid" xml:"CallSid"`
	Label                  nullable `json:"label" xml:"Label"`
	CallSIDToCoach         nullable `json:"call_sid_to_coach" xml:"CallSidToCoach"`
	Coaching               bool     `json:"coaching" xml:"Coaching"`
	ConferenceSID          string   `json:"conference_sid" xml:"ConferenceSid"`
	DateCreated            string   `json:"date_created" xml:"DateCreated"`
	DateUpdated            string   `json:"date_updated" xml:"DateUpdated"`
	EndConferenceOnExit    bool     `json:"end_conference_on_exit" xml:"EndConferenceOnExit"`
	Muted                  bool     `json:"muted" xml:"Muted"`
	Hold                   bool     `json:"hold" xml:"Hold"`
	StartConferenceOnEnter bool     `json:"start_conference_on_enter" xml:"StartConferenceOnEnter"`
	Status                 string   `json:"status" xml:"Status"`
	QueueTime              nullable `json:"queue_time" xml:"QueueTime"`
	URI                    string   `json:"uri" xml:"Uri"`
}

// A conferenceResource is a conference as the API shows it.
type conferenceResource struct {
	XMLName                 xml.Name        `json:"-" xml:"Conference"`
	SID                     string          `json:"sid" xml:"Sid"`
	AccountSID              string          `json:"account_sid" xml:"AccountSid"`
	FriendlyName            nullable        `json:"friendly_name" xml:"FriendlyName"`
	Status                  string          `json:"status" xml:"Status"`
	DateCreated             string          `json:"date_created" xml:"DateCreated"`
	DateUpdated             string          `json:"date_updated" xml:"DateUpdated"`
	APIVersion              string          `json:"api_version" xml:"ApiVersion"`
	Region                  string          `json:"region" xml:"Region"`
	ReasonConferenceEnded   nullable        `json:"reason_conference_ended" xml:"ReasonConferenceEnded"`
	CallSIDEndingConference nullable        `json:"call_sid_ending_conference" xml:"CallSidEndingConference"`
	URI                     string          `json:"uri" xml:"Uri"`
	SubresourceURIs         subresourceURIs `json:"subresource_uris" xml:"SubresourceUris"`
}

type subresourceURIs struct {
	Participants string `json:"participants" xml:"Participants"`
	Recordings   string `json:"recordings" xml:"Recordings"`
}

type participantsPage struct {
	XMLName      xml.Name              `json:"-" xml:"Participants"`
	Participants []participantResource `json:"participants" xml:"Participant"`
	paging
}

type conferencesPage struct {
	XMLName     xml.Name             `json:"-" xml:"Conferences"`
	Conferences []conferenceResource `json:"conferences" xml:"Conference"`
	paging
}

// paging is the API's description of a page of a list.
type paging struct {
	Page            int      `json:"page" xml:"page,attr"`
	PageSize        int      `json:"page_size" xml:"pagesize,attr"`
	FirstPageURI    string   `json:"first_page_uri" xml:"firstpageuri,attr"`
	NextPageURI     nullable `json:"next_page_uri" xml:"nextpageuri,attr"`
	PreviousPageURI nullable `json:"previous_page_uri" xml:"previouspageuri,attr"`
	URI             string   `json:"uri" xml:"uri,attr"`
	Start           int      `json:"start" xml:"start,attr"`
	End             int      `json:"end" xml:"end,attr"`
}

// showParticipant returns the resource of p in t's format.
func (t target) showParticipant(p *Participant) participantResource {
	return participantResource{
		AccountSID:             t.account,
		CallSID:                p.CallSID,
		Label:                  nullable(p.Label),
		CallSIDToCoach:         nullable(p.CallSIDToCoach),
		Coaching:               p.Coaching,
		ConferenceSID:          t.conference,
		DateCreated:            formatDate(p.DateCreated),
		DateUpdated:            formatDate(p.DateUpdated),
		EndConferenceOnExit:    p.EndConferenceOnExit,
		Muted:                  p.Muted,
		Hold:                   p.Hold,
		StartConferenceOnEnter: p.StartConferenceOnEnter,
		Status:                 p.Status,
		QueueTime:              nullable(p.QueueTime),
		URI:                    t.uri("Conferences", t.conference, "Participants", p.CallSID),
	}
}

// showConference returns the resource of c in t's format.
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
		SubresourceURIs: subresourceURIs{
			Participants: t.uri("Conferences", c.SID, "Participants"),
			Recordings:   t.uri("Conferences", c.SID, "Recordings"),
		},
	}
}

// uri returns the URI of a resource of t's account, in t's format.
func (t target) uri(segments ...string) string {
	uri := apiRoot + "Accounts/" + t.account + "/" + strings.Join(segments, "/")
	if t.json {
		uri += ".json"
	}
	return uri
}

// formatDate formats a date as the API does.
func formatDate(date time.Time) string { return date.UTC().Format(time.RFC1123Z) }

// A nullable is a string for which "" is null in JSON and empty in XML.
type nullable string

// MarshalJSON returns null for "".
func (n nullable) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(n))
}
