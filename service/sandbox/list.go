package sandbox

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	defaultPageSize = 50
	maxPageSize     = 1000
	maxPage         = 100_000
)

// A listQuery is the query of a list request.
type listQuery struct {
	path       string
	page, size int
	filters    url.Values // In the form that the links to other pages have.
}

// A filter normalizes the value of a filter, or returns false if it is malformed.
type filter func(value string) (string, bool)

func flagFilter(value string) (string, bool) { return strconv.FormatBool(isTrue(value)), true }
func textFilter(value string) (string, bool) { return value, true }

func dateFilter(value string) (string, bool) {
	_, err := time.Parse(time.DateOnly, value)
	return value, err == nil
}

var participantFilters = map[string]filter{"Muted": flagFilter, "Hold": flagFilter, "Coaching": flagFilter}

// conferenceFilters has the inequalities of dates as queries spell them:
// DateCreated<=2026-01-31 is the value 2026-01-31 of the field "DateCreated<".
var conferenceFilters = map[string]filter{
	"Status": textFilter, "FriendlyName": textFilter,
	"DateCreated": dateFilter, "DateCreated<": dateFilter, "DateCreated>": dateFilter,
	"DateUpdated": dateFilter, "DateUpdated<": dateFilter, "DateUpdated>": dateFilter,
}

func parseListQuery(c *call, known map[string]filter) (listQuery, *apiError) {
	query, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return listQuery{}, badRequest("The query is not readable")
	}
	q := listQuery{path: c.target.path, size: defaultPageSize, filters: url.Values{}}
	if !parseNumber(query, "PageSize", &q.size, 1, maxPageSize) || !parseNumber(query, "Page", &q.page, 0, maxPage) {
		return listQuery{}, badRequest("Page or PageSize is out of range")
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !query.Has(name) {
			continue
		}
		value, ok := known[name](query.Get(name))
		if !ok {
			return listQuery{}, badRequest(name + " is not a date such as 2026-01-31")
		}
		q.filters.Set(name, value)
	}
	return q, nil
}

// parseNumber sets n if the query has a number of that name, and returns false if
// that is out of range.
func parseNumber(query url.Values, name string, n *int, least, most int) bool {
	if !query.Has(name) {
		return true
	}
	var err error
	*n, err = strconv.Atoi(query.Get(name))
	return err == nil && least <= *n && *n <= most
}

// matches reports whether a value passes the filter of that name, if there is one.
func (q listQuery) matches(name, value string) bool {
	return !q.filters.Has(name) || q.filters.Get(name) == value
}

// matchesDate reports whether a date passes the filters of that name: its day in
// UTC, that day or earlier, that day or later.
func (q listQuery) matchesDate(name string, date time.Time) bool {
	day := date.UTC().Format(time.DateOnly)
	return q.matches(name, day) &&
		(!q.filters.Has(name+"<") || day <= q.filters.Get(name+"<")) &&
		(!q.filters.Has(name+">") || day >= q.filters.Get(name+">"))
}

func (q listQuery) uri(page int) string {
	filters := q.filters.Encode()
	if filters != "" {
		filters += "&"
	}
	return fmt.Sprintf("%s?%sPageSize=%d&Page=%d", q.path, filters, q.size, page)
}

// pageFrom returns the page of the matches that the query asks for.
func pageFrom[T any](q listQuery, matches []T) ([]T, paging) {
	start := min(q.page*q.size, len(matches))
	end := min(start+q.size, len(matches))
	p := paging{
		Page:         q.page,
		PageSize:     q.size,
		FirstPageURI: q.uri(0),
		URI:          q.uri(q.page),
		Start:        start,
		End:          max(start, end-1),
	}
	if end < len(matches) {
		p.NextPageURI = nullable(q.uri(q.page + 1))
	}
	if q.page > 0 {
		p.PreviousPageURI = nullable(q.uri(q.page - 1))
	}
	return matches[start:end], p
}

func (w *world) listParticipants(c *call, _ time.Time) (any, *apiError) {
	q, err := parseListQuery(c, participantFilters)
	if err != nil {
		return nil, err
	}
	conference, err := w.findConference(c.target)
	if err != nil {
		return nil, err
	}
	matches := []participantResource{}
	for _, p := range conference.Participants {
		if q.matches("Muted", strconv.FormatBool(p.Muted)) && q.matches("Hold", strconv.FormatBool(p.Hold)) &&
			q.matches("Coaching", strconv.FormatBool(p.Coaching)) {
			matches = append(matches, c.target.showParticipant(p))
		}
	}
	page, paging := pageFrom(q, matches)
	return participantsPage{Participants: page, paging: paging}, nil
}

// listConferences lists the conferences by date of creation, the latest first.
func (w *world) listConferences(c *call, _ time.Time) (any, *apiError) {
	q, err := parseListQuery(c, conferenceFilters)
	if err != nil {
		return nil, err
	}
	sorted := slices.Clone(w.account(c.target.account).Conferences)
	slices.Reverse(sorted)
	slices.SortStableFunc(sorted, func(x, y *Conference) int { return y.DateCreated.Compare(x.DateCreated) })
	matches := []conferenceResource{}
	for _, conference := range sorted {
		if q.matches("Status", conference.Status) && q.matches("FriendlyName", conference.FriendlyName) &&
			q.matchesDate("DateCreated", conference.DateCreated) && q.matchesDate("DateUpdated", conference.DateUpdated) {
			matches = append(matches, c.target.showConference(conference))
		}
	}
	page, paging := pageFrom(q, matches)
	return conferencesPage{Conferences: page, paging: paging}, nil
}
