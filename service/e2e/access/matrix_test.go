package access_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
)

// alone sets each property by itself, and says what Twilio is to be sent.
var alone = []struct {
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
	names := make([]string, len(alone))
	for i, one := range alone {
		names[i] = one.property
	}
	return names
}

// The callers' names in the policy, by what they may set.
const (
	onlyPrefix = "only-"     // One property.
	butPrefix  = "all-but-"  // All others.
	listeners  = "listeners" // muted and hold.
	everything = "everything"
)

// rules say what each name may set. call_sid_to_coach does not go without
// coaching.
func rules() map[string][]string {
	rules := map[string][]string{listeners: {"hold", "muted"}, everything: {`"*"`}}
	for _, name := range propertyNames() {
		others := slices.DeleteFunc(propertyNames(), func(other string) bool {
			return other == name || name == "coaching" && other == "call_sid_to_coach"
		})
		rules[butPrefix+name], rules[onlyPrefix+name] = others, []string{name}
	}
	rules[onlyPrefix+"call_sid_to_coach"] = []string{"coaching", "call_sid_to_coach"}
	return rules
}

// update is one that a caller makes, and what is to become of it.
type update struct {
	name   string
	caller string // Their name in the policy.
	change *request
	form   string
	// refused is the property that is not allowed; "" allows the update.
	refused string
}

func updates() []update {
	all, allForm := new(request), make([]string, len(alone))
	var updates []update
	for i, one := range alone {
		proto.Merge(all, one.change)
		allForm[i] = one.form
		updates = append(updates,
			update{one.property + " alone", onlyPrefix + one.property, one.change, one.form, ""},
			update{one.property + " alone, with all others allowed", butPrefix + one.property, one.change, one.form, one.property})
	}
	both := &request{Muted: proto.Bool(true), Hold: proto.Bool(true)}
	mixed := &request{
		Muted: proto.Bool(true), Coaching: proto.Bool(true), BeepOnExit: proto.Bool(true),
		CallSidToCoach: proto.String(sandbox.CustomerSID),
	}
	return append(updates,
		update{"two that are allowed", listeners, both, "Muted=true&Hold=true", ""},
		update{"one that is allowed and three that are not", listeners, mixed, "", "beep_on_exit"},
		update{"all", everything, all, strings.Join(allForm, "&"), ""},
		update{"all, but for one", butPrefix + "wait_method", all, "", "wait_method"},
	)
}

// accounts are those that a call can name.
var accounts = []struct {
	name, sid string
	// allowed says whether the policy has the account, for everybody alike.
	allowed bool
	// user and password are what Twilio is to be sent; empty where the account
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

// newMatrixWorld is a world of the callers of rules. One token was revoked while
// it ran.
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
	if got := callGRPC(t.Context(), w.client(nil), withToken(revokedName).authorization, muting("")); got.reason() != "NOT_ALLOWED" {
		t.Fatalf("before it is revoked, the token is answered: %v", got)
	}
	w.put(t, map[string]string{tokensFile: tokens})
	w.Reload()
	return w
}

// expect makes the call and checks that it is refused, and that nothing was sent
// to Twilio.
func (w *world) expectRefused(t *testing.T, what string, want refusal, by way, c caller, message *request) {
	t.Helper()
	want.check(t, what, by.call(t.Context(), w.client(c.certificate), c.authorization, message))
	w.expectNothingSent(t, what)
}

func (w *world) expectNothingSent(t *testing.T, what string) {
	t.Helper()
	if arrivals, journal := w.up.take(); len(arrivals) > 0 || len(journal) > 0 {
		t.Errorf("%s: Twilio got %+v and applied %+v", what, arrivals, journal)
	}
}

// expectApplied checks that the call is answered, that it alone arrived, with
// these credentials and this form, and that it was applied.
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

// TestMatrixOfKnownCallers has callers of each kind set each property, and
// several, in each account, over each protocol.
func TestMatrixOfKnownCallers(t *testing.T) {
	w := newMatrixWorld(t)
	for _, by := range bothWays {
		for _, kind := range []func(string) caller{
			withToken,
			func(name string) caller { return w.withJWT(t, name) },
			func(name string) caller { return w.withCertificate(t, name) },
		} {
			t.Run(by.name+" "+kind(listeners).name, func(t *testing.T) {
				for _, u := range updates() {
					w.expectInEachAccount(t, by, kind(u.caller), u)
				}
			})
		}
	}
}

