package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonx "github.com/go-json-experiment/json"
)

const (
	// maxControlForm is the maximal size of a form for the sandbox's own pages.
	maxControlForm = 64 << 10

	// maxState is the maximal size of a state that is loaded.
	maxState = 4 << 20
)

// A controlError is an error of the sandbox's own pages with another status than 400.
type controlError struct {
	status int
	text   string
}

func (e controlError) Error() string { return e.text }

// A created is the answer to a request that has made something.
type created struct{ any }

// controlHandler serves the sandbox's own pages, which Twilio does not have.
func (s *Sandbox) controlHandler() http.Handler {
	mux := http.NewServeMux()
	s.addBoard(mux)
	handle := func(pattern string, limit int64, serve func(r *http.Request) (any, error), parameters ...string) {
		mux.Handle(pattern, http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var shown any
			err := checkParameters(r, parameters)
			if err == nil {
				shown, err = serve(r)
			}
			answerControl(w, shown, err)
		}), limit))
	}
	handle("GET /sandbox/state", 0, func(*http.Request) (any, error) { return s.State(), nil })
	handle("POST /sandbox/state", maxState, s.loadState)
	handle("GET /sandbox/state.schema.json", 0, func(*http.Request) (any, error) { return json.RawMessage(stateSchema), nil })
	handle("POST /sandbox/reset", maxControlForm, s.forAccount(s.resetAccounts), "account")
	handle("POST /sandbox/advance", maxControlForm, s.advanceBy, "by")
	handle("POST /sandbox/hangup", maxControlForm, s.hangUpCall, "ConferenceSid", "CallSid")
	handle("GET /sandbox/journal", 0, s.listJournal, "account", "since", "conference", "participant", "kind")
	handle("DELETE /sandbox/journal", 0, s.forAccount(s.clearJournal), "account")
	handle("GET /sandbox/faults", 0, s.listFaults, "account")
	handle("POST /sandbox/faults", maxControlForm, s.armFault)
	handle("DELETE /sandbox/faults", 0, s.forAccount(s.Disarm), "account")
	return mux
}

// checkParameters returns an error if a request has an unknown parameter, or one twice, or
// a body that is no POST's. If no parameter is known, it does not read the body.
func checkParameters(r *http.Request, known []string) error {
	if r.Method != http.MethodPost && r.ContentLength != 0 {
		return fmt.Errorf("the parameters of a %s belong in its query, not in a body", r.Method)
	}
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil && len(known) > 0 {
		err = readForm(r)
		given = r.Form
	}
	if err != nil {
		return fmt.Errorf("the query or the form is malformed: %w", err)
	}
	for name, values := range given {
		switch {
		case !slices.Contains(known, name):
			return fmt.Errorf("unknown parameter %q in the query or the form: known here are %s", name, cmp.Or(strings.Join(known, ", "), "none"))
		case len(values) > 1:
			return fmt.Errorf("%s is given more than once", name)
		}
	}
	return nil
}

// readForm reads the parameters in the query and in the body of a POST, which is a form or
// an object of texts in JSON.
func readForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		return err
	}
	rest, err := io.ReadAll(r.Body) // ParseForm has read a form.
	if err != nil || len(rest) == 0 {
		return err
	}
	var fields map[string]string
	if err := jsonx.Unmarshal(rest, &fields); err != nil {
		return errors.New("the body is neither a form nor an object of texts in JSON")
	}
	for name, value := range fields {
		r.Form.Add(name, value)
	}
	return nil
}

