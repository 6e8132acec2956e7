package twilio

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"conferenced/service/twilio/wire"
)

// newError returns the error that the answer to a request of the account tells
// of.
func newError(a *wire.Answer, as *Account, reused bool) *Error {
	e := &Error{HTTPStatus: a.Status, RequestID: requestID(a.Header), Reused: reused}
	e.RetryAfter, e.HasRetryAfter = retryAfter(a.Header, time.Now())
	f := parseFault(a.Body)
	e.Code = parseCode(f.Code)
	e.Message = cleanMessage(f.Message, as)
	e.MoreInfo = cleanLink(f.MoreInfo, as)
	return e
}

// fault is an error body as Twilio writes it. The status in it is left out:
// that of HTTP counts.
type fault struct {
	Code     string `xml:"Code"`
	Message  string `xml:"Message"`
	MoreInfo string `xml:"MoreInfo"`
}

// parseFault returns what body tells, which is nothing if it is neither
// Twilio's JSON nor Twilio's XML.
func parseFault(body []byte) fault {
	body = bytes.TrimSpace(body)
	switch {
	case bytes.HasPrefix(body, []byte("{")):
		return parseJSONFault(body)
	case bytes.HasPrefix(body, []byte("<")):
		return parseXMLFault(body)
	}
	return fault{}
}

// parseJSONFault keeps the members that have the right type even if others
// have not.
func parseJSONFault(body []byte) fault {
	var members struct {
		Code     json.RawMessage `json:"code"`
		Message  json.RawMessage `json:"message"`
		MoreInfo json.RawMessage `json:"more_info"`
	}
	if json.Unmarshal(body, &members) != nil {
		return fault{}
	}
	return fault{text(members.Code), text(members.Message), text(members.MoreInfo)}
}

// text returns a JSON string's value, a JSON number as it is written, and ""
// for anything else.
func text(raw json.RawMessage) string {
	var t looseText
	if t.UnmarshalJSON(raw) != nil {
		return ""
	}
	return string(t)
}

func parseXMLFault(body []byte) fault {
	var answer struct {
		XMLName xml.Name `xml:"TwilioResponse"`
		Fault   fault    `xml:"RestException"`
	}
	if xml.Unmarshal(body, &answer) != nil {
		return fault{}
	}
	return answer.Fault
}

func parseCode(s string) int {
	code, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
	if err != nil || code < 0 {
		return 0
	}
	return int(code)
}

// maxMessage is how many characters of a message are kept.
const maxMessage = 500

// cleanMessage makes Twilio's text safe to show and to log.
func cleanMessage(s string, as *Account) string {
	s = strings.Map(printable, strings.ToValidUTF8(s, "\uFFFD"))
	s = userinfo.ReplaceAllLiteralString(s, "//"+redacted+"@")
	s = redactCredentials(s, as)
	return truncate(strings.TrimSpace(s), maxMessage)
}

// printable maps white space to a blank and drops what cannot be seen.
func printable(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case unicode.IsPrint(r):
		return r
	}
	return -1
}

// userinfo matches from a URL's authority to the last @ of the word: a password
// may hold any delimiter unescaped, so rather too much is matched.
var userinfo = regexp.MustCompile(`//[^ ]*@`)

// redactCredentials removes the account's password, and the header that it was
// sent in, in case they come back.
func redactCredentials(s string, as *Account) string {
	if password := as.Password.reveal(); password != "" {
		s = strings.ReplaceAll(s, password, redacted)
	}
	_, token, _ := strings.Cut(string(appendBasicAuth(nil, as.Username, as.Password)), " ")
	return strings.ReplaceAll(s, token, redacted)
}

// truncate cuts s after n characters and marks the cut.
func truncate(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

// cleanLink returns s, normalized, if it is a web address of a reasonable
// length without userinfo or the request's credentials, and otherwise "".
func cleanLink(s string, as *Account) string {
	u, err := url.Parse(s)
	switch {
	case err != nil, len(s) > 1000:
		return ""
	case u.Scheme != "https" && u.Scheme != "http":
		return ""
	case u.Host == "", u.User != nil, redactCredentials(s, as) != s:
		return ""
	}
	return u.String()
}

// requestID returns the id that Twilio gave to the request, or "" if it is not
// a plain word.
func requestID(h http.Header) string {
	id := h.Get("Twilio-Request-Id")
	if len(id) > 64 || strings.ContainsFunc(id, isNotAlphanumeric) {
		return ""
	}
	return id
}

func isNotAlphanumeric(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-')
}

// maxRetryAfter bounds what a Retry-After header can ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter returns how long the header asks to wait, from 0 to
// maxRetryAfter, and whether it asks. A date is relative to the Date header, so
// that the two clocks need not agree, or else to now.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return fromSeconds(seconds)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}

func fromSeconds(n int64) (time.Duration, bool) {
	if n < 0 {
		return 0, false
	}
	return time.Duration(min(n, int64(maxRetryAfter/time.Second))) * time.Second, true
}
