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
	do     func(w *world, c *call, now time.Time) (any, *apiError)
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
		http.MethodGet: {opListConferences, http.StatusOK, (*world).listConferences},
	},
	oneConference: {
		http.MethodGet:  {opFetchConference, http.StatusOK, (*world).fetchConference},
		http.MethodPost: {opUpdateConference, http.StatusOK, (*world).updateConference},
	},
	participantList: {
		http.MethodGet:  {opList, http.StatusOK, (*world).listParticipants},
		http.MethodPost: {opCreate, http.StatusCreated, (*world).createParticipant},
	},
	oneParticipant: {
		http.MethodGet:    {opFetch, http.StatusOK, (*world).fetchParticipant},
		http.MethodPost:   {opUpdate, http.StatusOK, (*world).updateParticipant},
		http.MethodDelete: {opRemove, http.StatusNoContent, (*world).removeParticipant},
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
	defer s.mu.Unlock()
	shown, err := op.do(s.world, c, now)
	if err != nil {
		return err.answer()
	}
	s.setAlarm(now)
	return answer{status: op.status, body: shown}
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

var conferenceSID = regexp.MustCompile(`^CF[0-9a-fA-F]{32}$`)

// findConference returns the conference in the path.
func (w *world) findConference(t target) (*Conference, *apiError) {
	if !conferenceSID.MatchString(t.conference) {
		return nil, errMethodNotAllowed
	}
	c := w.conference(t.conference)
	if c == nil || c.AccountSID != t.account {
		return nil, notFound(t)
	}
	return c, nil
}

// findParticipant returns the participant in the path, and its conference.
func (w *world) findParticipant(t target) (*Conference, *Participant, *apiError) {
	c, err := w.findConference(t)
	if err != nil {
		return nil, nil, err
	}
	p := c.participant(t.participant)
	if p == nil {
		return nil, nil, notFound(t)
	}
	return c, p, nil
}
