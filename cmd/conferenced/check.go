package main

import (
	"errors"
	"fmt"
	"strings"

	"conferenced/service/call"
	"conferenced/service/callers"
	"conferenced/service/property"
	"conferenced/service/settings"
	"conferenced/service/twilio"
)

// errDenied is the result of a check of a caller that the policy does not allow.
var errDenied = errors.New("denied")

type checkCommand struct {
	files

	As        string            `placeholder:"NAME" help:"Explain what this caller may do."`
	By        string            `default:"token" enum:"token,jwt,mtls,anonymous" help:"How the caller is authenticated: ${enum} (${default})."`
	Claim     map[string]string `placeholder:"NAME=VALUE" help:"A claim of the caller's JWT; several values are separated by |."`
	SAN       []string          `name:"san" placeholder:"NAME" help:"A name in the caller's certificate: a URI if it starts with spiffe://, otherwise a DNS name."`
	Account   string            `placeholder:"SID" help:"The account; the default one of --accounts if not given."`
	Operation string            `default:"update" enum:"update,read,remove" help:"What the caller wants to do: ${enum} (${default})."`
	Set       []string          `placeholder:"PROPERTY" help:"The properties of the update, separated by commas; all twelve if not given."`
}

// Help is shown by `conferenced check --help`.
func (checkCommand) Help() string {
	return `Reads the given files and lists all their errors. With --as, it then explains what the policy allows a caller: exit code 0 if it allows the operation, 1 if not.

  conferenced check --policy policy.yaml --as ui-web --account AC... --set muted,hold`
}

// Run returns a usageError if a file has an error, and errDenied if the policy does not
// allow the operation.
func (c *checkCommand) Run(out output) error {
	set, err := settings.Load(c.settings(), settings.Base{})
	if err != nil {
		return usageError{err}
	}
	for _, warning := range set.Warnings {
		fmt.Fprintln(out.stdout, "warning:", warning)
	}
	if c.As == "" && c.By != "anonymous" {
		_, err := fmt.Fprintln(out.stdout, "ok")
		return err
	}
	return c.explain(out, set)
}

func (c *checkCommand) explain(out output, set *settings.Set) error {
	known := set.Callers
	if known.Policy == nil {
		return usageError{errors.New("--as needs --policy")}
	}
	wanted, err := c.properties()
	if err != nil {
		return err
	}
	caller, account, operation := c.caller(), c.account(set.Accounts), call.Operation(c.Operation)
	if _, err := fmt.Fprint(out.stdout, known.Explain(caller, account, operation, wanted)); err != nil {
		return err
	}
	if known.Authorize(caller, account, operation, wanted) != nil {
		return errDenied
	}
	return nil
}

// properties returns the properties of the update. No other operation has any.
func (c *checkCommand) properties() (wanted property.Set, err error) {
	switch {
	case c.Operation != string(call.Update) && len(c.Set) > 0:
		return 0, usageError{errors.New("--set needs --operation=update")}
	case c.Operation != string(call.Update):
		return 0, nil
	case len(c.Set) == 0:
		return property.All, nil
	}
	for _, name := range c.Set {
		p, ok := property.Parse(name)
		if !ok {
			return 0, usageError{fmt.Errorf("--set: %q is not one of %s", name, property.All)}
		}
		wanted |= property.Of(p)
	}
	return wanted, nil
}

// account returns the account of the update, the default one if none is given.
func (c *checkCommand) account(accounts *twilio.Accounts) string {
	if c.Account != "" || accounts == nil {
		return c.Account
	}
	account, _ := accounts.Lookup("")
	return account.SID
}

func (c *checkCommand) caller() callers.Caller {
	caller := callers.Caller{Name: c.As, Claims: map[string][]string{}}
	for name, value := range c.Claim {
		caller.Claims[name] = strings.Split(value, "|")
	}
	for _, name := range c.SAN {
		caller.AddSAN(name)
	}
	switch c.By {
	case "jwt":
		caller.Kind = callers.KindJWT
	case "mtls":
		caller.Kind = callers.KindCertificate
	case "anonymous":
		caller.Kind = callers.KindAnonymous
	default:
		caller.Kind = callers.KindToken
	}
	return caller
}
