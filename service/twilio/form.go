package twilio

import (
	"slices"
	"strconv"
)

// ParticipantUpdate is what to change about a participant. A nil pointer or an
// empty method is not sent, so that Twilio leaves the property as it is; false
// and "" are values and are sent.
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

// AppendForm appends the update, encoded as
// application/x-www-form-urlencoded, to dst and returns the result. The keys
// come in the order of the fields. Values are escaped as [net/url.QueryEscape]
// does it. It allocates at most once.
func (u *ParticipantUpdate) AppendForm(dst []byte) []byte {
	f := form{slices.Grow(dst, u.formSize()), len(dst)}
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

// formSize returns an upper bound for the length of the encoded form.
func (u *ParticipantUpdate) formSize() int {
	const keysAndBools = 256
	return keysAndBools +
		3*(textSize(u.HoldURL)+textSize(u.AnnounceURL)+textSize(u.WaitURL)+textSize(u.CallSIDToCoach)) +
		3*(len(u.HoldMethod)+len(u.AnnounceMethod)+len(u.WaitMethod))
}

func textSize(s *string) int {
	if s == nil {
		return 0
	}
	return len(*s)
}

// form is a form under construction, which begins at buf[start].
type form struct {
	buf   []byte
	start int
}

func (f *form) key(key string) {
	if len(f.buf) > f.start {
		f.buf = append(f.buf, '&')
	}
	f.buf = append(f.buf, key...)
	f.buf = append(f.buf, '=')
}

func (f *form) bool(key string, value *bool) {
	if value == nil {
		return
	}
	f.key(key)
	f.buf = strconv.AppendBool(f.buf, *value)
}

func (f *form) text(key string, value *string) {
	if value == nil {
		return
	}
	f.key(key)
	f.buf = appendFormValue(f.buf, *value)
}

func (f *form) method(key, value string) {
	if value != "" {
		f.text(key, &value)
	}
}

func appendFormValue(dst []byte, s string) []byte {
	for _, c := range []byte(s) {
		switch {
		case isUnreserved(c):
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '+')
		default:
			dst = appendPercent(dst, c)
		}
	}
	return dst
}
