package settings

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"conferenced/service/clientaddr"
	"conferenced/service/sids"
	"conferenced/service/twilio"
	"conferenced/service/yamlfile"
)

// parseAccounts reads the text of an accounts file:
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
// SECRET is {env: NAME} or {file: PATH}. The error joins all problems, each with the path.
func parseAccounts(path string, text []byte, from *reading) (*twilio.Accounts, error) {
	file := yamlfile.Parse(path, text)
	p := accountsParser{from: from, dir: filepath.Dir(path), lines: map[string]int{}}
	var defaultSID string
	if root := file.Mapping(); root != nil {
		for _, v := range root.Required("accounts").List(1) {
			if m := v.Mapping(); m != nil {
				p.account(m)
			}
		}
		v := root.Get("default")
		defaultSID = yamlfile.Scan(v, parseAccountSID)
		if defaultSID != "" && p.lines[defaultSID] == 0 {
			v.Errorf("is not among the accounts and subaccounts")
		}
	}
	if err := file.Err(); err != nil {
		return nil, err
	}
	accounts, err := twilio.NewAccounts(defaultSID, p.accounts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return accounts, nil
}

type accountsParser struct {
	from     *reading
	dir      string // Paths of secrets are relative to it.
	accounts []twilio.Account
	lines    map[string]int // The line of each account by SID.
}

// account reads an account and its subaccounts.
func (p *accountsParser) account(m *yamlfile.Mapping) {
	account := twilio.Account{SID: p.newSID(m.Required("sid")), BaseURL: baseURL(m)}
	account.Username, account.Password = p.credentials(m, account.SID)
	p.accounts = append(p.accounts, account)
	for _, v := range m.Get("subaccounts").List(0) {
		account.SID = p.newSID(v)
		p.accounts = append(p.accounts, account)
	}
}

// newSID reads the SID of an account, which must not be in the file twice.
func (p *accountsParser) newSID(v yamlfile.Value) string {
	sid := yamlfile.Scan(v, parseAccountSID)
	if line := p.lines[sid]; line != 0 {
		v.Errorf("is given twice, first in line %d", line)
	} else if sid != "" {
		p.lines[sid] = v.Line()
	}
	return sid
}

// credentials reads the user name and the password of an account.
func (p *accountsParser) credentials(m *yamlfile.Mapping, sid string) (string, twilio.Secret) {
	token, key := m.Get("auth_token"), m.Get("api_key")
	switch {
	case token.Exists() && key.Exists():
		key.Errorf("cannot be used together with auth_token")
	case token.Exists():
		return sid, p.secret(token)
	case !key.Exists():
		m.Errorf("needs auth_token or api_key")
	default:
		if pair := key.Mapping(); pair != nil {
			return yamlfile.Scan(pair.Required("sid"), parseKeySID), p.secret(pair.Required("secret"))
		}
	}
	return "", twilio.Secret{}
}

// secret reads a reference to a secret, {env: NAME} or {file: PATH}, and then the
// secret. Any other key may be the secret itself, so errors do not name it.
func (p *accountsParser) secret(v yamlfile.Value) twilio.Secret {
	if v.IsMapping() {
		m := v.Mapping()
		for key, location := range m.All() {
			switch {
			case m.Len() > 1:
			case key == "env":
				return yamlfile.Scan(location, secretOfVariable)
			case key == "file":
				return yamlfile.Scan(location, p.secretOfFile)
			}
		}
	}
	if v.Exists() {
		v.Errorf("must be {env: NAME} or {file: PATH}: a secret must not be in this file")
	}
	return twilio.Secret{}
}

func (p *accountsParser) secretOfFile(path string) (twilio.Secret, error) {
	if path == "" {
		return twilio.Secret{}, errors.New("must not be empty")
	}
	secret, err := p.from.readSecret(p.dir, path)
	if err != nil {
		return twilio.Secret{}, fmt.Errorf("secret file%s: %w", shown(path), err)
	}
	return secret, nil
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func secretOfVariable(name string) (twilio.Secret, error) {
	if !variableName.MatchString(name) {
		return twilio.Secret{}, errors.New("must be the name of an environment variable")
	}
	value := os.Getenv(name)
	if strings.TrimSpace(value) == "" {
		return twilio.Secret{}, fmt.Errorf("environment variable%s: is not set or empty", shown(name))
	}
	secret, err := parseSecret(value)
	if err != nil {
		return twilio.Secret{}, fmt.Errorf("environment variable%s: %w", shown(name), err)
	}
	return secret, nil
}

var (
	tokenLike = regexp.MustCompile(`[0-9A-Za-z]{24,}`)
	sidLike   = regexp.MustCompile(`(AC|SK)[0-9a-f]{32}`)
)

// shown returns a space and the name of a file or a variable, or nothing if the name
// looks like a misplaced secret.
func shown(name string) string {
	if tokenLike.MatchString(sidLike.ReplaceAllString(name, "")) {
		return ""
	}
	return " " + name
}

// maxLocationName is the maximum length of the name of a region or an edge. Errors
// contain the name, so it must be too short to be a secret.
const maxLocationName = 20

// baseURL reads the base URL of the account's API.
func baseURL(m *yamlfile.Mapping) string {
	region, edge, base := m.Get("region"), m.Get("edge"), m.Get("base_url")
	if base.Exists() {
		if region.Exists() || edge.Exists() {
			base.Errorf("cannot be used together with region or edge")
		}
		return yamlfile.Scan(base, parseBaseURL)
	}
	text, err := twilio.BaseURL(yamlfile.Scan(region, parseLocationName), yamlfile.Scan(edge, parseLocationName))
	switch {
	case err != nil && region.Exists():
		region.Errorf("%v", err)
	case err != nil:
		edge.Errorf("%v", err)
	}
	return text
}

func parseLocationName(text string) (string, error) {
	if text == "" || len(text) > maxLocationName {
		return "", fmt.Errorf("must be 1 to %d characters", maxLocationName)
	}
	return text, nil
}

// parseBaseURL refuses plain HTTP to another host, because it would expose
// credentials.
func parseBaseURL(text string) (string, error) {
	text = strings.TrimSuffix(text, "/")
	if err := twilio.ValidateBaseURL(text); err != nil {
		return "", err
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "http" && !clientaddr.IsLoopback(u.Hostname()) {
		return "", errors.New("must begin with https://, since credentials are sent there: http:// is for loopback addresses only")
	}
	return text, nil
}

func parseAccountSID(text string) (string, error) { return text, twilio.ValidateAccountSID(text) }

func parseKeySID(text string) (string, error) {
	if !sids.IsKey(text) {
		return "", errors.New("must be SK and 32 hexadecimal digits")
	}
	return text, nil
}
