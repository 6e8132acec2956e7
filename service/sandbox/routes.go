package sandbox

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const apiRoot = "/2010-04-01/"

// maxBody has room for twelve fields with URLs of the longest kind, escaped.
const maxBody = 256 << 10

var conferenceSID = regexp.MustCompile(`^CF[0-9a-fA-F]{32}$`)

// A call is one request to the API, its body read.
type call struct {
	*http.Request
	id         string // its Twilio-Request-Id
	started    time.Time
	concurrent int // how many were in flight, this one included
	target     target
	body       []byte
	bodyErr    error
}

func newCall(w http.ResponseWriter, r *http.Request) *call {
	c := &call{Request: r, id: newRequestID(), started: time.Now(), target: parseTarget(r.URL)}
	if r.Body != nil {
		c.body, c.bodyErr = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	return c
}

func newRequestID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return "RQ" + hex.EncodeToString(id[:])
}

// form reads the body. One without a type counts as a form.
func (c *call) form() (url.Values, *apiError) {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](c.bodyErr); tooLarge {
		return nil, errBodyTooLarge
	}
	if c.bodyErr != nil {
		return nil, badRequest("The request body could not be read")
	}
	if declared := c.Header.Get("Content-Type"); declared != "" && len(c.body) > 0 {
		mediaType, _, err := mime.ParseMediaType(declared)
		if err != nil || mediaType != "application/x-www-form-urlencoded" {
			return nil, badRequest("The request body is not a form")
		}
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return nil, badRequest("The request body is not a readable form")
	}
	return form, nil
}

// rereadable is the request with its body, to be read again.
func (c *call) rereadable() *http.Request {
	r := c.Request.WithContext(c.Context())
	r.Body = io.NopCloser(bytes.NewReader(c.body))
	return r
}

// resource is what a path names.
type resource int

const (
	nothing resource = iota
	allConferences
	oneConference
	allParticipants
	oneParticipant
)

// resources are those that a path of so many segments names.
var resources = map[int]resource{3: allConferences, 4: oneConference, 5: allParticipants, 6: oneParticipant}

// A target is a path of the API, taken apart.
type target struct {
	resource resource
	path     string // as requested, escaped
	json     bool   // whether the path ends in .json

	account     string
	conference  string
	participant string // a Call SID or a label
}

// parseTarget splits the path before it decodes it, and decodes it once, so that
// what a label contains cannot become a separator or another escape.
func parseTarget(u *url.URL) target {
	t := target{path: u.EscapedPath()}
	var path string
	path, t.json = strings.CutSuffix(t.path, ".json")
	segments := strings.Split(path[len(apiRoot):], "/")
	slash := false
	for i, escaped := range segments {
		// EscapedPath is never unreadable.
		segments[i], _ = url.PathUnescape(escaped)
		slash = slash || strings.Contains(segments[i], "/")
	}
	at := func(i int) string {
		if i < len(segments) {
			return segments[i]
		}
		return ""
	}
	t.account, t.conference, t.participant = at(1), at(3), at(5)
	if slash || at(0) != "Accounts" || at(2) != "Conferences" || len(segments) > 4 && at(4) != "Participants" {
		return t
	}
	t.resource = resources[len(segments)]
	return t
}

// A method is how the sandbox answers one HTTP method of a resource.
type method func(*Sandbox, *call) answer

// methods are those of each resource. HEAD is as GET.
var methods = map[resource]map[string]method{
	allConferences:  {http.MethodGet: (*Sandbox).listConferences},
	oneConference:   {http.MethodGet: (*Sandbox).fetchConference, http.MethodPost: (*Sandbox).updateConference},
	allParticipants: {http.MethodGet: (*Sandbox).list, http.MethodPost: (*Sandbox).create},
	oneParticipant: {
		http.MethodGet: (*Sandbox).fetch, http.MethodPost: (*Sandbox).update, http.MethodDelete: (*Sandbox).remove,
	},
}

func (s *Sandbox) route(c *call) answer {
	if !s.authenticated(c) {
		return errAuthenticate.answer()
	}
	all, exists := methods[c.target.resource]
	if !exists {
		return notFound(c.target).answer()
	}
	name := c.Method
	if name == http.MethodHead {
		name = http.MethodGet
	}
	handle, allowed := all[name]
	if !allowed {
		return methodNotAllowed(all)
	}
	return handle(s, c)
}

// authenticated reports whether the request has credentials of the account in
// its path, or the auth token of the account that owns it.
func (s *Sandbox) authenticated(c *call) bool {
	user, password, _ := c.BasicAuth()
	s.mu.Lock()
	defer s.mu.Unlock()
	account := s.world.account(c.target.account)
	if account == nil || account.Status != accountActive {
		return false
	}
	if user == account.SID || user == account.OwnerAccountSID {
		owner, known := s.world.secrets[user]
		return known && password == owner.token
	}
	secret, known := s.world.secrets[account.SID].keys[user]
	return known && password == secret
}

// locate returns the target's conference, and its participant if it names one
// that exists. The caller holds the lock.
func (w *world) locate(t target) (*Conference, *Participant, *apiError) {
	if !conferenceSID.MatchString(t.conference) {
		return nil, nil, errMethodNotAllowed
	}
	conference := w.conference(t.conference)
	if conference == nil || conference.AccountSID != t.account {
		return nil, nil, notFound(t)
	}
	return conference, conference.participant(t.participant), nil
}

func (s *Sandbox) fetch(c *call) answer {
	s.lock()
	defer s.mu.Unlock()
	_, p, refusal := s.world.locate(c.target)
	switch {
	case refusal != nil:
		return refusal.answer()
	case p == nil:
		return notFound(c.target).answer()
	}
	return ok(c.target.show(p))
}
