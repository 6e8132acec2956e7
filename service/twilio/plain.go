package twilio

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// maxPlain bounds the answers that are decoded as plain ones, and so what a
// participant's strings keep alive. Twilio's answers have about 700 bytes.
const maxPlain = 4 << 10

// plain decodes an answer as Twilio writes it: an object with names in lower
// case, and values that are strings, booleans or null, but for the status,
// which is there and no null. Anything else, be it JSON or not, is left to
// encoding/json, which takes many times as long.
type plain struct {
	rest string // what is still to be decoded

	to     Participant
	status *string

	// Room for the values, so that they are not allocated one by one.
	texts [10]string
	flags [5]bool
}

// decodePlain decodes data as encoding/json does. It returns nil if data is
// not plain.
func decodePlain(data []byte) *Participant {
	if len(data) > maxPlain {
		return nil
	}
	d := &plain{rest: string(data)}
	if !d.object() || d.next() != 0 || d.rest != "" || d.status == nil {
		return nil
	}
	d.to.Status = *d.status
	return &d.to
}

// object decodes an object that is not empty.
func (d *plain) object() bool {
	if !d.skip('{') {
		return false
	}
	for d.member() {
		if !d.skip(',') {
			return d.skip('}')
		}
	}
	return false
}

func (d *plain) member() bool {
	name, ok := d.ascii()
	if !ok || !d.skip(':') {
		return false
	}
	text, flag := d.textOf(name), d.flagOf(name)
	if text.to == nil && flag.to == nil && !isLower(name) {
		return false
	}
	return d.value(text, flag)
}

// value decodes a value of which at most one of the places is.
func (d *plain) value(text place[string], flag place[bool]) bool {
	switch d.next() {
	case '"':
		return flag.to == nil && d.text(text)
	case 't', 'f':
		return text.to == nil && d.flag(flag)
	case 'n':
		return d.word("null") && text.clear() && flag.clear()
	}
	return false
}

// place is where a value belongs, if it is kept, and the room for it.
type place[T any] struct {
	to   **T
	room *T
}

func (p place[T]) set(value T) bool {
	if p.to != nil {
		*p.to, *p.room = p.room, value
	}
	return true
}

func (p place[T]) clear() bool {
	if p.to != nil {
		*p.to = nil
	}
	return true
}

// textOf returns the place of the text with that name.
func (d *plain) textOf(name string) place[string] {
	switch name {
	case "account_sid":
		return place[string]{&d.to.AccountSID, &d.texts[0]}
	case "call_sid":
		return place[string]{&d.to.CallSID, &d.texts[1]}
	case "label":
		return place[string]{&d.to.Label, &d.texts[2]}
	case "call_sid_to_coach":
		return place[string]{&d.to.CallSIDToCoach, &d.texts[3]}
	case "conference_sid":
		return place[string]{&d.to.ConferenceSID, &d.texts[4]}
	case "date_created":
		return place[string]{&d.to.DateCreated, &d.texts[5]}
	case "date_updated":
		return place[string]{&d.to.DateUpdated, &d.texts[6]}
	case "queue_time":
		return place[string]{&d.to.QueueTime, &d.texts[7]}
	case "uri":
		return place[string]{&d.to.URI, &d.texts[8]}
	case "status":
		return place[string]{&d.status, &d.texts[9]}
	}
	return place[string]{}
}

// flagOf returns the place of the boolean with that name.
func (d *plain) flagOf(name string) place[bool] {
	switch name {
	case "coaching":
		return place[bool]{&d.to.Coaching, &d.flags[0]}
	case "end_conference_on_exit":
		return place[bool]{&d.to.EndConferenceOnExit, &d.flags[1]}
	case "muted":
		return place[bool]{&d.to.Muted, &d.flags[2]}
	case "hold":
		return place[bool]{&d.to.Hold, &d.flags[3]}
	case "start_conference_on_enter":
		return place[bool]{&d.to.StartConferenceOnEnter, &d.flags[4]}
	}
	return place[bool]{}
}

// isLower reports whether name is in lower case: encoding/json may know it even
// so if it is not.
func isLower(name string) bool {
	for _, c := range []byte(name) {
		if c != '_' && (c < 'a' || 'z' < c) {
			return false
		}
	}
	return true
}

func (d *plain) flag(to place[bool]) bool {
	if d.word("true") {
		return to.set(true)
	}
	return d.word("false") && to.set(false)
}

// text decodes a string.
func (d *plain) text(to place[string]) bool {
	if text, ok := d.ascii(); ok {
		return to.set(text)
	}
	text, ok := d.quoted()
	return ok && to.set(text)
}

// ascii skips a string of ASCII characters without escapes and returns it. It
// skips no other string.
func (d *plain) ascii() (string, bool) {
	if d.next() != '"' {
		return "", false
	}
	for i, c := range []byte(d.rest[1:]) {
		if c == '"' {
			text := d.rest[1 : 1+i]
			d.rest = d.rest[1+i+1:]
			return text, true
		}
		if c < ' ' || c >= utf8.RuneSelf || c == '\\' {
			break
		}
	}
	return "", false
}

// quoted skips any string and returns what encoding/json makes of it.
func (d *plain) quoted() (text string, ok bool) {
	for i := 1; i < len(d.rest); i++ {
		switch d.rest[i] {
		case '\\':
			i++
		case '"':
			whole := d.rest[:i+1]
			d.rest = d.rest[i+1:]
			err := json.Unmarshal([]byte(whole), &text)
			return text, err == nil
		}
	}
	return "", false
}

func (d *plain) word(word string) (ok bool) {
	d.rest, ok = strings.CutPrefix(d.rest, word)
	return ok
}

// skip skips white space and c. It reports false if c does not come next.
func (d *plain) skip(c byte) bool {
	if d.next() != c {
		return false
	}
	d.rest = d.rest[1:]
	return true
}

// next skips white space and returns the byte that comes next, or 0 at the end.
func (d *plain) next() byte {
	for i, c := range []byte(d.rest) {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			d.rest = d.rest[i:]
			return c
		}
	}
	d.rest = ""
	return 0
}
