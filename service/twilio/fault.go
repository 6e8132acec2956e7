package twilio

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"conferenced/service/sids"
	"conferenced/service/twilio/wire"
)

// newError returns the error in a response with a 4xx or 5xx status to a request
// about a participant with the credentials of a.
func newError(r *wire.Response, a *Account, participant string) *Error {
	e := &Error{
		HTTPStatus: r.StatusCode, RequestID: requestID(r.Header), Concurrent: concurrent(r.Header), Reused: r.Reused,
	}
	e.RetryAfter, e.HasRetryAfter = retryAfter(r.Header, time.Now())
	f := parseFault(r.Body)
	e.Code = parseCode(f.Code)
	e.Message = cleanMessage(f.Message, a, participant)
	e.MoreInfo = cleanLink(f.MoreInfo, a)
	return e
}

// fault is the body of an error as Twilio writes it, without the status, which is
// in HTTP too.
type fault struct {
	Code     string `xml:"Code"`
	Message  string `xml:"Message"`
	MoreInfo string `xml:"MoreInfo"`
}

// parseFault parses a body. The result is empty if the body is neither Twilio's
// JSON nor Twilio's XML.
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

// parseJSONFault keeps the members that are strings or numbers even if others are not.
func parseJSONFault(body []byte) fault {
	var members struct {
		Code     any `json:"code"`
		Message  any `json:"message"`
		MoreInfo any `json:"more_info"`
	}
	if json.Unmarshal(body, &members) != nil {
		return fault{}
	}
	return fault{Code: textOf(members.Code), Message: textOf(members.Message), MoreInfo: textOf(members.MoreInfo)}
}

// textOf returns the text of a JSON string or number, and "" for anything else.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return ""
	}
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

// cleanMessage makes Twilio's text safe to show and to log. It removes the queries and
// fragments of URLs, passwords, and the participant's label.
func cleanMessage(s string, a *Account, participant string) string {
	s = printableText(s)
	s = userinfo.ReplaceAllLiteralString(s, "//"+redacted+"@")
	s = queryOrFragment.ReplaceAllString(s, "$1")
	s = redactCredentials(s, a)
	if !sids.IsCall(participant) {
		s = redactLabel(s, participant)
	}
	return truncate(strings.TrimSpace(s), maxMessage)
}

// printableText maps white space to blanks and drops characters that are not
// printable.
func printableText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		default:
			return -1
		}
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// userinfo matches from a URL's // to the last @ of the word. A password may hold
// any delimiter unescaped, so it matches too much rather than too little.
var userinfo = regexp.MustCompile(`//[^ ]*@`)

// queryOrFragment matches from the first ? or # after a slash to the end of the word. A
// query may hold any delimiter unescaped, so it matches too much rather than too little.
var queryOrFragment = regexp.MustCompile(`(/[^ ?#]*)[?#][^ ]*`)

// redactLabel removes a label, percent-encoded or not, except for where it is a part of a
// longer word.
func redactLabel(s, label string) string {
	var pattern strings.Builder
	for _, r := range label {
		c := string(r)
		fmt.Fprintf(&pattern, "(?i:%s|%s|%s)", regexp.QuoteMeta(printableText(c)),
			regexp.QuoteMeta(url.QueryEscape(c)), regexp.QuoteMeta(escapeSegment(c)))
	}
	found := regexp.MustCompile(pattern.String()).FindAllStringIndex(s, -1)
	for _, at := range slices.Backward(found) {
		before, _ := utf8.DecodeLastRuneInString(s[:at[0]])
		after, _ := utf8.DecodeRuneInString(s[at[1]:])
		if at[0] < at[1] && !isWordCharacter(before) && !isWordCharacter(after) {
			s = s[:at[0]] + redacted + s[at[1]:]
		}
	}
	return s
}

func isWordCharacter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// redactCredentials removes the account's password, and the header's value with
// it, in case the host sends them back.
func redactCredentials(s string, a *Account) string {
	if password := a.Password.reveal(); password != "" {
		s = strings.ReplaceAll(s, password, redacted)
	}
	return strings.ReplaceAll(s, string(appendCredentials(nil, a)), redacted)
}

// truncate cuts s after n characters and marks the cut.
func truncate(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

// cleanLink returns s, normalized, if it is an http or https URL of at most 1000
// bytes without userinfo or the account's credentials, and otherwise "".
func cleanLink(s string, a *Account) string {
	u, err := url.Parse(s)
	switch {
	case err != nil, len(s) > 1000:
		return ""
	case u.Scheme != "https" && u.Scheme != "http":
		return ""
	case u.Host == "", u.User != nil, redactCredentials(s, a) != s:
		return ""
	}
	return u.String()
}
