package twilio

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"conferenced/service/sids"

	"golang.org/x/net/http/httpguts"
)

// DefaultBaseURL is the API host of Twilio's default region, US1.
const DefaultBaseURL = "https://api.twilio.com"

// Account is a Twilio account: its host and the credentials to use there.
type Account struct {
	// SID is the account's SID: AC and 32 hexadecimal digits.
	SID string
	// Username is the account's SID, its parent account's SID, or the SID of
	// an API key: SK and 32 hexadecimal digits.
	Username string
	// Password is the auth token or the API key's secret.
	Password Secret
	// BaseURL is scheme://host[:port] with no trailing slash, such as
	// [DefaultBaseURL]. [BaseURL] makes one from a region and an edge.
	BaseURL string
}

// Validate returns the errors of all fields, joined, or nil. They contain neither the
// password nor the base URL.
func (a Account) Validate() error {
	return errors.Join(
		ValidateAccountSID(a.SID),
		ValidateUsername(a.Username),
		a.Password.Validate(),
		ValidateBaseURL(a.BaseURL),
	)
}

// ValidateAccountSID returns an error unless sid is AC and 32 hexadecimal digits.
func ValidateAccountSID(sid string) error {
	if !sids.IsAccount(sid) {
		return errors.New("the account SID must be AC and 32 hexadecimal digits")
	}
	return nil
}

// ValidateUsername returns an error unless name is an account SID or an API key
// SID.
func ValidateUsername(name string) error {
	if !sids.IsAccount(name) && !sids.IsKey(name) {
		return errors.New("the username must be an account SID (AC...) or an API key SID (SK...)")
	}
	return nil
}

// ValidateBaseURL returns an error unless base is scheme://host[:port], with http
// or https.
func ValidateBaseURL(base string) error {
	_, err := parseBaseURL(base)
	return err
}

// parseBaseURL parses a base URL, which must have a scheme and a host and nothing
// else. Its errors do not quote base, which may contain a password by mistake.
func parseBaseURL(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("the base URL cannot be parsed")
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the base URL must begin with https:// or http://")
	}
	if u.User != nil {
		return nil, errors.New("the base URL must not hold a user name or password")
	}
	if u.Hostname() == "" {
		return nil, errors.New("the base URL has no host")
	}
	if port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16); err != nil || port == 0 {
		return nil, errors.New("the base URL's port must be 1 to 65535")
	}
	if !httpguts.ValidHostHeader(u.Host) {
		return nil, errors.New("the base URL's host must be in ASCII, an international name in its xn-- form")
	}
	if base != u.Scheme+"://"+u.Host {
		return nil, errors.New("the base URL must be scheme://host[:port] and nothing after it, not even a slash")
	}
	return u, nil
}

// BaseURL returns the API's base URL for a region and its edge, by Twilio's names
// for them, such as "ie1" and "dublin". Without either, or with US1 alone, it is
// [DefaultBaseURL]. An edge alone is an edge of US1, as in Twilio's SDKs. Any other
// region alone is an error: Twilio announced that hosts with a region and no edge
// stop on 2026-04-28.
//
// Each name must be one DNS label, so that the host is always under twilio.com.
func BaseURL(region, edge string) (string, error) {
	region, edge = strings.ToLower(region), strings.ToLower(edge)
	if region != "" && !dnsLabel.MatchString(region) {
		return "", errors.New("the region is not a name such as us1, ie1 or au1")
	}
	if edge != "" && !dnsLabel.MatchString(edge) {
		return "", errors.New("the edge is not a name such as ashburn, dublin or sydney")
	}
	region = cmp.Or(region, "us1")
	if edge != "" {
		return "https://api." + edge + "." + region + ".twilio.com", nil
	}
	if region != "us1" {
		return "", fmt.Errorf("region %s needs an edge too, such as dublin for ie1 or sydney for au1: "+
			"hosts named by region alone (api.%s.twilio.com) were announced to stop on 2026-04-28", region, region)
	}
	return DefaultBaseURL, nil
}

// dnsLabel matches a label of RFC 1123 in lower case: at most 63 letters, digits and inner
// hyphens.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Accounts is an immutable set of accounts, one of which may be the default.
// It is safe for concurrent use.
type Accounts struct {
	bySID      map[string]*Account
	defaultSID string
}

// NewAccounts returns the set of the accounts. defaultSID is the default account's
// SID, or "" for none. It returns all errors, joined: accounts that are invalid or
// given twice, and a default that is not among them.
func NewAccounts(defaultSID string, accounts ...Account) (*Accounts, error) {
	set := &Accounts{bySID: make(map[string]*Account, len(accounts)), defaultSID: defaultSID}
	var errs []error
	for i, a := range accounts {
		if err := a.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("account %d: %w", i+1, err))
		}
		if _, twice := set.bySID[a.SID]; twice {
			errs = append(errs, fmt.Errorf("account %d: the account SID is given twice", i+1))
		}
		set.bySID[a.SID] = &a
	}
	if _, ok := set.bySID[defaultSID]; defaultSID != "" && !ok {
		errs = append(errs, errors.New("the default account is not among the accounts"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return set, nil
}

// Len returns the number of accounts. A nil *Accounts has none.
func (s *Accounts) Len() int {
	if s == nil {
		return 0
	}
	return len(s.bySID)
}

// Lookup returns the account with that SID, or the default account if sid is "".
// The account must not be changed. It reports false if there is none.
func (s *Accounts) Lookup(sid string) (*Account, bool) {
	if sid == "" {
		sid = s.defaultSID
	}
	a, ok := s.bySID[sid]
	return a, ok
}
