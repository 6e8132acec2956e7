package sandbox

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

const (
	defaultPageSize = 50
	maxPageSize     = 1000
	maxPage         = 100_000
)

// paging is what every page of a list says about itself, in Twilio's form.
type paging struct {
	Page            int      `json:"page" xml:"page,attr"`
	PageSize        int      `json:"page_size" xml:"pagesize,attr"`
	FirstPageURI    string   `json:"first_page_uri" xml:"firstpageuri,attr"`
	NextPageURI     nullable `json:"next_page_uri" xml:"nextpageuri,attr"`
	PreviousPageURI nullable `json:"previous_page_uri" xml:"previouspageuri,attr"`
	URI             string   `json:"uri" xml:"uri,attr"`
	Start           int      `json:"start" xml:"start,attr"`
	End             int      `json:"end" xml:"end,attr"`
}

// participantsPage is one page of a list, in Twilio's form.
type participantsPage struct {
	XMLName      xml.Name              `json:"-" xml:"Participants"`
	Participants []participantResource `json:"participants" xml:"Participant"`
	paging
}

// A listing is what a list request asks for.
type listing struct {
	target  target
	page    int
	size    int
	filters url.Values
}

// A filter reads the value of a filter, or returns false if it cannot be one.
type filter func(value string) (string, bool)

var participantFilters = map[string]filter{"Muted": flagFilter, "Hold": flagFilter, "Coaching": flagFilter}

// conferenceFilters has the inequalities of dates as queries spell them:
// DateCreated<=2026-01-31 is the value 2026-01-31 of the field "DateCreated<".
var conferenceFilters = map[string]filter{
	"Status": textFilter, "FriendlyName": textFilter,
	"DateCreated": dateFilter, "DateCreated<": dateFilter, "DateCreated>": dateFilter,
	"DateUpdated": dateFilter, "DateUpdated<": dateFilter, "DateUpdated>": dateFilter,
}

func flagFilter(value string) (string, bool) { return strconv.FormatBool(isTrue(value)), true }
func textFilter(value string) (string, bool) { return value, true }

func dateFilter(value string) (string, bool) {
	_, err := time.Parse(time.DateOnly, value)
	return value, err == nil
}

func (s *Sandbox) list(c *call) answer {
	l, refusal := parseListing(c, participantFilters)
	if refusal != nil {
		return refusal.answer()
	}
	s.lock()
	defer s.mu.Unlock()
	conference, _, refusal := s.world.locate(c.target)
	if refusal != nil {
		return refusal.answer()
	}
	matches := []participantResource{}
	for _, p := range conference.Participants {
		if matchesParticipant(l.filters, p) {
			matches = append(matches, c.target.show(p))
		}
	}
	page, paging := pageFrom(l, matches)
	return ok(participantsPage{Participants: page, paging: paging})
}

func parseListing(c *call, known map[string]filter) (listing, *apiError) {
	query, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return listing{}, badRequest("The query is not readable")
	}
	l := listing{target: c.target, filters: url.Values{}}
	var sizeFits, pageFits bool
	l.size, sizeFits = parseNumber(query, "PageSize", defaultPageSize, 1, maxPageSize)
	l.page, pageFits = parseNumber(query, "Page", 0, 0, maxPage)
	if !sizeFits || !pageFits {
		return listing{}, badRequest("Page or PageSize is out of range")
	}
	for name, read := range known {
		if !query.Has(name) {
			continue
		}
		value, fits := read(query.Get(name))
		if !fits {
			return listing{}, badRequest(name + " is not a date such as 2026-01-31")
		}
		l.filters.Set(name, value)
	}
	return l, nil
}

func parseNumber(query url.Values, name string, unset, least, most int) (n int, fits bool) {
	if !query.Has(name) {
		return unset, true
	}
	n, err := strconv.Atoi(query.Get(name))
	return n, err == nil && least <= n && n <= most
}

// pageFrom returns the page that is asked for of all those that the filters let
// through, and what it says about itself.
func pageFrom[T any](l listing, matches []T) ([]T, paging) {
	start := min(l.page*l.size, len(matches))
	end := min(start+l.size, len(matches))
	p := paging{
		Page:         l.page,
		PageSize:     l.size,
		FirstPageURI: l.uri(0),
		URI:          l.uri(l.page),
		Start:        start,
		End:          max(start, end-1),
	}
	if end < len(matches) {
		p.NextPageURI = nullable(l.uri(l.page + 1))
	}
	if l.page > 0 {
		p.PreviousPageURI = nullable(l.uri(l.page - 1))
	}
	return matches[start:end], p
}

func matchesParticipant(filters url.Values, p *Participant) bool {
	for name, value := range map[string]bool{"Muted": p.Muted, "Hold": p.Hold, "Coaching": p.Coaching} {
		if filters.Has(name) && filters.Get(name) != strconv.FormatBool(value) {
			return false
		}
	}
	return true
}

// onDate reports whether a date passes the filters of that name, which are days
// in UTC: the day itself, that day or before, and that day or after.
func onDate(filters url.Values, name string, date time.Time) bool {
	day := date.UTC().Format(time.DateOnly)
	return (!filters.Has(name) || day == filters.Get(name)) &&
		(!filters.Has(name+"<") || day <= filters.Get(name+"<")) &&
		(!filters.Has(name+">") || day >= filters.Get(name+">"))
}

func (l listing) uri(page int) string {
	filters := l.filters.Encode()
	if filters != "" {
		filters += "&"
	}
	return fmt.Sprintf("%s?%sPageSize=%d&Page=%d", l.target.path, filters, l.size, page)
}
