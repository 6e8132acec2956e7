package twilio

import (
	"cmp"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"conferenced/service/twilio/wire"
)

// Participant is Twilio's description of a participant, with every property as
// Twilio writes it. Only the status is never null.
type Participant struct {
	AccountSID             *string `json:"account_sid"`
	CallSID                *string `json:"call_sid"`
	Label                  *string `json:"label"`
	CallSIDToCoach         *string `json:"call_sid_to_coach"`
	Coaching               *bool   `json:"coaching"`
	ConferenceSID          *string `json:"conference_sid"`
	DateCreated            *string `json:"date_created"` // RFC 2822
	DateUpdated            *string `json:"date_updated"` // RFC 2822
	EndConferenceOnExit    *bool   `json:"end_conference_on_exit"`
	Muted                  *bool   `json:"muted"`
	Hold                   *bool   `json:"hold"`
	StartConferenceOnEnter *bool   `json:"start_conference_on_enter"`
	Status                 string  `json:"status"`
	QueueTime              *string `json:"queue_time"` // milliseconds; Twilio writes a string
	URI                    *string `json:"uri"`        // relative to the API's host
}

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

// readAnswer returns what the response to the request says.
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
		participant, err := DecodeParticipant(w.Body)
		if err != nil {
			return false, err
		}
		a.Participant = *participant
		return participant.mayBeAt(&r.Path), nil
	}
}

func (a *Answer) decodeParticipants(body []byte, r *Request) (matches bool, err error) {
	var page struct {
		Participants []participantJSON `json:"participants"`
		Paging
	}
	if err := json.Unmarshal(body, &page, lenient); err != nil {
		return false, err
	}
	if page.Participants == nil {
		return false, errNoList
	}
	a.Participants = make([]Participant, len(page.Participants))
	matches = a.setPaging(&page.Paging, r)
	for i := range page.Participants {
		participant, err := page.Participants[i].participant()
		if err != nil {
			return false, err
		}
		a.Participants[i] = *participant
		matches = matches && participant.mayBeIn(&r.Path)
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

var (
	errNoParticipant = errors.New("twilio: the answer describes no participant")
	errQueueTime     = errors.New("twilio: the queue time is neither a string nor a number")
	errNoList        = errors.New("twilio: the answer is no list")
)

// participantJSON is a participant in Twilio's JSON. Its queue time may be a number.
type participantJSON struct {
	Participant
	QueueTime any `json:"queue_time"`
}

func (p *participantJSON) participant() (*Participant, error) {
	if p.Status == "" && (p.CallSID == nil || *p.CallSID == "") {
		return nil, errNoParticipant
	}
	switch queueTime, ok := textOf(p.QueueTime); {
	case ok:
		p.Participant.QueueTime = &queueTime
	case p.QueueTime != nil:
		return nil, errQueueTime
	}
	return &p.Participant, nil
}

// DecodeParticipant decodes Twilio's JSON. It ignores members that it does not
// know. It returns an error if data is not one JSON object with members of
// these types, or if the object has neither a status nor a Call SID and so
// describes no participant.
func DecodeParticipant(data []byte) (*Participant, error) {
	var p participantJSON
	if err := json.Unmarshal(data, &p, lenient); err != nil {
		return nil, err
	}
	return p.participant()
}

// mayBeAt reports whether no member contradicts the path. A label or a SID that is
// null, missing or empty contradicts nothing, and case does not matter. Who is
// addressed by label may have any Call SID, and the other way round.
func (p *Participant) mayBeAt(path *Path) bool {
	name := p.Label
	if IsCallSID(path.Participant) {
		name = p.CallSID
	}
	return p.mayBeIn(path) && mayBe(name, path.Participant)
}

// mayBeIn reports whether no member contradicts the conference of the path.
func (p *Participant) mayBeIn(path *Path) bool {
	return mayBe(p.AccountSID, path.AccountSID) && mayBe(p.ConferenceSID, path.ConferenceSID)
}

func mayBe(got *string, want string) bool {
	return got == nil || *got == "" || strings.EqualFold(*got, want)
}

// textOf returns the text of a JSON string or number, and false for anything else.
func textOf(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	default:
		return "", false
	}
}
