package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"conferenced/service/yamlfile"
)

var (
	accountSID = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	apiKeySID  = regexp.MustCompile(`^SK[0-9a-fA-F]{32}$`)
)

// ParseState reads a state from YAML, for Config.State. Errors contain the given
// name.
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
// An unknown key, a value of the wrong type, and whatever the API itself would
// refuse is an error, and so is a status callback that is not on loopback. Every
// problem is reported, each with its line and key.
func ParseState(name string, text []byte) (*InitialState, error) {
	if json.Valid(text) {
		text = yamlOf(text)
	}
	file := yamlfile.Parse(name, text)
	r := &stateReader{state: &InitialState{secrets: map[string]secrets{}}, taken: map[string]bool{}}
	if root := file.Mapping(); root != nil {
		r.accounts(root.Required("accounts"))
	}
	if err := file.Err(); err != nil {
		return nil, err
	}
	return r.state, nil
}

// jsonEscape matches an escape in JSON, or a pair of them that is one character.
var jsonEscape = regexp.MustCompile(`(?i)\\(ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|.)`)

// yamlOf returns JSON without what YAML does not allow: tabs between values, and
// characters that are escaped as two surrogates.
func yamlOf(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\t"), []byte(" "))
	return jsonEscape.ReplaceAllFunc(text, func(escape []byte) []byte {
		var character string
		if len(escape) == 2 || json.Unmarshal([]byte(`"`+string(escape)+`"`), &character) != nil {
			return escape
		}
		return []byte(character)
	})
}

// stateReader builds a state from a file.
type stateReader struct {
	state *InitialState
	taken map[string]bool // SIDs.
}

func (r *stateReader) accounts(list yamlfile.Value) {
	var owners []yamlfile.Value // By account.
	for _, v := range list.List(1) {
		if m := v.Mapping(); m != nil {
			r.account(m)
			owners = append(owners, m.Optional("owner_account_sid"))
		}
	}
	for i, account := range r.state.accounts {
		if _, exists := r.state.secrets[account.OwnerAccountSID]; !exists {
			owners[i].Errorf("must be the SID of an account of this file")
		}
	}
}

func (r *stateReader) account(m *yamlfile.Mapping) {
	account := &Account{
		SID:             r.newSID(m.Required("sid"), accountSID),
		OwnerAccountSID: m.Optional("owner_account_sid").Text(),
		FriendlyName:    m.Optional("friendly_name").Text(),
		Status:          oneOf(m.Optional("status"), accountActive, accountSuspended, accountClosed),
		Conferences:     []*Conference{},
	}
	setDefault(&account.OwnerAccountSID, account.SID)
	setDefault(&account.Status, accountActive)
	known := secrets{token: yamlfile.Scan(m.Required("auth_token"), notEmpty), keys: map[string]string{}}
	for _, v := range m.Optional("api_keys").List(0) {
		if key := v.Mapping(); key != nil {
			sid := r.newSID(key.Required("sid"), apiKeySID)
			known.keys[sid] = yamlfile.Scan(key.Required("secret"), notEmpty)
		}
	}
	r.state.secrets[account.SID] = known
	for _, v := range m.Optional("conferences").List(0) {
		if conference := v.Mapping(); conference != nil {
			r.conference(account, conference)
		}
	}
	r.state.accounts = append(r.state.accounts, account)
}

func (r *stateReader) conference(of *Account, m *yamlfile.Mapping) {
	c := readConference(m)
	c.AccountSID = of.SID
	checkFriendlyName(of, c, m.Get("friendly_name"))
	switch sid := m.Optional("sid"); {
	case sid.Exists():
		c.SID = r.newSID(sid, conferenceSID)
	case c.FriendlyName != "":
		c.SID = of.makeConferenceSID(c.FriendlyName)
		r.taken[c.SID] = true
	default:
		sid.Errorf("is missing, and there is no friendly_name")
	}
	c = c.withDefaults()
	var participants []*yamlfile.Mapping
	for _, v := range m.Optional("participants").List(0) {
		if p := v.Mapping(); p != nil {
			participants = append(participants, p)
			r.participant(&c, p)
		}
	}
	for i, p := range c.Participants {
		checkCoaching(&c, p, participants[i].Get("call_sid_to_coach"))
	}
	of.Conferences = append(of.Conferences, &c)
}

func checkFriendlyName(of *Account, c Conference, where yamlfile.Value) {
	if len([]rune(c.FriendlyName)) > maxFriendlyName {
		where.Errorf("must be at most %d characters", maxFriendlyName)
	}
	if isFaultLabel(c.FriendlyName) {
		if _, err := parseFaultLabel(c.FriendlyName, opRead); err != nil {
			where.Errorf("%v", err)
		}
	}
	if c.FriendlyName != "" && c.Status != conferenceCompleted && of.running(c.FriendlyName) != nil {
		where.Errorf("another conference of this name has not completed")
	}
}

