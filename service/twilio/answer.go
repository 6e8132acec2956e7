package twilio

import (
	"cmp"
	"errors"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"conferenced/service/twilio/wire"
)

// Conference is Twilio's description of a conference, with every property as Twilio
// writes it. Only the SID is never null.
type Conference struct {
	AccountSID              *string           `json:"account_sid"`
	SID                     string            `json:"sid"`
	FriendlyName            *string           `json:"friendly_name"`
	Status                  *string           `json:"status"`
	DateCreated             *string           `json:"date_created"` // RFC 2822
	DateUpdated             *string           `json:"date_updated"` // RFC 2822
	Region                  *string           `json:"region"`
	ReasonConferenceEnded   *string           `json:"reason_conference_ended"`
	CallSIDEndingConference *string           `json:"call_sid_ending_conference"`
	APIVersion              *string           `json:"api_version"`
	URI                     *string           `json:"uri"` // relative to the API's host
	SubresourceURIs         map[string]string `json:"subresource_uris"`
}

// Is reports whether the conference has the friendly name and the status.
func (c *Conference) Is(name, status string) bool {
	return c.FriendlyName != nil && *c.FriendlyName == name && c.Status != nil && *c.Status == status
}

// Answer is Twilio's answer to a successful request. Which of its resources is set
// depends on the [Operation].
type Answer struct {
	Participant  Participant
	Participants []Participant `json:",omitempty"`
	Conferences  []Conference  `json:",omitempty"`
	After        *Participant  `json:",omitempty"` // as read after an update, which a caller of [Client] adds
	Next         url.Values    `json:",omitempty"` // the [PageKeys] of a list's next page; nil if there is none
	Paging       *Paging       `json:",omitempty"` // of a list

	HTTPStatus int    // 2xx, or 404 for a participant that an earlier request removed
	RequestID  string // Twilio-Request-Id, or ""
	Reused     bool   // whether the request went over a connection used before

	// Concurrent is the Twilio-Concurrent-Requests header: how many requests of the
	// account were running. 0 if there is none.
	Concurrent int `json:"-"`
}

// Paging is Twilio's description of a page of a list. Its URIs have the list's path and no
// host.
type Paging struct {
	Page            jsontext.Value `json:"page"`
	PageSize        jsontext.Value `json:"page_size"`
	Start           jsontext.Value `json:"start"`
	End             jsontext.Value `json:"end"`
	URI             *string        `json:"uri"`
	FirstPageURI    *string        `json:"first_page_uri"`
	NextPageURI     *string        `json:"next_page_uri"`
	PreviousPageURI *string        `json:"previous_page_uri"`
}

// setPaging sets the paging of the list that the request asks for. It reports whether the
// next page is one of that list.
func (a *Answer) setPaging(p *Paging, r *Request) (matches bool) {
	a.Paging = p
	a.Next, matches = r.nextPage(p.NextPageURI)
	for _, uri := range []**string{&p.URI, &p.FirstPageURI, &p.NextPageURI, &p.PreviousPageURI} {
		*uri = r.pageURI(*uri)
	}
	return matches
}

// lenient accepts what clients of Twilio usually accept.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// readAnswer returns the result of the request that the response describes.
func readAnswer(w *wire.Response, a *Account, r *Request) (*Answer, error) {
	unusable := &AnswerError{HTTPStatus: w.StatusCode, RequestID: requestID(w.Header), Reused: w.Reused}
	switch status := w.StatusCode; {
	case status < 200, status >= 600:
		unusable.Reason = "unexpected status"
		return nil, unusable
	case status >= 400:
		return nil, newError(w, a, r.Path.Participant)
	case status >= 300:
		unusable.Reason = "redirect not followed"
		return nil, unusable
	case w.BodyErr != nil:
		unusable.Reason, unusable.Err = "body cannot be read", w.BodyErr
		unusable.Interrupted = !errors.Is(w.BodyErr, wire.ErrTooLarge)
		return nil, unusable
	}
	answer := &Answer{
		HTTPStatus: w.StatusCode, RequestID: unusable.RequestID, Reused: w.Reused, Concurrent: concurrent(w.Header),
	}
	switch matches, err := answer.decode(w, r); {
	case err != nil:
		unusable.Reason, unusable.Err = "body describes no "+r.Operation.subject(), err
		return nil, unusable
	case !matches:
		unusable.Reason, unusable.Foreign = "body answers another request", true
		return nil, unusable
	}
	return answer, nil
}

// decode decodes the response's body. It reports whether no member contradicts the
// request.
func (a *Answer) decode(w *wire.Response, r *Request) (matches bool, err error) {
	switch r.Operation {
	case RemoveParticipant: // Any 2xx with a body answers another request.
		a.Participant.CallSID = &r.Path.Participant
		return len(w.Body) == 0, nil
	case ListParticipants:
		return a.decodeParticipants(w.Body, r)
	case FetchConference:
		a.Conferences = make([]Conference, 1)
		err = json.Unmarshal(w.Body, &a.Conferences[0], lenient)
		return a.conferencesMayBe(r), cmp.Or(err, a.checkConferences())
	case ListConferences:
		return a.decodeConferences(w.Body, r)
	default:
		err = json.Unmarshal(w.Body, &a.Participant, lenient)
		return a.Participant.mayBeAt(&r.Path), err
	}
}

func (a *Answer) decodeParticipants(body []byte, r *Request) (matches bool, err error) {
	var page struct {
		Participants []Participant `json:"participants"`
		Paging
	}
	if err := json.Unmarshal(body, &page, lenient); err != nil {
		return false, err
	}
	if page.Participants == nil {
		return false, errNoList
	}
	a.Participants = page.Participants
	matches = a.setPaging(&page.Paging, r)
	for i := range a.Participants {
		matches = matches && a.Participants[i].mayBeIn(&r.Path)
	}
	return matches, nil
}

func (a *Answer) decodeConferences(body []byte, r *Request) (matches bool, err error) {
	var page struct {
		Conferences []Conference `json:"conferences"`
		Paging
	}
	if err := json.Unmarshal(body, &page, lenient); err != nil {
		return false, err
	}
	if page.Conferences == nil {
		return false, errNoList
	}
	a.Conferences = page.Conferences
	matches = a.setPaging(&page.Paging, r)
	return matches && a.conferencesMayBe(r), a.checkConferences()
}

// checkConferences returns an error for a conference without a SID.
func (a *Answer) checkConferences() error {
	for i := range a.Conferences {
		if a.Conferences[i].SID == "" {
			return errors.New("twilio: the answer has a conference without a SID")
		}
	}
	return nil
}

// conferencesMayBe reports whether no conference contradicts the request.
func (a *Answer) conferencesMayBe(r *Request) bool {
	for i := range a.Conferences {
		c := &a.Conferences[i]
		if !mayBe(c.AccountSID, r.Path.AccountSID) ||
			r.Operation == FetchConference && !strings.EqualFold(c.SID, r.Path.ConferenceSID) {
			return false
		}
	}
	return true
}

var errNoList = errors.New("twilio: the answer is no list")