// answerControl answers with JSON, without content, or with the text of the error.
func answerControl(w http.ResponseWriter, shown any, err error) {
	if err != nil {
		refused := controlError{http.StatusBadRequest, err.Error()}
		errors.As(err, &refused)
		http.Error(w, refused.text, refused.status)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if shown == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if made, ok := shown.(created); ok {
		w.WriteHeader(http.StatusCreated)
		shown = made.any
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(shown) // It fails if the client has disconnected.
}

// accountIn returns the account that a request names, or "" for all.
func (s *Sandbox) accountIn(r *http.Request) (string, error) {
	account := r.FormValue("account")
	s.mu.Lock()
	defer s.mu.Unlock()
	if account != "" && s.world.tenant(account) == nil {
		return "", controlError{http.StatusNotFound, "there is no such account"}
	}
	return account, nil
}

func (s *Sandbox) forAccount(do func(account string)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		account, err := s.accountIn(r)
		if err == nil {
			do(account)
		}
		return nil, err
	}
}

// resetAccounts resets the account, or everything if it is "".
func (s *Sandbox) resetAccounts(account string) {
	if account == "" {
		s.Reset()
		return
	}
	s.resetAccount(account)
}

func (s *Sandbox) advanceBy(r *http.Request) (any, error) {
	by, err := time.ParseDuration(r.FormValue("by"))
	if err != nil || by < 0 {
		return nil, errors.New("by is not a duration such as 5s")
	}
	s.Advance(by)
	return nil, nil
}

func (s *Sandbox) hangUpCall(r *http.Request) (any, error) {
	if !s.HangUp(r.FormValue("ConferenceSid"), r.FormValue("CallSid")) {
		return nil, controlError{http.StatusNotFound, "there is no such participant"}
	}
	return nil, nil
}

// loadState loads the state in the body. If it has an error, the present state stays.
func (s *Sandbox) loadState(r *http.Request) (any, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, controlError{http.StatusRequestEntityTooLarge, "the state is too large or could not be read"}
	}
	state, err := ParseState("state", text)
	if err != nil {
		return nil, err
	}
	s.load(state)
	return nil, nil
}

// listJournal returns the entries that pass all filters.
func (s *Sandbox) listJournal(r *http.Request) (any, error) {
	kind := r.FormValue("kind")
	if !passes(kind, kindRequest, kindCallback, kindAnnouncement) {
		return nil, fmt.Errorf("kind is none of %s, %s, %s", kindRequest, kindCallback, kindAnnouncement)
	}
	account, err := s.accountIn(r)
	if err != nil {
		return nil, err
	}
	since, err := strconv.Atoi("0" + r.FormValue("since"))
	if err != nil {
		return nil, errors.New("since is not the number of an entry")
	}
	return map[string]any{"entries": s.entries(func(e *Entry) bool {
		return e.Seq > since && passes(account, e.AccountSID) && passes(kind, e.Kind) &&
			passes(r.FormValue("conference"), e.ConferenceSID, e.FriendlyName) &&
			passes(r.FormValue("participant"), e.CallSID, e.Label)
	})}, nil
}

func (s *Sandbox) listFaults(r *http.Request) (any, error) {
	account, err := s.accountIn(r)
	return map[string]any{"faults": s.Armed(account)}, err
}

// armFault arms the fault in the body, by default for one request.
func (s *Sandbox) armFault(r *http.Request) (any, error) {
	rule := Rule{Times: 1}
	if err := jsonx.UnmarshalRead(r.Body, &rule, jsonx.RejectUnknownMembers(true)); err != nil {
		return nil, describeFaultError(err)
	}
	rule.Served = 0
	if err := s.arm(rule); err != nil {
		return nil, err
	}
	return created{rule}, nil
}

// describeFaultError returns the error in the JSON of a fault by the name of its key.
func describeFaultError(err error) error {
	var wrong *jsonx.SemanticError
	if !errors.As(err, &wrong) {
		return fmt.Errorf("the fault is not valid JSON: %w", err)
	}
	switch key := wrong.JSONPointer.LastToken(); {
	case key == "":
		return errors.New("the fault must be a JSON object")
	case errors.Is(err, jsonx.ErrUnknownName):
		return fmt.Errorf("%s is no key of a fault", key)
	case wrong.GoType.Kind() == reflect.Int:
		return fmt.Errorf("%s must be an integer", key)
	case wrong.JSONKind != '"':
		return fmt.Errorf("%s must be a string", key)
	default:
		return fmt.Errorf("%s %w", key, wrong.Err)
	}
}
