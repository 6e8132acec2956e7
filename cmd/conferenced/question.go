package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"conferenced/service/call"
	"conferenced/service/callers"
	"conferenced/service/invalid"
	"conferenced/service/property"
	"conferenced/service/settings"
	"conferenced/service/twilio"
)

// errDenied is the result of a check of a caller that the policy does not allow.
var errDenied = errors.New("denied")

// question has the flags that ask for an explanation.
type question struct {
	As      *string  `placeholder:"NAME" help:"Explain what this caller may do."`
	By      *string  `enum:"token,jwt,mtls,anonymous" placeholder:"KIND" help:"How the caller is authenticated: token (the default), jwt, mtls or anonymous."`
	Claims  string   `placeholder:"JSON" help:"The claims of the caller's JWT, such as {\"groups\": [\"agents\"], \"admin\": true}."`
	SAN     []string `name:"san" placeholder:"NAME" help:"Another name in the caller's certificate: a URI if it starts with spiffe://, otherwise a DNS name."`
	Account string   `placeholder:"SID" help:"The account; the default one if not given."`

	Operation string   `default:"update" enum:"update,read,remove" help:"What the caller wants to do: ${enum}."`
	Set       []string `placeholder:"PROPERTY" help:"The properties of the update, separated by commas; all twelve if not given."`
}

func (q *question) isEmpty() bool {
	return q.As == nil && q.By == nil && q.Claims == "" && len(q.SAN) == 0 && q.Account == "" &&
		q.Operation == string(call.Update) && len(q.Set) == 0
}

// asked is what a caller would do.
type asked struct {
	caller     callers.Caller
	account    string
	operation  call.Operation
	properties property.Set // of an update
}

// read returns what the question asks for. It returns an error if the configuration has
// no such caller or account.
func (q *question) read(set *settings.Set, nameClaim string) (asked, error) {
	caller, callerErr := q.caller(set.Callers, nameClaim)
	account, accountErr := q.account(set.Accounts)
	properties, setErr := q.properties()
	return asked{caller, account, call.Operation(q.Operation), properties}, errors.Join(callerErr, accountErr, setErr)
}

// account returns the SID of the account.
func (q *question) account(accounts *twilio.Accounts) (string, error) {
	account, ok := accounts.Lookup(q.Account)
	switch {
	case ok:
		return account.SID, nil
	case q.Account == "":
		return "", invalid.Fieldf("--account", "is needed, because no account is the default")
	default:
		return "", invalid.Fieldf("--account", "%q is not configured", q.Account)
	}
}

// properties returns the properties of the update. No other operation has any.
func (q *question) properties() (property.Set, error) {
	switch {
	case q.Operation != string(call.Update) && len(q.Set) > 0:
		return 0, invalid.Fieldf("--set", "needs --operation=update")
	case q.Operation != string(call.Update):
		return 0, nil
	case len(q.Set) == 0:
		return property.All, nil
	}
	var properties property.Set
	for _, name := range q.Set {
		p, ok := property.Parse(name)
		if !ok {
			return 0, invalid.Fieldf("--set", "%q is not one of %s", name, property.All)
		}
		properties |= property.Of(p)
	}
	return properties, nil
}

// name returns the name of the caller; "" if it is not given or empty.
func (q *question) name() string {
	if q.As == nil {
		return ""
	}
	return *q.As
}

// kind returns how the caller is authenticated. It returns an error if the flags do not
// go together.
func (q *question) kind() (string, error) {
	by := "token"
	if q.By != nil {
		by = *q.By
	}
	switch {
	case by == "anonymous" && q.As != nil:
		return by, invalid.Fieldf("--as", "cannot be used together with --by anonymous")
	case by != "anonymous" && q.name() == "":
		return by, invalid.Fieldf("--as", "is needed to explain what a caller may do")
	case q.Claims != "" && by != "jwt":
		return by, invalid.Fieldf("--claims", "needs --by jwt")
	case len(q.SAN) > 0 && by != "mtls":
		return by, invalid.Fieldf("--san", "needs --by mtls")
	}
	return by, nil
}

// caller returns the caller of the question. It returns an error if nobody can be
// authenticated as this caller.
func (q *question) caller(known *callers.Set, nameClaim string) (callers.Caller, error) {
	caller := callers.Caller{Name: q.name()}
	by, err := q.kind()
	if err != nil {
		return caller, err
	}
	switch by {
	case "jwt":
		return q.jwtCaller(caller, known, nameClaim)
	case "mtls":
		if known.ClientCAs == nil {
			return caller, invalid.Fieldf("--by", "no client certificate is accepted: --client-ca is not set")
		}
		caller.Kind = callers.KindCertificate
		for _, name := range append([]string{q.name()}, q.SAN...) {
			caller.AddSAN(name)
		}
	case "token":
		if !known.Tokens.Has(q.name(), time.Now()) {
			return caller, invalid.Fieldf("--as", "no token that is valid now has the name %q", q.name())
		}
		caller.Kind = callers.KindToken
	case "anonymous":
		if known.Authenticating() {
			return caller, invalid.Fieldf("--by", "no caller is anonymous, because callers are authenticated")
		}
	}
	return caller, nil
}

// jwtCaller returns the caller with the claims. It adds the claim that names the caller if
// that is not among them.
func (q *question) jwtCaller(caller callers.Caller, known *callers.Set, nameClaim string) (callers.Caller, error) {
	if known.JWT == nil {
		return caller, invalid.Fieldf("--by", "no JWT is accepted: --jwt-issuer is not set")
	}
	caller.Kind, caller.Claims = callers.KindJWT, map[string][]string{}
	if q.Claims != "" {
		var err error
		if caller.Claims, err = callers.ParseClaims([]byte(q.Claims)); err != nil {
			return caller, invalid.Field("--claims", err)
		}
	}
	if named, ok := caller.Claims[nameClaim]; ok && (len(named) != 1 || named[0] != q.name()) {
		return caller, invalid.Fieldf("--claims", "%s is not the name that --as gives", nameClaim)
	}
	caller.Claims[nameClaim] = []string{q.name()}
	return caller, nil
}

// explain prints what the policy allows the caller. It returns errDenied if that does not
// include the operation.
func (a asked) explain(w io.Writer, known *callers.Set) error {
	if _, err := fmt.Fprint(w, known.Explain(a.caller, a.account, a.operation, a.properties)); err != nil {
		return err
	}
	if known.Authorize(a.caller, a.account, a.operation, a.properties) != nil {
		return errDenied
	}
	return nil
}
