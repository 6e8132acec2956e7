package sandbox

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
	token      string
	filters    url.Values // Normalized, for the links to other pages.
}

// pageToken matches the token of the page after or before an item: PA or PB and its
// SID.
var pageToken = regexp.MustCompile(`^P[AB]C[AF][0-9a-fA-F]{32}$`)

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
	if q.token = query.Get("PageToken"); q.token != "" && !pageToken.MatchString(q.token) {
		return listQuery{}, errPageToken
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

// matchesDate reports whether a date's day in UTC passes the filters of that name: equal
// to a day, at most a day (<), at least a day (>).
func (q listQuery) matchesDate(name string, date time.Time) bool {
	day := date.UTC().Format(time.DateOnly)
	return q.matches(name, day) &&
		(!q.filters.Has(name+"<") || day <= q.filters.Get(name+"<")) &&
		(!q.filters.Has(name+">") || day >= q.filters.Get(name+">"))
}

func (q listQuery) uri(page int, token string) string {
	filters := q.filters.Encode()
	if filters != "" {
		filters += "&"
	}
	uri := fmt.Sprintf("%s?%sPageSize=%d&Page=%d", q.path, filters, q.size, page)
	if token != "" {
		uri += "&PageToken=" + token
	}
	return uri
}

// A list has the items that pass the filters.
type list[T any] struct {
	items []T
	sids  []string // The SIDs of items.
	order []string // The SIDs of all items in the list's order, also of removed and filtered ones.
}

func (l *list[T]) add(item T, sid string) {
	l.items = append(l.items, item)
	l.sids = append(l.sids, sid)
}

// bounds returns the indexes of the page of the query: by its token if it has one,
// otherwise by its page number.
func (l *list[T]) bounds(q listQuery) (start, end int, err *apiError) {
	if q.token == "" {
		start = min(q.page*q.size, len(l.items))
		return start, min(start+q.size, len(l.items)), nil
	}
	at := slices.Index(l.order, q.token[2:])
	if at < 0 {
		return 0, 0, errPageToken
	}
	first := 0 // The first item that is not before the item of the token.
	for first < len(l.sids) && slices.Index(l.order, l.sids[first]) < at {
		first++
	}
	if strings.HasPrefix(q.token, "PB") {
		return max(0, first-q.size), first, nil
	}
	if first < len(l.sids) && l.sids[first] == l.order[at] {
		first++
	}
	return first, min(first+q.size, len(l.items)), nil
}

// page returns the page of the query.
func (l *list[T]) page(q listQuery) ([]T, paging, *apiError) {
	start, end, err := l.bounds(q)
	if err != nil {
		return nil, paging{}, err
	}
	first := q.page * q.size
	p := paging{
		Page:         q.page,
		PageSize:     q.size,
		FirstPageURI: q.uri(0, ""),
		URI:          q.uri(q.page, q.token),
		Start:        first,
		End:          first + max(0, end-start-1),
	}
	if 0 < end && end < len(l.items) {
		p.NextPageURI = nullable(q.uri(q.page+1, "PA"+l.sids[end-1]))
	}
	switch {
	case q.page > 0 && start < len(l.items):
		p.PreviousPageURI = nullable(q.uri(q.page-1, "PB"+l.sids[start]))
	case q.page > 0:
		p.PreviousPageURI = nullable(q.uri(q.page-1, ""))
	}
	return append([]T{}, l.items[start:end]...), p, nil
}

func (t *tenant) listParticipants(c *call, now time.Time) (any, *apiError) {
	q, err := parseListQuery(c, participantFilters)
	if err != nil {
		return nil, err
	}
	conference, err := t.findConference(c.target)
	if err != nil {
		return nil, err
	}
	matches := list[participantResource]{order: t.everyone[conference.SID]}
	for _, p := range t.listed(conference, now) {
		if q.matches("Muted", strconv.FormatBool(p.Muted)) && q.matches("Hold", strconv.FormatBool(p.Hold)) &&
			q.matches("Coaching", strconv.FormatBool(p.Coaching)) {
			matches.add(c.target.showParticipant(p), p.CallSID)
		}
	}
	page, paging, err := matches.page(q)
	return participantsPage{Participants: page, paging: paging}, err
}

// listConferences lists the conferences by date of creation, the latest first.
func (t *tenant) listConferences(c *call, now time.Time) (any, *apiError) {
	q, err := parseListQuery(c, conferenceFilters)
	if err != nil {
		return nil, err
	}
	sorted := slices.Clone(t.Conferences)
	slices.Reverse(sorted)
	slices.SortStableFunc(sorted, func(x, y *Conference) int { return y.DateCreated.Compare(x.DateCreated) })
	var matches list[conferenceResource]
	for _, conference := range sorted {
		if q.filters.Has("FriendlyName") && now.Before(conference.DateCreated.Add(t.settings.defects.nameLag)) {
			continue
		}
		matches.order = append(matches.order, conference.SID)
		if q.matches("Status", conference.Status) && q.matches("FriendlyName", conference.FriendlyName) &&
			q.matchesDate("DateCreated", conference.DateCreated) && q.matchesDate("DateUpdated", conference.DateUpdated) {
			matches.add(c.target.showConference(conference), conference.SID)
		}
	}
	page, paging, err := matches.page(q)
	return conferencesPage{Conferences: page, paging: paging}, err
}
