package access_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"conferenced/service/sandbox"
)

// The accounts.
const (
	mainSID    = sandbox.AccountSID                   // The default.
	subSID     = "ACac000000000000000000000000000002" // With the credentials of mainSID.
	otherSID   = "ACac000000000000000000000000000003" // With an API key.
	foreignSID = "ACac000000000000000000000000000004" // In the policy, but without credentials.
	unknownSID = "ACac000000000000000000000000000005" // Not configured at all.

	otherKeySID = "SKac000000000000000000000000000003"
)

// Their secrets at the start.
const (
	mainToken      = "b6d1f0a47c2e4d3e9b8a7f605142c3d4"
	otherKeySecret = "Q7w9ZtVfLr2XkP4mNs8bHdYc6uJgEa3T"
)

// arrival is a request that Twilio got.
type arrival struct {
	account, user, password string
	form                    string
	header                  http.Header
}

// upstream is a Twilio with several accounts, whose credentials can change. All use
// the sandbox's one account.
type upstream struct {
	box *sandbox.Sandbox
	url string

	mu       sync.Mutex
	accepted map[string][]string // By account: user:password.
	arrivals []arrival
	hook     hook
}

// hook is called before the sandbox, and may answer instead of it.
type hook func(http.ResponseWriter, *http.Request) (answered bool)

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{box: sandbox.New(sandbox.Config{}), accepted: map[string][]string{
		mainSID:  {mainSID + ":" + mainToken},
		subSID:   {mainSID + ":" + mainToken},
		otherSID: {otherKeySID + ":" + otherKeySecret},
	}}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	t.Cleanup(u.box.Close)
	u.url = server.URL
	return u
}

// accept replaces the auth tokens of the main account and its subaccount.
func (u *upstream) accept(tokens ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var accepted []string
	for _, token := range tokens {
		accepted = append(accepted, mainSID+":"+token)
	}
	u.accepted[mainSID], u.accepted[subSID] = accepted, accepted
}

func (u *upstream) setHook(h hook) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.hook = h
}

// take returns the requests that arrived and the updates that were applied since the
// last take.
func (u *upstream) take() ([]arrival, []sandbox.Entry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	arrivals, journal := u.arrivals, u.box.Journal()
	u.arrivals = nil
	if len(journal) > 0 {
		u.box.Reset()
	}
	return arrivals, journal
}

// ServeHTTP answers for the account in the path.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	account := strings.SplitN(r.URL.Path, "/", 5)[3]
	known, hook := u.arrive(account, r)
	if hook != nil && hook(w, r) {
		return
	}
	if known {
		r.SetBasicAuth(sandbox.AccountSID, sandbox.AuthToken)
	}
	r.URL.Path = strings.Replace(r.URL.Path, account, sandbox.AccountSID, 1)
	r.URL.RawPath = strings.Replace(r.URL.RawPath, account, sandbox.AccountSID, 1)
	u.box.ServeHTTP(&renaming{w, account}, r)
}

// arrive records the request, and reports whether its credentials are the account's.
func (u *upstream) arrive(account string, r *http.Request) (known bool, _ hook) {
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body) // A request whose client disconnected is recorded too.
	r.Body = http.NoBody
	if body.Len() > 0 {
		r.Body = nopCloser{bytes.NewReader(body.Bytes())}
	}
	user, password, _ := r.BasicAuth()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.arrivals = append(u.arrivals, arrival{
		account: account, user: user, password: password, form: body.String(), header: r.Header.Clone(),
	})
	return slices.Contains(u.accepted[account], user+":"+password), u.hook
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

// renaming replaces the sandbox's account SID in answers.
type renaming struct {
	http.ResponseWriter
	account string
}

func (r *renaming) Write(p []byte) (int, error) {
	return r.ResponseWriter.Write(bytes.ReplaceAll(p, []byte(sandbox.AccountSID), []byte(r.account)))
}

// Unwrap supports http.ResponseController.
func (r *renaming) Unwrap() http.ResponseWriter { return r.ResponseWriter }
