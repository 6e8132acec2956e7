package settings

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"

	"conferenced/service/twilio"
)

// parseAccounts returns the accounts of a YAML file:
//
//	default: AC...             # Optional: the account of calls that name none.
//	accounts:
//	  - sid: AC...
//	    auth_token: SECRET     # This or api_key.
//	    api_key: {sid: SK..., secret: SECRET}
//	    region: ie1            # Optional, with edge, as for twilio.BaseURL.
//	    edge: dublin
//	    base_url: https://...  # Instead of region and edge.
//	    subaccounts: [AC...]   # Served with this account's credentials.
//
// SECRET is {env: NAME} or {file: PATH}. Its error joins all that is wrong, in
// the order of the lines. Secret files are read with read.
func parseAccounts(text []byte, read func(path string) ([]byte, error)) (*twilio.Accounts, error) {
	content, err := document(text)
	if err != nil {
		return nil, err
	}
	p := accountsParser{read: read, lines: map[string]int{}}
	defaultSID := p.file(content)
	if err := p.err(); err != nil {
		return nil, err
	}
	accounts, err := twilio.NewAccounts(defaultSID, p.accounts...)
	if err != nil {
		return nil, errors.New(reason(err))
	}
	return accounts, nil
}

type accountsParser struct {
	problems
	read     func(path string) ([]byte, error)
	accounts []twilio.Account
	lines    map[string]int // Where each SID stands.
}

// file reads all accounts and returns the SID of the default one.
func (p *accountsParser) file(content *yaml.Node) string {
	file, ok := p.object(content, "", "default", "accounts")
	if !ok {
		return ""
	}
	p.list(file)
	n := file.fields["default"]
	if n == nil {
		return ""
	}
	sid, ok := p.sid(n, "default")
	if ok && p.lines[sid] == 0 {
		p.at(n, "default", "%s is not among the accounts and their subaccounts", sid)
	}
	return sid
}

func (p *accountsParser) list(file object) {
	n := file.fields["accounts"]
	if n == nil {
		p.at(file.node, "accounts", "is missing")
		return
	}
	accounts := p.items(n, "accounts")
	if n.Kind == yaml.SequenceNode && len(accounts) == 0 {
		p.at(n, "accounts", "is empty")
	}
	for i, account := range accounts {
		p.account(account, fmt.Sprintf("accounts[%d]", i))
	}
}

// account reads one account and its subaccounts.
func (p *accountsParser) account(n *yaml.Node, path string) {
	o, ok := p.object(n, path, "sid", "auth_token", "api_key", "region", "edge", "base_url", "subaccounts")
	if !ok {
		return
	}
	var account twilio.Account
	if sid := o.fields["sid"]; sid == nil {
		p.at(n, o.name("sid"), "is missing")
	} else {
		account.SID = p.newSID(sid, o.name("sid"))
	}
	account.Username, account.Password = p.credentials(o, account.SID)
	account.BaseURL = p.upstream(o)
	p.accounts = append(p.accounts, account)

	if n := o.fields["subaccounts"]; n != nil {
		for i, sub := range p.items(n, o.name("subaccounts")) {
			account.SID = p.newSID(sub, fmt.Sprintf("%s[%d]", o.name("subaccounts"), i))
			p.accounts = append(p.accounts, account)
		}
	}
}

// newSID returns the account SID at n, which must not have been given before.
func (p *accountsParser) newSID(n *yaml.Node, path string) string {
	sid, ok := p.sid(n, path)
	if !ok {
		return ""
	}
	if line := p.lines[sid]; line != 0 {
		p.at(n, path, "%s is given twice, first in line %d", sid, line)
		return sid
	}
	p.lines[sid] = n.Line
	return sid
}

func (p *accountsParser) sid(n *yaml.Node, path string) (string, bool) {
	sid, ok := p.text(n, path)
	if !ok {
		return "", false
	}
	if !isAccountSID(sid) {
		p.at(n, path, "must be AC and 32 hexadecimal digits")
		return "", false
	}
	return sid, true
}

