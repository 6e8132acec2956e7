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
	"strings"
	"time"
)

const apiRoot = "/2010-04-01/"

// maxBody is enough for twelve fields with escaped URLs of the maximum length.
const maxBody = 256 << 10

// A call is one request to the API, with its body read.
type call struct {
	*http.Request
	id        string // Its Twilio-Request-Id.
	started   time.Time
	target    target
	tenant    *tenant // Its account at its arrival.
	operation string  // The name of its operation, set by route.
	body      []byte
	bodyErr   error
	form      url.Values // The body, read by route. Only POST has one.
	fault     string     // The name of the fault that it got.
	applied   *Entry     // Its entry in the journal, once that exists.

	// Its conference and participant. If they do not exist, the names are those of the
	// path.
	conferenceSID, conferenceName, callSID, label string
}

func newCall(w http.ResponseWriter, r *http.Request) *call {
	c := &call{Request: r, id: newRequestID(), started: time.Now(), target: parseTarget(r.URL)}
	if r.Body != nil {
		c.body, c.bodyErr = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	if c.conferenceName = c.target.conference; conferenceSID.MatchString(c.conferenceName) {
		c.conferenceSID, c.conferenceName = c.conferenceName, ""
	}
	if c.label = c.target.participant; callSID.MatchString(c.label) {
		c.callSID, c.label = c.label, ""
	}
	return c
}

// describe sets the conference and participant of the request, for the journal and for
// rules.
func (c *call) describe(conference *Conference, p *Participant) {
	if conference != nil {
		c.conferenceSID, c.conferenceName = conference.SID, conference.FriendlyName
	}
	if p != nil {
		c.callSID, c.label = p.CallSID, p.Label
	}
}

func newRequestID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // It never fails.
	return "RQ" + hex.EncodeToString(id[:])
}

func (c *call) isRead() bool { return c.Method == http.MethodGet || c.Method == http.MethodHead }

// parseForm reads the body. A body without a type counts as a form.
func (c *call) parseForm() (url.Values, *apiError) {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](c.bodyErr); tooLarge {
		return nil, errBodyTooLarge
	}
	if c.bodyErr != nil {
		return nil, badRequest("The request body could not be read")
	}
	if contentType := c.Header.Get("Content-Type"); contentType != "" && len(c.body) > 0 {
		mediaType, _, err := mime.ParseMediaType(contentType)
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

// withBody returns the request with a body that can be read again.
func (c *call) withBody() *http.Request {
	r := c.WithContext(c.Context())
	r.Body = io.NopCloser(bytes.NewReader(c.body))
	return r
}

// A resource is a kind of resource that a path can name.
type resource int

const (
	unknownResource resource = iota
	conferenceList
	oneConference
	participantList
	oneParticipant
)

// A target is the resource that a path identifies.
type target struct {
	resource    resource
	path        string // As requested, escaped.
	json        bool   // The path ends in .json; otherwise the answer is XML.
	account     string
	conference  string
	participant string // A Call SID or a label.
}

// parseTarget splits the path before it decodes the segments, each once, so that
// a label's characters cannot become a separator or another escape.
func parseTarget(u *url.URL) target {
	t := target{path: u.EscapedPath()}
	var path string
	path, t.json = strings.CutSuffix(t.path, ".json")
	segments := strings.Split(path[len(apiRoot):], "/")
	var at [6]string
	valid := len(segments) <= len(at)
	for i := range min(len(segments), len(at)) {
		at[i], _ = url.PathUnescape(segments[i]) // EscapedPath is always valid.
		valid = valid && !strings.Contains(at[i], "/")
	}
	t.account, t.conference, t.participant = at[1], at[3], at[5]
	if valid && at[0] == "Accounts" && at[2] == "Conferences" && (len(segments) < 5 || at[4] == "Participants") {
		t.resource = map[int]resource{3: conferenceList, 4: oneConference, 5: participantList, 6: oneParticipant}[len(segments)]
	}
	return t
}
