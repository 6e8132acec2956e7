package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	accountSID = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	apiKeySID  = regexp.MustCompile(`^SK[0-9a-fA-F]{32}$`)
)

// The forms of a state file. The names are those of GET /sandbox/state.
type (
	stateFile struct {
		Accounts []accountFile `yaml:"accounts"`
	}

	accountFile struct {
		SID             string           `yaml:"sid"`
		AuthToken       string           `yaml:"auth_token"`
		APIKeys         []apiKeyFile     `yaml:"api_keys"`
		OwnerAccountSID string           `yaml:"owner_account_sid"`
		FriendlyName    string           `yaml:"friendly_name"`
		Status          string           `yaml:"status"`
		Conferences     []conferenceFile `yaml:"conferences"`
	}

	apiKeyFile struct {
		SID    string `yaml:"sid"`
		Secret string `yaml:"secret"`
	}

	conferenceFile struct {
		SID                     string            `yaml:"sid"`
		FriendlyName            string            `yaml:"friendly_name"`
		Status                  string            `yaml:"status"`
		Region                  string            `yaml:"region"`
		MaxParticipants         int               `yaml:"max_participants"`
		ReasonConferenceEnded   string            `yaml:"reason_conference_ended"`
		CallSIDEndingConference string            `yaml:"call_sid_ending_conference"`
		StatusCallback          string            `yaml:"status_callback"`
		StatusCallbackMethod    string            `yaml:"status_callback_method"`
		StatusCallbackEvent     []string          `yaml:"status_callback_event"`
		DateCreated             time.Time         `yaml:"date_created"`
		DateUpdated             time.Time         `yaml:"date_updated"`
		Participants            []participantFile `yaml:"participants"`
	}

	participantFile struct {
		CallSID                      string    `yaml:"call_sid"`
		Label                        string    `yaml:"label"`
		From                         string    `yaml:"from"`
		To                           string    `yaml:"to"`
		Status                       string    `yaml:"status"`
		Muted                        bool      `yaml:"muted"`
		Hold                         bool      `yaml:"hold"`
		HoldURL                      string    `yaml:"hold_url"`
		HoldMethod                   string    `yaml:"hold_method"`
		WaitURL                      *string   `yaml:"wait_url"`
		WaitMethod                   string    `yaml:"wait_method"`
		BeepOnEnter                  bool      `yaml:"beep_on_enter"`
		BeepOnExit                   bool      `yaml:"beep_on_exit"`
		StartConferenceOnEnter       *bool     `yaml:"start_conference_on_enter"`
		EndConferenceOnExit          bool      `yaml:"end_conference_on_exit"`
		EffectiveEndConferenceOnExit *bool     `yaml:"effective_end_conference_on_exit"`
		Coaching                     bool      `yaml:"coaching"`
		CallSIDToCoach               string    `yaml:"call_sid_to_coach"`
		QueueTime                    string    `yaml:"queue_time"`
		DateCreated                  time.Time `yaml:"date_created"`
		DateUpdated                  time.Time `yaml:"date_updated"`
	}
)

// ParseState reads a state from YAML, for Config.State:
//
//	accounts:
//	  - sid: AC00000000000000000000000000000001
//	    auth_token: "0123456789abcdef0123456789abcdef"
//	    friendly_name: Tests
//	    status: active                # or suspended, closed
//	    owner_account_sid: AC...      # for a subaccount
//	    api_keys:
//	      - sid: SK00000000000000000000000000000001
//	        secret: shhh
//	    conferences:
//	      - sid: CF00000000000000000000000000000001
//	        friendly_name: Support
//	        status: in-progress       # or init, completed
//	        status_callback: http://127.0.0.1:9000/events
//	        status_callback_method: POST
//	        status_callback_event: [start, end, join, leave, mute, hold, modify, announcement]
//	        participants:
//	          - call_sid: CA00000000000000000000000000000001
//	            label: front desk
//	            muted: true
//
// The names are those of GET /sandbox/state; a participant may have every
// property there is but announcements, faults_served and status_due: its status
// stays. An account needs its SID and auth token, a conference its name or SID,
// and a participant nothing: missing SIDs are made, the same in every run. A
// property left out is false or empty, except that start_conference_on_enter is
// true, a conference is in progress and its status callback gets all events, and
// methods and dates are as for AddParticipant.
//
// A name that is not known, a value of the wrong type, and whatever the API
// itself would refuse is an error, as is a status callback elsewhere than on
// loopback. The error tells the lines.
func ParseState(data []byte) (*InitialState, error) {
	file, root, err := decodeState(data)
	if err != nil {
		return nil, fmt.Errorf("sandbox: state: %w", err)
	}
	r := &stateReader{state: &InitialState{secrets: map[string]secrets{}}, taken: map[string]bool{}}
	r.accounts(file.Accounts, root.at("accounts"))
	if err := errors.Join(r.problems...); err != nil {
		return nil, fmt.Errorf("sandbox: state: %w", err)
	}
	return r.state, nil
}

