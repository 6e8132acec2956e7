package twilio_test

import (
	"strings"
	"testing"

	"conferenced/service/twilio"
)

const (
	accountSID    = "AC00000000000000000000000000000001"
	otherSID      = "AC00000000000000000000000000000002"
	keySID        = "SK00000000000000000000000000000001"
	conferenceSID = "CF00000000000000000000000000000001"
	callSID       = "CA00000000000000000000000000000001"
	requestSID    = "RQ00000000000000000000000000000001"
)

func testAccount(baseURL string) twilio.Account {
	return twilio.Account{
		SID:      accountSID,
		Username: accountSID,
		Password: twilio.NewSecret("test-token"),
		BaseURL:  baseURL,
	}
}

func TestAccountValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*twilio.Account)
		want   string // part of the error; "" if there is none
	}{
		{"an auth token", func(*twilio.Account) {}, ""},
		{"an API key", func(a *twilio.Account) { a.Username = keySID }, ""},
		{"the parent account's token", func(a *twilio.Account) { a.Username = otherSID }, ""},
		{"a port", func(a *twilio.Account) { a.BaseURL = "http://127.0.0.1:8010" }, ""},
		{"an IPv6 host", func(a *twilio.Account) { a.BaseURL = "http://[::1]:8010" }, ""},
		{"no account SID", func(a *twilio.Account) { a.SID = "" }, "account SID"},
		{"an account SID one digit short", func(a *twilio.Account) { a.SID = accountSID[:33] }, "account SID"},
		{"an account SID with a letter g", func(a *twilio.Account) { a.SID = accountSID[:33] + "g" }, "account SID"},
		{"an account SID with a slash", func(a *twilio.Account) { a.SID = accountSID[:33] + "/" }, "account SID"},
		{"a user's name", func(a *twilio.Account) { a.Username = "admin" }, "username"},
		{"no password", func(a *twilio.Account) { a.Password = twilio.Secret{} }, "empty"},
		{"a password with a line feed", func(a *twilio.Account) { a.Password = twilio.NewSecret("abc\n") }, "white space"},
		{"no base URL", func(a *twilio.Account) { a.BaseURL = "" }, "https://"},
		{"no scheme", func(a *twilio.Account) { a.BaseURL = "api.twilio.com" }, "https://"},
		{"another scheme", func(a *twilio.Account) { a.BaseURL = "ftp://api.twilio.com" }, "https://"},
		{"no host", func(a *twilio.Account) { a.BaseURL = "https://" }, "no host"},
		{"a port without a host", func(a *twilio.Account) { a.BaseURL = "https://:8010" }, "no host"},
		{"an international host", func(a *twilio.Account) { a.BaseURL = "https://bücher.example" }, "ASCII"},
		{"a trailing slash", func(a *twilio.Account) { a.BaseURL = "https://api.twilio.com/" }, "slash"},
		{"a path", func(a *twilio.Account) { a.BaseURL = "https://api.twilio.com/2010-04-01" }, "slash"},
		{"a query", func(a *twilio.Account) { a.BaseURL = "https://api.twilio.com?a=b" }, "slash"},
		{"a bare question mark", func(a *twilio.Account) { a.BaseURL = "https://api.twilio.com?" }, "slash"},
		{"a fragment", func(a *twilio.Account) { a.BaseURL = "https://api.twilio.com#a" }, "slash"},
		{"a port of 0", func(a *twilio.Account) { a.BaseURL = "https://api.twilio.com:0" }, "port"},
		{"a port that is too large", func(a *twilio.Account) { a.BaseURL = "https://api.twilio.com:65536" }, "port"},
		{"a password in the base URL", func(a *twilio.Account) { a.BaseURL = "https://u:test-token@api.twilio.com" }, "password"},
		{"an unreadable base URL with a password", func(a *twilio.Account) { a.BaseURL = "https://u:test-token@%zz" }, "parsed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			account := testAccount(twilio.DefaultBaseURL)
			tt.change(&account)
			err := account.Validate()
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v does not mention %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "test-token") {
				t.Fatalf("error shows the password: %v", err)
			}
		})
	}
}