// credentials returns the user name and the password of an account.
func (p *accountsParser) credentials(o object, sid string) (string, twilio.Secret) {
	token, key := o.fields["auth_token"], o.fields["api_key"]
	switch {
	case token == nil && key == nil:
		p.at(o.node, o.path, "needs auth_token or api_key")
	case token != nil && key != nil:
		p.at(key, o.path, "has both auth_token and api_key: only one of them can be used")
	case token != nil:
		return sid, p.secret(token, o.name("auth_token"))
	default:
		return p.apiKey(key, o.name("api_key"))
	}
	return "", twilio.Secret{}
}

func (p *accountsParser) apiKey(n *yaml.Node, path string) (string, twilio.Secret) {
	o, ok := p.object(n, path, "sid", "secret")
	if !ok {
		return "", twilio.Secret{}
	}
	for _, field := range []string{"sid", "secret"} {
		if o.fields[field] == nil {
			p.at(n, o.name(field), "is missing")
		}
	}
	var sid string
	if n := o.fields["sid"]; n != nil {
		if sid, ok = p.text(n, o.name("sid")); ok && !isKeySID(sid) {
			p.at(n, o.name("sid"), "must be SK and 32 hexadecimal digits")
		}
	}
	if n := o.fields["secret"]; n != nil {
		return sid, p.secret(n, o.name("secret"))
	}
	return sid, twilio.Secret{}
}

// upstream returns where the account's API is.
func (p *accountsParser) upstream(o object) string {
	region, edge, base := o.fields["region"], o.fields["edge"], o.fields["base_url"]
	if base == nil {
		return p.regional(o, region, edge)
	}
	if region != nil || edge != nil {
		p.at(base, o.name("base_url"), "stands beside region or edge: only one of them can say where Twilio is")
	}
	text, ok := p.text(base, o.name("base_url"))
	if !ok {
		return ""
	}
	text = strings.TrimSuffix(text, "/")
	if err := checkBaseURL(text); err != nil {
		p.at(base, o.name("base_url"), "%s", reason(err))
	}
	return text
}

// regional returns the API of a region and its edge, either of which may be nil.
func (p *accountsParser) regional(o object, region, edge *yaml.Node) string {
	names := map[string]string{}
	for _, field := range []string{"region", "edge"} {
		n := o.fields[field]
		if n == nil {
			continue
		}
		name, ok := p.text(n, o.name(field))
		if ok && len(name) > maxPlaceName {
			p.at(n, o.name(field), "is longer than any that Twilio has")
			ok = false
		}
		if !ok {
			return ""
		}
		names[field] = name
	}
	base, err := twilio.BaseURL(names["region"], names["edge"])
	switch {
	case err != nil && region != nil:
		p.at(region, o.name("region"), "%s", reason(err))
	case err != nil:
		p.at(edge, o.name("edge"), "%s", reason(err))
	}
	return base
}

// maxPlaceName bounds the name of a region or an edge. Errors repeat it, and so
// it must not be a token in the wrong place.
const maxPlaceName = 20

// specimen returns an account that keeps every rule of package twilio. A value is
// checked by putting it in its place there.
func specimen() twilio.Account {
	sid := "AC" + strings.Repeat("0", 32)
	return twilio.Account{SID: sid, Username: sid, Password: twilio.NewSecret("x"), BaseURL: twilio.DefaultBaseURL}
}

func isAccountSID(sid string) bool {
	account := specimen()
	account.SID = sid
	return account.Validate() == nil
}

func isKeySID(sid string) bool {
	account := specimen()
	account.Username = sid
	return strings.HasPrefix(sid, "SK") && account.Validate() == nil
}

// checkBaseURL refuses what twilio refuses, and plain HTTP to another machine:
// credentials are sent there.
func checkBaseURL(base string) error {
	account := specimen()
	account.BaseURL = base
	if err := account.Validate(); err != nil {
		return err
	}
	u, err := url.Parse(base)
	if err != nil {
		return errors.New("cannot be parsed")
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return errors.New("must begin with https://, since credentials are sent there: http:// is for loopback addresses only")
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// reason is the text of an error of package twilio without the package's name.
func reason(err error) string { return strings.ReplaceAll(err.Error(), "twilio: ", "") }
