package twilio

import (
	"net/url"
	"strconv"
)

// ParticipantUpdate is what to change about a participant. A nil pointer or an
// empty method is not sent, so Twilio leaves the property as it is; false and ""
// are values and are sent.
type ParticipantUpdate struct {
	Muted               *bool
	Hold                *bool
	HoldURL             *string
	HoldMethod          string // GET or POST
	AnnounceURL         *string
	AnnounceMethod      string  // GET or POST
	WaitURL             *string // "" plays nothing
	WaitMethod          string  // GET or POST
	BeepOnExit          *bool
	EndConferenceOnExit *bool
	Coaching            *bool
	CallSIDToCoach      *string
}

// AppendForm appends the update to dst, encoded as
// application/x-www-form-urlencoded, and returns the result. The keys come in the
// order of the fields.
func (u *ParticipantUpdate) AppendForm(dst []byte) []byte {
	f := form{dst, len(dst)}
	f.bool("Muted", u.Muted)
	f.bool("Hold", u.Hold)
	f.text("HoldUrl", u.HoldURL)
	f.method("HoldMethod", u.HoldMethod)
	f.text("AnnounceUrl", u.AnnounceURL)
	f.method("AnnounceMethod", u.AnnounceMethod)
	f.text("WaitUrl", u.WaitURL)
	f.method("WaitMethod", u.WaitMethod)
	f.bool("BeepOnExit", u.BeepOnExit)
	f.bool("EndConferenceOnExit", u.EndConferenceOnExit)
	f.bool("Coaching", u.Coaching)
	f.text("CallSidToCoach", u.CallSIDToCoach)
	return f.buf
}

// form is a form under construction, which begins at buf[start].
type form struct {
	buf   []byte
	start int
}

func (f *form) add(key, value string) {
	if len(f.buf) > f.start {
		f.buf = append(f.buf, '&')
	}
	f.buf = append(append(f.buf, key...), '=')
	f.buf = append(f.buf, url.QueryEscape(value)...)
}

func (f *form) bool(key string, value *bool) {
	if value != nil {
		f.add(key, strconv.FormatBool(*value))
	}
}

func (f *form) text(key string, value *string) {
	if value != nil {
		f.add(key, *value)
	}
}

func (f *form) method(key, value string) {
	if value != "" {
		f.add(key, value)
	}
}