// decodeState reads one YAML document, twice: as what it says, and as the nodes
// that know their lines.
func decodeState(data []byte) (file stateFile, root place, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	switch err := decoder.Decode(&file); {
	case errors.Is(err, io.EOF):
		return file, root, errors.New("it names no account")
	case err != nil:
		return file, root, readable(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return file, root, errors.New("it is more than one document")
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return file, root, readable(err)
	}
	return file, place{document.Content[0]}, nil
}

// goTypes finds in YAML's errors what tells of Go's types.
var goTypes = regexp.MustCompile(` (in type|into) (\[\])?sandbox\.\w+`)

func readable(err error) error {
	wrong, isType := errors.AsType[*yaml.TypeError](err)
	if !isType {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return errors.New(goTypes.ReplaceAllString(strings.Join(wrong.Errors, "\n"), ""))
}

// A place is a value in a YAML document.
type place struct{ node *yaml.Node }

// at goes down by names and by indices. Where there is nothing of the kind it
// stays.
func (p place) at(keys ...any) place {
	for _, key := range keys {
		p = p.child(key)
	}
	return p
}

func (p place) child(key any) place {
	node := p.node
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch key := key.(type) {
	case int:
		if node.Kind == yaml.SequenceNode && key < len(node.Content) {
			return place{node.Content[key]}
		}
	case string:
		for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				return place{node.Content[i+1]}
			}
		}
	}
	return p
}

// A stateReader turns a state file into a state, and collects what is wrong.
type stateReader struct {
	state    *InitialState
	taken    map[string]bool // the SIDs
	problems []error
}

func (r *stateReader) refuse(where place, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("line %d: %s", where.node.Line, fmt.Sprintf(format, args...)))
}

func (r *stateReader) accounts(files []accountFile, where place) {
	if len(files) == 0 {
		r.refuse(where, "there is no account")
	}
	for i, file := range files {
		r.account(file, where.at(i))
	}
	for i, account := range r.state.accounts {
		if _, known := r.state.secrets[account.OwnerAccountSID]; !known {
			r.refuse(where.at(i, "owner_account_sid"), "there is no account %s", account.OwnerAccountSID)
		}
	}
}

func (r *stateReader) account(file accountFile, where place) {
	r.sid(file.SID, accountSID, where.at("sid"))
	if file.AuthToken == "" {
		r.refuse(where, "the account has no auth_token")
	}
	account := &Account{
		SID: file.SID, OwnerAccountSID: file.OwnerAccountSID,
		FriendlyName: file.FriendlyName, Status: file.Status, Conferences: []*Conference{},
	}
	setDefault(&account.OwnerAccountSID, file.SID)
	setDefault(&account.Status, accountActive)
	r.oneOf(account.Status, where.at("status"), accountActive, accountSuspended, accountClosed)
	known := secrets{token: file.AuthToken, keys: map[string]string{}}
	for i, key := range file.APIKeys {
		r.sid(key.SID, apiKeySID, where.at("api_keys", i, "sid"))
		if key.Secret == "" {
			r.refuse(where.at("api_keys", i), "the API key has no secret")
		}
		known.keys[key.SID] = key.Secret
	}
	r.state.secrets[file.SID] = known
	for i, conference := range file.Conferences {
		r.conference(account, conference, where.at("conferences", i))
	}
	r.state.accounts = append(r.state.accounts, account)
}

func (r *stateReader) conference(of *Account, file conferenceFile, where place) {
	conference := file.conference(of)
	r.sid(conference.SID, conferenceSID, where.at("sid"))
	r.oneOf(conference.Status, where.at("status"), conferenceInit, conferenceInProgress, conferenceCompleted)
	r.oneOf(conference.StatusCallbackMethod, where.at("status_callback_method"), "GET", "POST")
	r.conferenceName(of, conference, where.at("friendly_name"))
	if n := conference.MaxParticipants; n < 2 || n > maxParticipants {
		r.refuse(where.at("max_participants"), "max_participants is not from 2 to %d", maxParticipants)
	}
	if conference.ReasonConferenceEnded != "" {
		r.oneOf(conference.ReasonConferenceEnded, where.at("reason_conference_ended"), reasonsEnded...)
	}
	if odd := unknownKind(conference.StatusCallbackEvent); odd != "" {
		r.refuse(where.at("status_callback_event"), "there is no event %q", odd)
	}
	if conference.StatusCallback != "" {
		if err := checkCallback(conference.StatusCallback); err != nil {
			r.refuse(where.at("status_callback"), "status_callback %v", err)
		}
	}
	for i, p := range file.Participants {
		r.participant(conference, p, where.at("participants", i))
	}
	for i, p := range conference.Participants {
		r.coaching(conference, p, where.at("participants", i))
	}
	of.Conferences = append(of.Conferences, conference)
}

