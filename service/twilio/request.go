package twilio

import (
	"net/http"
	"net/url"
	"strings"

	"conferenced/service/property"
	"conferenced/service/sids"
)

// Operation is a kind of request.
type Operation int

// The operations.
const (
	// UpdateParticipant is the update of a participant. Its answer has the Participant.
	UpdateParticipant Operation = iota
	// RemoveParticipant ends a participant's call. It must be named by its Call SID, which
	// is all that the answer's Participant has.
	RemoveParticipant
	// FetchParticipant reads a participant. Its answer has the Participant.
	FetchParticipant
	// ListParticipants reads a page of a conference's participants. Its answer has the
	// Participants and the Next page.
	ListParticipants
	// FetchConference reads a conference. Its answer has it in Conferences.
	FetchConference
	// ListConferences reads a page of an account's conferences. Its answer has the
	// Conferences and the Next page.
	ListConferences
)

// operations are the name and the HTTP method of each operation.
var operations = [...]struct{ name, method string }{
	UpdateParticipant: {"update participant", http.MethodPost},
	RemoveParticipant: {"remove participant", http.MethodDelete},
	FetchParticipant:  {"fetch participant", http.MethodGet},
	ListParticipants:  {"list participants", http.MethodGet},
	FetchConference:   {"fetch conference", http.MethodGet},
	ListConferences:   {"list conferences", http.MethodGet},
}

// String returns the operation's name, such as "update participant".
func (o Operation) String() string { return operations[o].name }

// Method returns the operation's HTTP method.
func (o Operation) Method() string { return operations[o].method }

// isOfParticipant reports whether the operation is about one participant.
func (o Operation) isOfParticipant() bool { return o <= FetchParticipant }

// subject returns what the operation is about.
func (o Operation) subject() string {
	_, subject, _ := strings.Cut(o.String(), " ")
	return subject
}

func (o Operation) isList() bool { return o == ListParticipants || o == ListConferences }

// Request is one request to Twilio.
type Request struct {
	Operation Operation
	// Path identifies the participant, the conference of a fetch or of a list of
	// participants, or the account of a list of conferences.
	Path Path
	// Change is what an update sets.
	Change *property.Values
	// Query is the query of a list, with Twilio's keys: filters, PageSize, and those of an
	// answer's Next page.
	Query url.Values
}

// Repeatable reports whether making the request twice has the same effect as making it
// once. An announcement is played again each time it is sent.
func (r *Request) Repeatable() bool {
	return r.Operation != UpdateParticipant || !r.Change.Set().Has(property.AnnounceURL)
}

// Read reports whether the request changes nothing.
func (r *Request) Read() bool { return r.Operation.Method() == http.MethodGet }

// target returns the request's escaped path, with the query.
func (r *Request) target() string {
	path := r.Path.String()
	if r.Operation == ListParticipants {
		path = r.Path.participants()
	}
	if len(r.Query) > 0 {
		path += "?" + r.Query.Encode()
	}
	return path
}

// check returns a [RequestError] unless the path fits the operation and is of the account
// with that SID. A segment of dots would be resolved as a relative path.
func (r *Request) check(accountSID string) error {
	wantsConference := r.Operation != ListConferences
	switch p := &r.Path; {
	case isNoSegment(p.AccountSID):
		return &RequestError{Reason: "no account SID"}
	case p.AccountSID != accountSID:
		return &RequestError{Reason: "the path and the credentials are of different accounts"}
	case wantsConference && isNoSegment(p.ConferenceSID):
		return &RequestError{Reason: "no conference SID"}
	case r.Operation.isOfParticipant() && p.Participant == "": // Dots are safe here, because .json follows.
		return &RequestError{Reason: "no participant"}
	case r.Operation == RemoveParticipant && !sids.IsCall(p.Participant):
		return &RequestError{Reason: "a participant is removed by its Call SID"}
	case !wantsConference && p.ConferenceSID != "", !r.Operation.isOfParticipant() && p.Participant != "":
		return &RequestError{Reason: "the path names more than the request is about"}
	}
	return nil
}

// PageKeys are the keys of a query that identify a page other than the first.
var PageKeys = []string{"Page", "PageToken"}

// nextPage returns the page in next_page_uri, nil for none, and whether the URI is of
// the same list as the request.
func (r *Request) nextPage(uri *string) (url.Values, bool) {
	if uri == nil || *uri == "" {
		return nil, true
	}
	own := r.pageURI(uri)
	if own == nil {
		return nil, false
	}
	_, encoded, _ := strings.Cut(*own, "?")
	query, err := url.ParseQuery(encoded)
	next := url.Values{}
	for _, key := range PageKeys {
		if query.Has(key) {
			next.Set(key, query.Get(key))
		}
	}
	return next, err == nil && len(next) > 0
}

// pageURI returns a URI of a page without scheme and host, or nil if it is not of the
// same list as the request.
func (r *Request) pageURI(uri *string) *string {
	if uri == nil {
		return nil
	}
	u, err := url.Parse(*uri)
	path, _, _ := strings.Cut(r.target(), "?")
	if err != nil || !strings.EqualFold(u.EscapedPath(), path) {
		return nil
	}
	own := path
	if u.RawQuery != "" {
		own += "?" + u.RawQuery
	}
	return &own
}
