package access_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/certtest"
	"conferenced/service/sandbox"
)

// eachProperty has an update for each property, with the form that Twilio should get.
var eachProperty = []struct {
	property string
	change   *request
	form     string
}{
	{"muted", &request{Muted: proto.Bool(true)}, "Muted=true"},
	{"hold", &request{Hold: proto.Bool(false)}, "Hold=false"},
	{"hold_url", &request{HoldUrl: proto.String("https://a.example/h")}, "HoldUrl=https://a.example/h"},
	{"hold_method", &request{HoldMethod: conferencev1.HttpMethod_HTTP_METHOD_GET}, "HoldMethod=GET"},
	{"announce_url", &request{AnnounceUrl: proto.String("https://a.example/a")}, "AnnounceUrl=https://a.example/a"},
	{"announce_method", &request{AnnounceMethod: conferencev1.HttpMethod_HTTP_METHOD_POST}, "AnnounceMethod=POST"},
	{"wait_url", &request{WaitUrl: proto.String("")}, "WaitUrl="},
	{"wait_method", &request{WaitMethod: conferencev1.HttpMethod_HTTP_METHOD_GET}, "WaitMethod=GET"},
	{"beep_on_exit", &request{BeepOnExit: proto.Bool(false)}, "BeepOnExit=false"},
	{"end_conference_on_exit", &request{EndConferenceOnExit: proto.Bool(true)}, "EndConferenceOnExit=true"},
	{"coaching", &request{Coaching: proto.Bool(false)}, "Coaching=false"},
	{"call_sid_to_coach", &request{CallSidToCoach: proto.String(sandbox.CustomerSID)}, "CallSidToCoach=" + sandbox.CustomerSID},
}

func propertyNames() []string {
	names := make([]string, len(eachProperty))
	for i, one := range eachProperty {
		names[i] = one.property
	}
	return names
}

// The callers' names in the policy, by the properties that they may set.
const (
	onlyPrefix   = "only-"     // One property.
	allButPrefix = "all-but-"  // All properties but one.
	listeners    = "listeners" // muted and hold.
	everything   = "everything"
)

// rules returns the properties that each caller may set. call_sid_to_coach requires
// coaching.
func rules() map[string][]string {
	rules := map[string][]string{listeners: {"hold", "muted"}, everything: {`"*"`}}
	for _, name := range propertyNames() {
		others := slices.DeleteFunc(propertyNames(), func(other string) bool {
			return other == name || name == "coaching" && other == "call_sid_to_coach"
		})
		rules[allButPrefix+name], rules[onlyPrefix+name] = others, []string{name}
	}
	rules[onlyPrefix+"call_sid_to_coach"] = []string{"coaching", "call_sid_to_coach"}
	return rules
}

// update is an update of a caller, with its expected result.
type update struct {
	name   string
	caller string // The caller's name in the policy.
	change *request
	form   string
	// refused is the property that is not allowed; empty if the update is allowed.
	refused string
}

func updates() []update {
	all, allForm := new(request), make([]string, len(eachProperty))
	var updates []update
	for i, one := range eachProperty {
		proto.Merge(all, one.change)
		allForm[i] = one.form
		updates = append(updates,
			update{one.property + " alone", onlyPrefix + one.property, one.change, one.form, ""},
			update{one.property + " alone, with all others allowed", allButPrefix + one.property, one.change, one.form, one.property})
	}
	both := &request{Muted: proto.Bool(true), Hold: proto.Bool(true)}
	mixed := &request{
		Muted: proto.Bool(true), Coaching: proto.Bool(true), BeepOnExit: proto.Bool(true),
		CallSidToCoach: proto.String(sandbox.CustomerSID),
	}
	return append(updates,
		update{"two allowed properties", listeners, both, "Muted=true&Hold=true", ""},
		update{"one allowed property and three others", listeners, mixed, "", "beep_on_exit"},
		update{"all", everything, all, strings.Join(allForm, "&"), ""},
		update{"all properties, with one not allowed", allButPrefix + "wait_method", all, "", "wait_method"},
	)
}

