package delivery

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// NamePrefix precedes a conference's friendly name where it is used instead of the SID.
const NamePrefix = "name:"

const (
	// maxPages is the maximum number of pages of a list that are read to find a
	// conference or a participant.
	maxPages     = 10
	listPageSize = 1000
)

// resolve replaces a friendly name in the request's path by the SID of the conference in
// progress that has the name. If wait is set and there is none, it waits for one. The
// error is an *outcome.Error or the context's.
func (d *Deliverer) resolve(
	ctx context.Context, account *twilio.Account, caller string, path *twilio.Path, wait bool,
) error {
	name, isName := strings.CutPrefix(path.ConferenceSID, NamePrefix)
	if !isName {
		return nil
	}
	find := func(ctx context.Context) ([]string, error) { return d.conferencesNamed(ctx, account, caller, name) }
	found, err := find(ctx)
	if err != nil {
		return err
	}
	key := Conference{Account: account.SID, SID: path.ConferenceSID}
	if len(found) > 0 {
		d.watches.hurry(key) // Older updates that wait for the conference go first.
	} else {
		missing := outcome.ConferenceNotFound.Err(outcome.Facts{
			Resource: twilio.Path{AccountSID: path.AccountSID, ConferenceSID: path.ConferenceSID}.String(),
			Detail:   "none in progress has this name",
		})
		if !wait {
			return missing
		}
		waiter := d.watches.wait(key, "", find)
		defer waiter.leave()
		if found, err = waiter.await(ctx, nil, missing); err != nil {
			return err
		}
	}
	path.ConferenceSID = found[0]
	return nil
}

// conferencesNamed returns the SID of the account's conference in progress with the
// friendly name, or none. Twilio's filters may match more than they say, so each
// conference is compared.
func (d *Deliverer) conferencesNamed(
	ctx context.Context, account *twilio.Account, caller, name string,
) (found []string, err error) {
	const inProgress = "in-progress"
	list := &twilio.Request{
		Operation: twilio.ListConferences,
		Path:      twilio.Path{AccountSID: account.SID},
		Query:     url.Values{"FriendlyName": {name}, "Status": {inProgress}},
	}
	complete, err := d.readPages(ctx, account, caller, list, func(page *twilio.Answer) {
		for _, c := range page.Conferences {
			if c.Is(name, inProgress) && !slices.Contains(found, c.SID) {
				found = append(found, c.SID)
			}
		}
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) > 1:
		return nil, outcome.ConferenceAmbiguous.Err(outcome.Facts{Detail: "use the SID of one of them"})
	case !complete:
		return nil, outcome.ConferenceAmbiguous.Err(outcome.Facts{Detail: "Twilio lists too many to read them all; use a SID"})
	}
	return found, nil
}

// participantsOf returns the Call SIDs and the labels of a conference's participants. A
// conference that Twilio does not find has none.
func (d *Deliverer) participantsOf(
	ctx context.Context, account *twilio.Account, caller, conference string,
) (found []string, err error) {
	list := &twilio.Request{
		Operation: twilio.ListParticipants,
		Path:      twilio.Path{AccountSID: account.SID, ConferenceSID: conference},
		Query:     url.Values{},
	}
	_, err = d.readPages(ctx, account, caller, list, func(page *twilio.Answer) {
		for _, p := range page.Participants {
			for _, name := range []*string{p.CallSID, p.Label} {
				if name != nil {
					found = append(found, *name)
				}
			}
		}
	})
	if outcome.Is(err, outcome.ConferenceNotFound) {
		return nil, nil
	}
	return found, err
}

// readPages calls use for each page of a list, for at most maxPages. It reports whether
// those were all pages.
func (d *Deliverer) readPages(
	ctx context.Context, account *twilio.Account, caller string, list *twilio.Request, use func(*twilio.Answer),
) (complete bool, err error) {
	filters := list.Query
	filters.Set("PageSize", strconv.Itoa(listPageSize))
	for range maxPages {
		answer, err := d.read(ctx, account, caller, list)
		if err != nil {
			return false, err
		}
		use(answer)
		if len(answer.Next) == 0 {
			return true, nil
		}
		list.Query = url.Values{}
		for _, keys := range []url.Values{filters, answer.Next} {
			maps.Copy(list.Query, keys)
		}
	}
	return false, nil
}