// conferenceName refuses a name that no request could have given, and a second
// conference of the same name that is not over.
func (r *stateReader) conferenceName(of *Account, c *Conference, where place) {
	if len([]rune(c.FriendlyName)) > maxFriendlyName {
		r.refuse(where, "friendly_name has more than %d characters", maxFriendlyName)
	}
	if c.FriendlyName != "" && c.Status != conferenceCompleted && of.running(c.FriendlyName) != nil {
		r.refuse(where, "another conference %q is not over", c.FriendlyName)
	}
}

func (f conferenceFile) conference(of *Account) *Conference {
	c := Conference{
		SID: f.SID, AccountSID: of.SID, FriendlyName: f.FriendlyName, Status: f.Status,
		Region: f.Region, MaxParticipants: f.MaxParticipants,
		ReasonConferenceEnded: f.ReasonConferenceEnded, CallSIDEndingConference: f.CallSIDEndingConference,
		StatusCallback: f.StatusCallback, StatusCallbackMethod: f.StatusCallbackMethod,
		StatusCallbackEvent: f.StatusCallbackEvent,
		DateCreated:         f.DateCreated.UTC(), DateUpdated: f.DateUpdated.UTC(),
	}
	if c.SID == "" && c.FriendlyName != "" {
		c.SID = of.makeConferenceSID(c.FriendlyName)
	}
	setDefault(&c.Status, conferenceInProgress)
	if c.StatusCallback != "" && c.StatusCallbackEvent == nil {
		c.StatusCallbackEvent = slices.Clone(allEventKinds)
	}
	c = c.withDefaults()
	return &c
}

func (r *stateReader) participant(in *Conference, file participantFile, where place) {
	p := file.participant()
	if p.CallSID == "" {
		p.CallSID = in.makeCallSID(p.Label)
	}
	if err := in.admits(p); err != nil {
		r.refuse(where, "%v", err)
	} else {
		r.sid(p.CallSID, callSID, where.at("call_sid"))
	}
	r.oneOf(p.Status, where.at("status"),
		statusQueued, statusConnecting, statusRinging, statusConnected, statusComplete, statusFailed)
	r.oneOf(p.HoldMethod, where.at("hold_method"), "GET", "POST")
	r.oneOf(p.WaitMethod, where.at("wait_method"), "GET", "POST")
	if p.HoldURL != "" && !isWebURL(p.HoldURL) {
		r.refuse(where.at("hold_url"), "hold_url is not a valid URL")
	}
	if p.WaitURL != nil && *p.WaitURL != "" && !isWebURL(*p.WaitURL) {
		r.refuse(where.at("wait_url"), "wait_url is not a valid URL")
	}
	in.Participants = append(in.Participants, &p)
}

func (f participantFile) participant() Participant {
	p := Participant{
		CallSID: f.CallSID, Label: f.Label, From: f.From, To: f.To, Status: f.Status,
		Muted: f.Muted, Hold: f.Hold, HoldURL: f.HoldURL, HoldMethod: f.HoldMethod,
		WaitURL: f.WaitURL, WaitMethod: f.WaitMethod,
		BeepOnEnter: f.BeepOnEnter, BeepOnExit: f.BeepOnExit,
		StartConferenceOnEnter: f.StartConferenceOnEnter == nil || *f.StartConferenceOnEnter,
		EndConferenceOnExit:    f.EndConferenceOnExit,
		Coaching:               f.Coaching || f.CallSIDToCoach != "", CallSIDToCoach: f.CallSIDToCoach,
		QueueTime:   f.QueueTime,
		DateCreated: f.DateCreated.UTC(), DateUpdated: f.DateUpdated.UTC(),
	}
	p = p.withDefaults()
	if f.EffectiveEndConferenceOnExit != nil {
		p.EffectiveEndConferenceOnExit = *f.EffectiveEndConferenceOnExit
	}
	return p
}

func (r *stateReader) coaching(in *Conference, p *Participant, where place) {
	if !p.Coaching {
		return
	}
	coached := in.participant(p.CallSIDToCoach)
	if coached == nil || coached.CallSID != p.CallSIDToCoach {
		r.refuse(where.at("call_sid_to_coach"), "there is no participant %q to coach", p.CallSIDToCoach)
	}
}

// sid refuses a SID that is malformed, or taken by another resource.
func (r *stateReader) sid(sid string, form *regexp.Regexp, where place) {
	switch {
	case !form.MatchString(sid):
		r.refuse(where, "%q is not a SID of the form %s", sid, form)
	case r.taken[sid]:
		r.refuse(where, "the SID %s is taken", sid)
	}
	r.taken[sid] = true
}

func (r *stateReader) oneOf(value string, where place, known ...string) {
	if !slices.Contains(known, value) {
		r.refuse(where, "%q is none of %s", value, strings.Join(known, ", "))
	}
}