// accounts is the accounts that calls use.
var accounts = []struct {
	name, sid string
	// allowed is set if the policy allows the account to every caller.
	allowed bool
	// user and password are the credentials that Twilio should get; empty if the account
	// is not configured.
	user, password string
}{
	{"the default account", "", true, mainSID, mainToken},
	{"the account by its SID", mainSID, true, mainSID, mainToken},
	{"a subaccount", subSID, true, mainSID, mainToken},
	{"an account that is not allowed", otherSID, false, otherKeySID, otherKeySecret},
	{"an account that is not known", unknownSID, false, "", ""},
	{"an account without credentials", foreignSID, true, "", ""},
}

// newMatrixWorld returns a world with the callers of rules, and a token that was
// revoked while it ran.
func newMatrixWorld(t *testing.T) *world {
	t.Helper()
	var names []string
	for name := range rules() {
		names = append(names, name)
	}
	tokens := tokensText(names...) +
		strings.Replace(tokenEntry(expiredName, tokenOf(expiredName)), "}", `, expires: "2024-02-29T12:00:00Z"}`, 1)
	w := start(t, with(
		tokensFile, tokens+tokenEntry(revokedName, tokenOf(revokedName)),
		policyFile, policyText(strings.Join([]string{mainSID, subSID, foreignSID}, ", "), rules()),
	))
	for _, via := range protocols { // The reads of a connection without an authenticated call are delayed.
		if got := via.call(t.Context(), w.client(nil), withToken(revokedName).authorization, muting("")); got.reason() != "NOT_ALLOWED" {
			t.Fatalf("a call with the token before its revocation: %v", got)
		}
	}
	w.put(t, map[string]string{tokensFile: tokens})
	w.Reload()
	return w
}

// expectRefused makes the call and checks that it is refused, and that nothing is
// sent to Twilio.
func (w *world) expectRefused(t *testing.T, what string, want refusal, via protocol, c caller, message *request) {
	t.Helper()
	want.check(t, what, via.call(t.Context(), w.client(c.certificate), c.authorization, message))
	w.expectNothingSent(t, what)
}

func (w *world) expectNothingSent(t *testing.T, what string) {
	t.Helper()
	if arrivals, journal := w.up.take(); len(arrivals) > 0 || len(journal) > 0 {
		t.Errorf("%s: Twilio got %+v and applied %+v", what, arrivals, journal)
	}
}

// expectApplied checks that the call succeeded, and that exactly one request with
// these credentials and this form arrived and was applied.
func (w *world) expectApplied(t *testing.T, what string, got reply, sent arrival) {
	t.Helper()
	if !got.ok() {
		t.Errorf("%s: %v", what, got)
	}
	arrivals, journal := w.up.take()
	for i := range arrivals {
		arrivals[i].header = nil
		arrivals[i].form = plain(t, arrivals[i].form)
	}
	if diff := cmp.Diff([]arrival{sent}, arrivals, cmp.AllowUnexported(arrival{})); diff != "" {
		t.Errorf("%s: arrived (-want +got):\n%s", what, diff)
	}
	if len(journal) != 1 || journal[0].CallSID != sandbox.AgentSID {
		t.Errorf("%s: applied: %+v", what, journal)
	}
}

