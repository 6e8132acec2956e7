package sandbox

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strconv"
)

const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// participantsPage is one page of a list, in Twilio's form.
type participantsPage struct {
	XMLName         xml.Name              `json:"-" xml:"Participants"`
	Participants    []participantResource `json:"participants" xml:"Participant"`
	Page            int                   `json:"page" xml:"page,attr"`
	PageSize        int                   `json:"page_size" xml:"pagesize,attr"`
	FirstPageURI    string                `json:"first_page_uri" xml:"firstpageuri,attr"`
	NextPageURI     nullable              `json:"next_page_uri" xml:"nextpageuri,attr"`
	PreviousPageURI nullable              `json:"previous_page_uri" xml:"previouspageuri,attr"`
	URI             string                `json:"uri" xml:"uri,attr"`
	Start           int                   `json:"start" xml:"start,attr"`
	End             int                   `json:"end" xml:"end,attr"`
}

// A listing is what a list request asks for.
type listing struct {
	target  target
	page    int
	size    int
	filters url.Values
}

func (s *Sandbox) list(c *call) answer {
	l, refusal := parseListing(c)
	if refusal != nil {
		return refusal.answer()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	conference, _, refusal := s.world.locate(c.target)
	if refusal != nil {
		return refusal.answer()
	}
	return ok(l.of(conference.Participants))
}

func parseListing(c *call) (listing, *apiError) {
	query, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return listing{}, badRequest("The query is not readable")
	}
	l := listing{target: c.target, filters: url.Values{}}
	var sizeFits, pageFits bool
	l.size, sizeFits = parseNumber(query, "PageSize", defaultPageSize, 1, maxPageSize)
	l.page, pageFits = parseNumber(query, "Page", 0, 0, maxParticipants)
	if !sizeFits || !pageFits {
		return listing{}, badRequest("Page or PageSize is out of range")
	}
	for _, name := range []string{"Muted", "Hold", "Coaching"} {
		if query.Has(name) {
			l.filters.Set(name, strconv.FormatBool(isTrue(query.Get(name))))
		}
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

// of returns the page of those among all that the filters let through.
func (l listing) of(all []*Participant) participantsPage {
	matches := []participantResource{}
	for _, p := range all {
		if l.matches(p) {
			matches = append(matches, l.target.show(p))
		}
	}
	start := min(l.page*l.size, len(matches))
	end := min(start+l.size, len(matches))
	page := participantsPage{
		Participants: matches[start:end],
		Page:         l.page,
		PageSize:     l.size,
		FirstPageURI: l.uri(0),
		URI:          l.uri(l.page),
		Start:        start,
		End:          max(start, end-1),
	}
	if end < len(matches) {
		page.NextPageURI = nullable(l.uri(l.page + 1))
	}
	if l.page > 0 {
		page.PreviousPageURI = nullable(l.uri(l.page - 1))
	}
	return page
}

func (l listing) matches(p *Participant) bool {
	for name, value := range map[string]bool{"Muted": p.Muted, "Hold": p.Hold, "Coaching": p.Coaching} {
		if l.filters.Has(name) && l.filters.Get(name) != strconv.FormatBool(value) {
			return false
		}
	}
	return true
}

func (l listing) uri(page int) string {
	filters := l.filters.Encode()
	if filters != "" {
		filters += "&"
	}
	return fmt.Sprintf("%s?%sPageSize=%d&Page=%d", l.target.path, filters, l.size, page)
}
