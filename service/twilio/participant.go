package twilio

import (
	"errors"
	"strconv"
	"strings"

	"conferenced/service/sids"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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

var (
	errNoParticipant = errors.New("twilio: the answer describes no participant")
	errMember        = errors.New("twilio: a member of the participant has another type")
)

// DecodeParticipant decodes Twilio's JSON. It ignores members that it does not
// know. It returns an error if data is not one JSON object with members of
// these types, or if the object has neither a status nor a Call SID and so
// describes no participant.
func DecodeParticipant(data []byte) (*Participant, error) {
	p := new(Participant)
	if err := json.Unmarshal(data, p, lenient); err != nil {
		return nil, err
	}
	return p, nil
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom]; see [DecodeParticipant]. Decoding
// by reflection takes more CPU, and so deep a stack that each update has to grow it.
func (p *Participant) UnmarshalJSONFrom(from *jsontext.Decoder) error {
	if from.PeekKind() != '{' {
		return errNoParticipant
	}
	_, _ = from.ReadToken()
	r := memberReader{from, make([]string, 0, 10), make([]bool, 0, 5)}
	for from.PeekKind() != '}' {
		if err := p.readMember(&r); err != nil {
			return err
		}
	}
	_, _ = from.ReadToken()
	if p.Status == "" && (p.CallSID == nil || *p.CallSID == "") {
		return errNoParticipant
	}
	return nil
}

// readMember reads a member of the JSON object.
func (p *Participant) readMember(r *memberReader) error {
	encoded, err := r.from.ReadValue()
	if err != nil {
		return err
	}
	name, _ := jsontext.AppendUnquote(make([]byte, 0, 32), encoded) // The error is about UTF-8 in an unknown name.
	read := memberReaders[string(name)]
	if read == nil {
		return r.from.SkipValue()
	}
	return read(p, r)
}

// memberReaders read the values of members by name.
var memberReaders = map[string]func(*Participant, *memberReader) error{
	"account_sid":               into(func(p *Participant) **string { return &p.AccountSID }, (*memberReader).text),
	"call_sid":                  into(func(p *Participant) **string { return &p.CallSID }, (*memberReader).text),
	"label":                     into(func(p *Participant) **string { return &p.Label }, (*memberReader).text),
	"call_sid_to_coach":         into(func(p *Participant) **string { return &p.CallSIDToCoach }, (*memberReader).text),
	"conference_sid":            into(func(p *Participant) **string { return &p.ConferenceSID }, (*memberReader).text),
	"date_created":              into(func(p *Participant) **string { return &p.DateCreated }, (*memberReader).text),
	"date_updated":              into(func(p *Participant) **string { return &p.DateUpdated }, (*memberReader).text),
	"uri":                       into(func(p *Participant) **string { return &p.URI }, (*memberReader).text),
	"queue_time":                into(func(p *Participant) **string { return &p.QueueTime }, (*memberReader).textOrNumber),
	"status":                    into(func(p *Participant) *string { return &p.Status }, (*memberReader).status),
	"coaching":                  into(func(p *Participant) **bool { return &p.Coaching }, (*memberReader).flag),
	"end_conference_on_exit":    into(func(p *Participant) **bool { return &p.EndConferenceOnExit }, (*memberReader).flag),
	"muted":                     into(func(p *Participant) **bool { return &p.Muted }, (*memberReader).flag),
	"hold":                      into(func(p *Participant) **bool { return &p.Hold }, (*memberReader).flag),
	"start_conference_on_enter": into(func(p *Participant) **bool { return &p.StartConferenceOnEnter }, (*memberReader).flag),
}

// into returns a function that reads a value into a field.
func into[T any](
	field func(*Participant) *T, read func(*memberReader) (T, error),
) func(*Participant, *memberReader) error {
	return func(p *Participant, r *memberReader) (err error) {
		*field(p), err = read(r)
		return err
	}
}

// memberReader reads the values of members. What its methods return points into texts and
// flags, to save allocations; nil is null.
type memberReader struct {
	from  *jsontext.Decoder
	texts []string
	flags []bool
}

func (r *memberReader) text() (*string, error) {
	switch token, err := r.from.ReadToken(); {
	case err != nil:
		return nil, err
	case token.Kind() == 'n':
		return nil, nil
	case token.Kind() != '"':
		return nil, errMember
	default:
		r.texts = append(r.texts, token.String())
		return &r.texts[len(r.texts)-1], nil
	}
}

// status reads a text that is never null.
func (r *memberReader) status() (string, error) {
	text, err := r.text()
	if text == nil {
		return "", err
	}
	return *text, nil
}

func (r *memberReader) textOrNumber() (*string, error) {
	if r.from.PeekKind() != '0' {
		return r.text()
	}
	token, err := r.from.ReadToken()
	if err != nil {
		return nil, err
	}
	number, err := token.Float()
	return new(strconv.FormatFloat(number, 'f', -1, 64)), err
}

func (r *memberReader) flag() (*bool, error) {
	switch token, err := r.from.ReadToken(); {
	case err != nil:
		return nil, err
	case token.Kind() == 'n':
		return nil, nil
	case token.Kind() != 't' && token.Kind() != 'f':
		return nil, errMember
	default:
		r.flags = append(r.flags, token.Bool())
		return &r.flags[len(r.flags)-1], nil
	}
}

// mayBeAt reports whether no member contradicts the path. A label or a SID that is
// null, missing or empty contradicts nothing, and case does not matter. A participant in
// a path by label may have any Call SID, and one by Call SID may have any label.
func (p *Participant) mayBeAt(path *Path) bool {
	name := p.Label
	if sids.IsCall(path.Participant) {
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