func plain(t *testing.T, form string) string {
	t.Helper()
	text, err := url.QueryUnescape(form)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestMatrixOfKnownCallers has callers of each kind that set each property, and
// several properties, in each account, over each protocol.
func TestMatrixOfKnownCallers(t *testing.T) {
	w := newMatrixWorld(t)
	for _, via := range protocols {
		for _, kind := range []func(string) caller{
			withToken,
			func(name string) caller { return w.withJWT(t, name) },
			func(name string) caller { return w.withCertificate(t, name) },
		} {
			t.Run(via.name+" "+kind(listeners).name, func(t *testing.T) {
				for _, u := range updates() {
					w.expectInEachAccount(t, via, kind(u.caller), u)
				}
			})
		}
	}
}

func (w *world) expectInEachAccount(t *testing.T, via protocol, c caller, u update) {
	t.Helper()
	for _, account := range accounts {
		what, message := u.name+" in "+account.name, to(account.sid, u.change)
		switch {
		case !account.allowed:
			w.expectRefused(t, what, notAllowed("account "+account.sid), via, c, message)
		case u.refused != "":
			w.expectRefused(t, what, notAllowed("property "+u.refused), via, c, message)
		case account.user == "":
			w.expectRefused(t, what, notConfigured, via, c, message)
		default:
			got := via.call(t.Context(), w.client(c.certificate), c.authorization, message)
			w.expectApplied(t, what, got, arrival{
				account: orDefault(account.sid), user: account.user, password: account.password, form: u.form,
			})
		}
	}
}

func orDefault(sid string) string {
	if sid == "" {
		return mainSID
	}
	return sid
}

// TestMatrixOfUnknownCallers has unauthenticated callers. Their errors must not
// depend on properties and accounts. Each of them tries each property and each
// account, and together they try each property in each account.
func TestMatrixOfUnknownCallers(t *testing.T) {
	w := newMatrixWorld(t)
	for _, via := range protocols {
		for i, presented := range w.unknownCallers(t, everything) {
			t.Run(via.name+" "+presented.name, func(t *testing.T) {
				w.log.Reset()
				for j, one := range eachProperty {
					account := accounts[(i+j)%len(accounts)]
					w.expectRefused(t, one.property+" in "+account.name, callerUnknown, via, presented, to(account.sid, one.change))
				}
			})
		}
	}
}

// TestRefusedCertificates checks that the TLS handshake refuses certificates,
// whatever the Authorization header is.
func TestRefusedCertificates(t *testing.T) {
	w := newMatrixWorld(t)
	for _, via := range protocols {
		for _, presented := range w.refusedCertificates(t, everything) {
			t.Run(via.name+" "+presented.name, func(t *testing.T) {
				got := via.call(t.Context(), w.client(presented.certificate), presented.authorization, muting(""))
				if got.err == nil {
					t.Errorf("%v", got)
				}
				w.expectNothingSent(t, presented.name)
			})
		}
	}
}

// TestJWTReplayedToAnotherService sends a JWT that one service accepts to a service
// with the same issuer and another audience.
func TestJWTReplayedToAnotherService(t *testing.T) {
	w := start(t)
	c := w.withJWT(t, "ui")
	for _, via := range protocols {
		if got := via.call(t.Context(), w.client(nil), c.authorization, muting("")); !got.ok() {
			t.Fatalf("%s: %v", via.name, got)
		}
	}
	other := start(t, func(s *setup) { s.issuer, s.audience = w.issuer, "billing" })
	for _, via := range protocols {
		other.expectRefused(t, via.name, callerUnknown, via, c, muting(""))
	}
	if len(other.log.lines("audience")) != len(protocols) {
		t.Errorf("the log has other causes: %s", other.log)
	}
}

// TestPrecedenceOfCredentials has callers with an Authorization header and a
// certificate, and variants of both.
func TestPrecedenceOfCredentials(t *testing.T) {
	w := start(t, with(policyFile, policyText(mainSID, map[string][]string{"ui": {"muted"}})))
	agents := certtest.Issue(t, w.clientCA, "agents")
	tests := []struct {
		caller
		known bool
	}{
		{caller{name: "a token takes precedence over a certificate", authorization: withToken("ui").authorization, certificate: agents}, true},
		{caller{name: "only a certificate", certificate: agents}, false},
		{caller{name: "the scheme in another case", authorization: []string{"bEARER " + tokenOf("ui")}}, true},
		{caller{name: "several blanks", authorization: []string{"Bearer   " + tokenOf("ui")}}, true},
		{caller{name: "a JWT for two audiences", authorization: []string{
			bearer(w.issuer.token(t, "ui", map[string]any{"aud": []string{"billing", audience}})),
		}}, true},
		{caller{name: "a certificate's second DNS name", certificate: certtest.Issue(t, w.clientCA, "web", "ui")}, true},
		{caller{name: "a certificate's DNS name in capitals", certificate: certtest.Issue(t, w.clientCA, "UI")}, true},
	}
	for _, via := range protocols {
		for _, test := range tests {
			t.Run(via.name+" "+test.name, func(t *testing.T) {
				if !test.known {
					w.expectRefused(t, test.name, notAllowed("account "+mainSID), via, test.caller, muting(""))
					return
				}
				got := via.call(t.Context(), w.client(test.certificate), test.authorization, muting(""))
				w.expectApplied(t, test.name, got, arrival{
					account: mainSID, user: mainSID, password: mainToken, form: "Muted=true",
				})
			})
		}
	}
}
