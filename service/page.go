package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/sids"
	"conferenced/service/twilio"
)

// maxPageSize is the maximum size of a page at Twilio.
const maxPageSize = 1000

// conferenceKey is the key of a page token for the SID of a conference that the request
// names, so that all pages are of the conference that had the name at the first page.
const conferenceKey = "ConferenceSid"

// listOf returns the list that the request asks for, of any page.
func listOf(account *twilio.Account, request *conferencev1.ListParticipantsRequest) *twilio.Request {
	filters := url.Values{}
	put := func(key string, value *bool) {
		if value != nil {
			filters.Set(key, strconv.FormatBool(*value))
		}
	}
	put("Muted", request.Muted)
	put("Hold", request.Hold)
	put("Coaching", request.Coaching)
	return &twilio.Request{
		Operation: twilio.ListParticipants,
		Path:      twilio.Path{AccountSID: account.SID, ConferenceSID: request.GetConferenceSid()},
		Query:     filters,
	}
}

// pageOf returns the request for the page of the list. The error of a page token of
// another list is an *outcome.Error.
func pageOf(
	list *twilio.Request, request interface {
		GetPageSize() int32
		GetPageToken() string
	},
) (*twilio.Request, error) {
	page := *list
	page.Query = maps.Clone(list.Query)
	if size := request.GetPageSize(); size > 0 {
		page.Query.Set("PageSize", strconv.Itoa(int(min(size, maxPageSize))))
	}
	if request.GetPageToken() == "" {
		return &page, nil
	}
	keys, ok := parsePageToken(list, request.GetPageToken())
	if !ok {
		return nil, refusal(&errdetails.BadRequest_FieldViolation{
			Field:       "page_token",
			Description: "must be the next_page_token of a response about the same account, conference and filters",
		})
	}
	if sid := keys.Get(conferenceKey); sid != "" {
		page.Path.ConferenceSID = sid
		keys.Del(conferenceKey)
	}
	maps.Copy(page.Query, keys)
	return &page, nil
}

// pageToken returns the token for a page of the list; "" if there is no page. The token
// is the page's keys, after a digest of the list and the keys. conference is the SID of
// the list's conference.
func pageToken(list *twilio.Request, conference string, page url.Values) string {
	if len(page) == 0 {
		return ""
	}
	if conference != list.Path.ConferenceSID {
		page = maps.Clone(page)
		page.Set(conferenceKey, conference)
	}
	keys := page.Encode()
	return base64.RawURLEncoding.EncodeToString(append(digestOf(list, keys), keys...))
}

// parsePageToken returns the keys in a token of pageToken, and whether it is one for
// the list. The digest is no signature: a forged token can name any page, but neither
// another account nor other filters, and another conference only if the request has a
// name.
func parsePageToken(list *twilio.Request, token string) (page url.Values, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(text) < digestBytes {
		return nil, false
	}
	digest, keys := text[:digestBytes], string(text[digestBytes:])
	given, err := url.ParseQuery(keys)
	if err != nil || !bytes.Equal(digest, digestOf(list, keys)) {
		return nil, false
	}
	page = url.Values{}
	for _, key := range twilio.PageKeys {
		if given.Has(key) {
			page.Set(key, given.Get(key))
		}
	}
	if conference := given.Get(conferenceKey); sids.IsConference(conference) && conferenceNamed(list) {
		page.Set(conferenceKey, conference)
	}
	return page, page.Has(conferenceKey) == conferenceNamed(list)
}

func conferenceNamed(list *twilio.Request) bool {
	return strings.HasPrefix(list.Path.ConferenceSID, delivery.NamePrefix)
}

const digestBytes = 16

// digestOf returns a digest of the list and the keys of one of its pages.
func digestOf(list *twilio.Request, keys string) []byte {
	text := strings.Join([]string{list.Operation.String(), list.Path.String(), list.Query.Encode(), keys}, "\n")
	sum := sha256.Sum256([]byte(text))
	return sum[:digestBytes]
}
