package twilio

import (
	"net/url"
	"strings"
)

// Path identifies one participant, or, without a Participant, one conference, or,
// without a ConferenceSID too, the conferences of an account.
type Path struct {
	AccountSID    string
	ConferenceSID string
	Participant   string // the participant's Call SID or label
}

// String returns the escaped path of the resource. Every byte of the three names that
// is not in RFC 3986's unreserved set is percent-encoded, so each name stays one
// segment. The path contains the participant's label.
func (p Path) String() string {
	text := append(make([]byte, 0, 160), "/2010-04-01/Accounts/"...)
	text = append(append(text, escapeSegment(p.AccountSID)...), "/Conferences"...)
	if p.ConferenceSID != "" {
		text = append(append(text, '/'), escapeSegment(p.ConferenceSID)...)
	}
	if p.Participant != "" {
		text = append(append(text, "/Participants/"...), escapeSegment(p.Participant)...)
	}
	return string(append(text, ".json"...))
}

// participants returns the escaped path of the list of a conference's participants.
func (p Path) participants() string {
	return strings.TrimSuffix(Path{p.AccountSID, p.ConferenceSID, ""}.String(), ".json") + "/Participants.json"
}

// escapeSegment escapes more than [url.PathEscape], which does not escape delimiters.
func escapeSegment(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func isNoSegment(s string) bool { return s == "" || s == "." || s == ".." }