func (w *world) expectInEachAccount(t *testing.T, by way, c caller, u update) {
	t.Helper()
	for _, account := range accounts {
		what, message := u.name+" in "+account.name, to(account.sid, u.change)
		switch {
		case !account.allowed:
			w.expectRefused(t, what, notAllowed("account "+account.sid), by, c, message)
		case u.refused != "":
			w.expectRefused(t, what, notAllowed("property "+u.refused), by, c, message)
		case account.user == "":
			w.expectRefused(t, what, notConfigured, by, c, message)
		default:
			got := by.call(t.Context(), w.client(c.certificate), c.authorization, message)
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

// TestMatrixOfStrangers has callers who must not be known do the same: none
// learns anything of properties and accounts. Each of them tries each property
// and each account, and all of them together each property in each account.
func TestMatrixOfStrangers(t *testing.T) {
	w := newMatrixWorld(t)
	for _, by := range bothWays {
		for i, stranger := range w.strangers(t, everything) {
			t.Run(by.name+" "+stranger.name, func(t *testing.T) {
				w.log.clear()
				for j, one := range alone {
					account := accounts[(i+j)%len(accounts)]
					w.expectRefused(t, one.property+" in "+account.name, callerUnknown, by, stranger, to(account.sid, one.change))
				}
			})
		}
	}
}

// TestCertificatesThatNoConnectionIsMadeWith shows them to the handshake, which
// refuses them whatever the call presents besides.
func TestCertificatesThatNoConnectionIsMadeWith(t *testing.T) {
	w := newMatrixWorld(t)
	for _, by := range bothWays {
		for _, intruder := range w.intruders(t, everything) {
			t.Run(by.name+" "+intruder.name, func(t *testing.T) {
				got := by.call(t.Context(), w.client(intruder.certificate), intruder.authorization, muting(""))
				if got.failed == nil {
					t.Errorf("%v", got)
				}
				w.expectNothingSent(t, intruder.name)
			})
		}
	}
}

// TestJWTReplayedToAnotherService has a JWT that one service accepts shown to
// one of another audience with the same issuer.
func TestJWTReplayedToAnotherService(t *testing.T) {
	w := start(t)
	c := w.withJWT(t, "ui")
	for _, by := range bothWays {
		if got := by.call(t.Context(), w.client(nil), c.authorization, muting("")); !got.ok() {
			t.Fatalf("%s: %v", by.name, got)
		}
	}
	other := start(t, func(s *setup) { s.issuer, s.audience = w.issuer, "billing" })
	for _, by := range bothWays {
		other.expectRefused(t, by.name, callerUnknown, by, c, muting(""))
	}
	if len(other.log.lines("audience")) != len(bothWays) {
		t.Errorf("the log has other causes: %s", other.log)
	}
}

// TestWhoIsKnownByWhat has callers whose authorization decides although they
// have a certificate, and other ways to write the same.
func TestWhoIsKnownByWhat(t *testing.T) {
	w := start(t, with(policyFile, policyText(mainSID, map[string][]string{"ui": {"muted"}})))
	agents := w.clientCA.client(t, "agents")
	tests := []struct {
		caller
		known bool
	}{
		{caller{name: "a token beats a certificate", authorization: withToken("ui").authorization, certificate: agents}, true},
		{caller{name: "the certificate alone", certificate: agents}, false},
		{caller{name: "the scheme in other letters", authorization: []string{"bEARER " + tokenOf("ui")}}, true},
		{caller{name: "several blanks", authorization: []string{"Bearer   " + tokenOf("ui")}}, true},
		{caller{name: "a JWT for two audiences", authorization: []string{
			bearer(w.issuer.token(t, "ui", map[string]any{"aud": []string{"billing", audience}})),
		}}, true},
		{caller{name: "a certificate's second DNS name", certificate: w.clientCA.client(t, "web", "ui")}, true},
		{caller{name: "a certificate's DNS name in capitals", certificate: w.clientCA.client(t, "UI")}, true},
	}
	for _, by := range bothWays {
		for _, test := range tests {
			t.Run(by.name+" "+test.name, func(t *testing.T) {
				if !test.known {
					w.expectRefused(t, test.name, notAllowed("account "+mainSID), by, test.caller, muting(""))
					return
				}
				got := by.call(t.Context(), w.client(test.certificate), test.authorization, muting(""))
				w.expectApplied(t, test.name, got, arrival{
					account: mainSID, user: mainSID, password: mainToken, form: "Muted=true",
				})
			})
		}
	}
}
