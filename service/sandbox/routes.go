package sandbox

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An operation implements one method of a resource. It runs under the lock, and
// returns the resource to show or an error.
type operation struct {
	name   string // Faults name it.
	status int    // Of a success.
	do     func(t *tenant, c *call, now time.Time) (any, *apiError)
}

// The names of the operations.
const (
	opFetch            = "fetch"
	opList             = "list"
	opCreate           = "create"
	opUpdate           = "update"
	opRemove           = "remove"
	opFetchConference  = "fetch-conference"
	opListConferences  = "list-conferences"
	opUpdateConference = "update-conference"
)

var operationNames = []string{
	opFetch, opList, opCreate, opUpdate, opRemove, opFetchConference, opListConferences, opUpdateConference,
}

var operations = map[resource]map[string]operation{
	conferenceList: {
		http.MethodGet: {opListConferences, http.StatusOK, (*tenant).listConferences},
	},
	oneConference: {
		http.MethodGet:  {opFetchConference, http.StatusOK, (*tenant).fetchConference},
		http.MethodPost: {opUpdateConference, http.StatusOK, (*tenant).updateConference},
	},
	participantList: {
		http.MethodGet:  {opList, http.StatusOK, (*tenant).listParticipants},
		http.MethodPost: {opCreate, http.StatusCreated, (*tenant).createParticipant},
	},
	oneParticipant: {
		http.MethodGet:    {opFetch, http.StatusOK, (*tenant).fetchParticipant},
		http.MethodPost:   {opUpdate, http.StatusOK, (*tenant).updateParticipant},
		http.MethodDelete: {opRemove, http.StatusNoContent, (*tenant).removeParticipant},
	},
}

// route checks the request, finds its operation and performs it.
func (s *Sandbox) route(c *call) answer {
	if !s.authenticated(c) {
		return errAuthenticate.answer()
	}
	methods, exists := operations[c.target.resource]
	if !exists {
		return notFound(c.target).answer()
	}
	method := c.Method
	if c.isRead() {
		method = http.MethodGet
	}
	op, allowed := methods[method]
	if !allowed {
		a := errMethodNotAllowed.answer()
		names := append(slices.Collect(maps.Keys(methods)), http.MethodHead)
		slices.Sort(names)
		a.allow = strings.Join(names, ", ")
		return a
	}
	c.operation = op.name
	if method == http.MethodPost {
		var err *apiError
		if c.form, err = c.parseForm(); err != nil {
			return err.answer()
		}
	}
	return s.withFault(c, s.matchFault(c), func() answer { return s.perform(op, c) })
}

func (s *Sandbox) perform(op operation, c *call) answer {
	now := s.lock()
	defer s.unlock(now)
	t := s.world.tenantOf(c)
	shown, err := op.do(t, c, now)
	if err != nil {
		return err.answer()
	}
	c.applied = c.entry(now)
	c.applied.Applied = true
	t.record(c.applied)
	return answer{status: op.status, body: shown}
}

// authenticated reports whether the request has credentials of the account in
// its path, or the auth token of the account that owns it.
func (s *Sandbox) authenticated(c *call) bool {
	user, password, _ := c.BasicAuth()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.world.tenant(c.target.account)
	if t == nil || t.Status != accountActive {
		return false
	}
	if user == t.SID || user == t.OwnerAccountSID {
		owner := s.world.tenant(user)
		return owner != nil && password == owner.secrets.token
	}
	secret, known := t.secrets.keys[user]
	return known && password == secret
}

var conferenceSID = regexp.MustCompile(`^CF[0-9a-fA-F]{32}$`)

// findConference returns the conference in the path.
func (t *tenant) findConference(at target) (*Conference, *apiError) {
	if !conferenceSID.MatchString(at.conference) {
		return nil, errMethodNotAllowed
	}
	c := t.conference(at.conference)
	if c == nil {
		return nil, notFound(at)
	}
	return c, nil
}

// findParticipant returns the participant in the path, and its conference.
func (t *tenant) findParticipant(at target, now time.Time) (*Conference, *Participant, *apiError) {
	c, err := t.findConference(at)
	if err != nil {
		return nil, nil, err
	}
	p := c.participant(at.participant)
	if p == nil || t.hides(p, now) {
		return nil, nil, notFound(at)
	}
	return c, p, nil
}
