package twilio

import (
	"net/url"
	"strings"
)

// ParticipantPath identifies one participant.
type ParticipantPath struct {
	AccountSID    string
	ConferenceSID string
	Participant   string // the participant's Call SID or label
}

// String returns the escaped path of the participant's resource. Every byte of the
// three names that is not in RFC 3986's unreserved set is percent-encoded, so each
// name stays one segment. The path contains the participant's label.
func (p ParticipantPath) String() string {
	return "/2010-04-01/Accounts/" + escapeSegment(p.AccountSID) + "/Conferences/" + escapeSegment(p.ConferenceSID) +
		"/Participants/" + escapeSegment(p.Participant) + ".json"
}

// escapeSegment escapes more than [url.PathEscape], which does not escape delimiters.
func escapeSegment(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// check returns a [RequestError] unless p identifies a participant of the account
// with that SID. A segment of dots would be resolved as a relative path.
func (p *ParticipantPath) check(accountSID string) error {
	switch {
	case isNoSegment(p.AccountSID):
		return &RequestError{Reason: "no account SID"}
	case p.AccountSID != accountSID:
		return &RequestError{Reason: "the path and the credentials are of different accounts"}
	case isNoSegment(p.ConferenceSID):
		return &RequestError{Reason: "no conference SID"}
	case p.Participant == "": // Dots are safe here, because .json follows.
		return &RequestError{Reason: "no participant"}
	}
	return nil
}

func isNoSegment(s string) bool { return s == "" || s == "." || s == ".." }