// readConference reads everything except the SID and the participants.
func readConference(m *yamlfile.Mapping) Conference {
	c := Conference{
		FriendlyName:            m.Optional("friendly_name").Text(),
		Status:                  oneOf(m.Optional("status"), conferenceInit, conferenceInProgress, conferenceCompleted),
		Region:                  m.Optional("region").Text(),
		MaxParticipants:         yamlfile.Scan(m.Optional("max_participants"), roomFor),
		ReasonConferenceEnded:   oneOf(m.Optional("reason_conference_ended"), reasonsEnded...),
		CallSIDEndingConference: m.Optional("call_sid_ending_conference").Text(),
		StatusCallback:          yamlfile.Scan(m.Optional("status_callback"), callbackURL),
		StatusCallbackMethod:    oneOf(m.Optional("status_callback_method"), "GET", "POST"),
		DateCreated:             m.Optional("date_created").Time().UTC(),
		DateUpdated:             m.Optional("date_updated").Time().UTC(),
	}
	setDefault(&c.Status, conferenceInProgress)
	events := m.Optional("status_callback_event")
	for _, v := range events.List(0) {
		c.StatusCallbackEvent = append(c.StatusCallbackEvent, oneOf(v, allEventKinds...))
	}
	if c.StatusCallback != "" && !events.Exists() {
		c.StatusCallbackEvent = slices.Clone(allEventKinds)
	}
	return c
}

func (r *stateReader) participant(in *Conference, m *yamlfile.Mapping) {
	p := readParticipant(m)
	if p.CallSID == "" {
		p.CallSID = in.makeCallSID(p.Label)
	}
	if err := in.admits(p); err != nil {
		m.Errorf("%v", err)
	} else if r.taken[p.CallSID] {
		m.Optional("call_sid").Errorf("the SID is taken")
	}
	r.taken[p.CallSID] = true
	in.Participants = append(in.Participants, &p)
}

func readParticipant(m *yamlfile.Mapping) Participant {
	p := Participant{
		CallSID: m.Optional("call_sid").Text(), Label: m.Optional("label").Text(),
		From: m.Optional("from").Text(), To: m.Optional("to").Text(),
		Status: oneOf(m.Optional("status"),
			statusQueued, statusConnecting, statusRinging, statusConnected, statusComplete, statusFailed),
		Muted: m.Optional("muted").Bool(), Hold: m.Optional("hold").Bool(),
		HoldURL:    yamlfile.Scan(m.Optional("hold_url"), webURL),
		HoldMethod: oneOf(m.Optional("hold_method"), "GET", "POST"),
		WaitMethod: oneOf(m.Optional("wait_method"), "GET", "POST"),

		BeepOnEnter: m.Optional("beep_on_enter").Bool(), BeepOnExit: m.Optional("beep_on_exit").Bool(),
		StartConferenceOnEnter: boolOr(m.Optional("start_conference_on_enter"), true),
		EndConferenceOnExit:    m.Optional("end_conference_on_exit").Bool(),
		Coaching:               m.Optional("coaching").Bool(),
		CallSIDToCoach:         m.Optional("call_sid_to_coach").Text(),
		QueueTime:              m.Optional("queue_time").Text(),
		DateCreated:            m.Optional("date_created").Time().UTC(),
		DateUpdated:            m.Optional("date_updated").Time().UTC(),
	}
	if music := m.Optional("wait_url"); music.Exists() {
		p.WaitURL = new(yamlfile.Scan(music, webURL))
	}
	p.Coaching = p.Coaching || p.CallSIDToCoach != ""
	p = p.withDefaults()
	p.EffectiveEndConferenceOnExit = boolOr(m.Optional("effective_end_conference_on_exit"), p.EffectiveEndConferenceOnExit)
	return p
}

func checkCoaching(in *Conference, p *Participant, where yamlfile.Value) {
	if !p.Coaching {
		return
	}
	coached := in.participant(p.CallSIDToCoach)
	if coached == nil || coached.CallSID != p.CallSIDToCoach {
		where.Errorf("must be the Call SID of a participant of the conference")
	}
}

// newSID reads a SID, which no other resource may have.
func (r *stateReader) newSID(v yamlfile.Value, form *regexp.Regexp) string {
	return yamlfile.Scan(v, func(sid string) (string, error) {
		if !form.MatchString(sid) {
			return "", fmt.Errorf("must be a SID of the form %s", form)
		}
		if r.taken[sid] {
			return "", errors.New("the SID is taken")
		}
		r.taken[sid] = true
		return sid, nil
	})
}

// oneOf reads one of the known texts, or an empty one.
func oneOf(v yamlfile.Value, known ...string) string {
	return yamlfile.Scan(v, func(text string) (string, error) {
		if text != "" && !slices.Contains(known, text) {
			return "", fmt.Errorf("must be one of %s", strings.Join(known, ", "))
		}
		return text, nil
	})
}

func boolOr(v yamlfile.Value, otherwise bool) bool {
	if !v.Exists() {
		return otherwise
	}
	return v.Bool()
}

func roomFor(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 2 || n > maxParticipants {
		return 0, fmt.Errorf("must be a number from 2 to %d", maxParticipants)
	}
	return n, nil
}

func notEmpty(text string) (string, error) {
	if text == "" {
		return "", errors.New("must not be empty")
	}
	return text, nil
}

// webURL accepts an empty text too.
func webURL(text string) (string, error) {
	if text != "" && !isWebURL(text) {
		return "", errors.New("is not a valid URL")
	}
	return text, nil
}

func callbackURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	return text, checkCallback(text)
}