func TestAccountValidateReportsEveryError(t *testing.T) {
	err := twilio.Account{}.Validate()
	for _, want := range []string{"account SID", "username", "token", "base URL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention the %s", err, want)
		}
	}
}

func TestBaseURL(t *testing.T) {
	tests := []struct {
		name, region, edge string
		want               string // "" if refused
	}{
		{"neither", "", "", "https://api.twilio.com"},
		{"us1 alone", "us1", "", "https://api.twilio.com"},
		{"a region with its edge", "ie1", "dublin", "https://api.dublin.ie1.twilio.com"},
		{"another region with its edge", "au1", "sydney", "https://api.sydney.au1.twilio.com"},
		{"capitals", "IE1", "Dublin", "https://api.dublin.ie1.twilio.com"},
		{"us1 with an edge", "us1", "ashburn", "https://api.ashburn.us1.twilio.com"},
		{"an edge without a region", "", "ashburn", "https://api.ashburn.us1.twilio.com"},
		{"an edge with a hyphen", "us1", "ashburn-ix", "https://api.ashburn-ix.us1.twilio.com"},
		{"a region without an edge", "ie1", "", ""},
		{"a region with a dot", "ie1.evil.example", "dublin", ""},
		{"an edge with a slash", "ie1", "evil.example/", ""},
		{"an edge with an at sign", "ie1", "dublin@evil", ""},
		{"an edge with a colon", "ie1", "evil:443", ""},
		{"an edge with a number sign", "ie1", "evil#", ""},
		{"an edge with a space", "ie1", "dub lin", ""},
		{"an edge with a line feed", "ie1", "dublin\n", ""},
		{"an edge that begins with a hyphen", "ie1", "-dublin", ""},
		{"an edge that is not ASCII", "ie1", "dublın", ""},
		{"an edge of 64 letters", "ie1", strings.Repeat("a", 64), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := twilio.BaseURL(tt.region, tt.edge)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestBaseURLExplainsWhyARegionNeedsAnEdge(t *testing.T) {
	_, err := twilio.BaseURL("ie1", "")
	for _, want := range []string{"ie1", "edge", "dublin", "2026-04-28"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %q", err, want)
		}
	}
}

func TestAccountsLookup(t *testing.T) {
	first, second := testAccount(twilio.DefaultBaseURL), testAccount(twilio.DefaultBaseURL)
	second.SID = otherSID
	accounts, err := twilio.NewAccounts(otherSID, first, second)
	if err != nil {
		t.Fatal(err)
	}
	for sid, want := range map[string]string{accountSID: accountSID, otherSID: otherSID, "": otherSID} {
		if got, ok := accounts.Lookup(sid); !ok || got.SID != want {
			t.Errorf("Lookup(%q) = %v, %v; want %s", sid, got.SID, ok, want)
		}
	}
	if _, ok := accounts.Lookup("AC00000000000000000000000000000003"); ok {
		t.Error("an unknown account is found")
	}
}

func TestAccountsWithoutADefault(t *testing.T) {
	accounts, err := twilio.NewAccounts("", testAccount(twilio.DefaultBaseURL))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := accounts.Lookup(""); ok {
		t.Error("there is a default")
	}
}

func TestNewAccountsRefuses(t *testing.T) {
	good, bad := testAccount(twilio.DefaultBaseURL), testAccount("")
	tests := []struct {
		name      string
		byDefault string
		accounts  []twilio.Account
		want      string
	}{
		{"an invalid account", "", []twilio.Account{good, bad}, "account 2: the base URL"},
		{"an account given twice", "", []twilio.Account{good, good}, "twice"},
		{"a default that is not among the accounts", otherSID, []twilio.Account{good}, "default"},
		{"a default without accounts", otherSID, nil, "default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := twilio.NewAccounts(tt.byDefault, tt.accounts...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not mention %q", err, tt.want)
			}
		})
	}
}
