package twilio

// ParticipantPath names one participant.
type ParticipantPath struct {
	AccountSID    string
	ConferenceSID string
	Participant   string // the participant's Call SID or label
}

const hexDigits = "0123456789ABCDEF"

// pathPrefix is the API's version and the collection that all paths begin with.
const pathPrefix = "/2010-04-01/Accounts/"

// AppendURL appends the escaped path of the participant's resource to dst and
// returns the result. Every byte of the three names that is not in RFC 3986's
// unreserved set is percent-encoded, so each stays one segment whatever it
// holds.
func (p *ParticipantPath) AppendURL(dst []byte) []byte {
	dst = append(dst, pathPrefix...)
	dst = appendSegment(dst, p.AccountSID)
	dst = append(dst, "/Conferences/"...)
	dst = appendSegment(dst, p.ConferenceSID)
	dst = append(dst, "/Participants/"...)
	dst = appendSegment(dst, p.Participant)
	return append(dst, ".json"...)
}

// String returns the escaped path, as [ParticipantPath.AppendURL] does. It
// holds the participant's label.
func (p ParticipantPath) String() string {
	return string(p.AppendURL(make([]byte, 0, 256)))
}

func appendSegment(dst []byte, s string) []byte {
	for _, c := range []byte(s) {
		if isUnreserved(c) {
			dst = append(dst, c)
		} else {
			dst = appendPercent(dst, c)
		}
	}
	return dst
}

func appendPercent(dst []byte, c byte) []byte {
	return append(dst, '%', hexDigits[c>>4], hexDigits[c&0xf])
}

// isUnreserved reports whether c is in the unreserved set of RFC 3986,
// section 2.3.
func isUnreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}

// check returns a [RequestError] unless p names one participant of the account
// with that SID. A dot alone would be taken for a relative path.
func (p *ParticipantPath) check(accountSID string) error {
	switch {
	case isNoSegment(p.AccountSID):
		return &RequestError{Reason: "no account SID"}
	case p.AccountSID != accountSID:
		return &RequestError{Reason: "the path and the credentials are of different accounts"}
	case isNoSegment(p.ConferenceSID):
		return &RequestError{Reason: "no conference SID"}
	case p.Participant == "": // Dots are fine here, as .json follows.
		return &RequestError{Reason: "no participant"}
	}
	return nil
}

func isNoSegment(s string) bool { return s == "" || s == "." || s == ".." }
