package sandbox

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"conferenced/service/yamlfile"
)

// stateSchema describes the state file for editors.
//
//go:embed state.schema.json
var stateSchema []byte

var (
	accountSID = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	apiKeySID  = regexp.MustCompile(`^SK[0-9a-fA-F]{32}$`)
)

// ParseState reads a state from YAML or JSON, for Config.State. Errors contain the given
// name.
//
//	accounts:
//	  - sid: AC00000000000000000000000000000001
//	    auth_token: "0123456789abcdef0123456789abcdef"
//	    conferences:
//	      - sid: CF00000000000000000000000000000001
//	        friendly_name: Support
//	        status_callback: http://127.0.0.1:9000/events
//	        participants:
//	          - call_sid: CA00000000000000000000000000000001
//	            label: front desk
//	            muted: true
//
// The README describes every key. Missing SIDs are derived from names and positions, so
// they are the same in every run. The status of a participant does not change by itself.
//
// Unknown keys, values of the wrong type, values that the API itself would refuse, and
// status callbacks that are not on loopback are errors. The error joins all problems,
// each with its line and key.
func ParseState(name string, text []byte) (*InitialState, error) {
	if json.Valid(text) {
		text = yamlOf(text)
	}
	file := yamlfile.Parse(name, text)
	r := &stateReader{state: &InitialState{}, taken: map[string]bool{}}
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

// yamlOf returns JSON as YAML. YAML does not allow tabs between values, and characters
// that are escaped as two surrogates.
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
		isOwner := func(other initialAccount) bool { return other.SID == account.OwnerAccountSID }
		if !slices.ContainsFunc(r.state.accounts, isOwner) {
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
	account.OwnerAccountSID = cmp.Or(account.OwnerAccountSID, account.SID)
	account.Status = cmp.Or(account.Status, accountActive)
	known := secrets{token: yamlfile.Scan(m.Required("auth_token"), notEmpty), keys: map[string]string{}}
	for _, v := range m.Optional("api_keys").List(0) {
		if key := v.Mapping(); key != nil {
			sid := r.newSID(key.Required("sid"), apiKeySID)
			known.keys[sid] = yamlfile.Scan(key.Required("secret"), notEmpty)
		}
	}
	for _, v := range m.Optional("conferences").List(0) {
		if conference := v.Mapping(); conference != nil {
			r.conference(account, conference)
		}
	}
	r.state.accounts = append(r.state.accounts, initialAccount{Account: account, secrets: known, settings: settings{
		sounds:   readSounds(m.Optional("sounds")),
		refusals: readRefusals(m.Optional("refusals")),
		defects:  readDefects(m.Optional("defects").Mapping()),
	}})
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
	if _, err := parseFaultLabel(c.FriendlyName, opRead); err != nil {
		where.Errorf("%v", err)
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
		MaxParticipants:         yamlfile.Scan(m.Optional("max_participants"), participantLimit),
		ReasonConferenceEnded:   oneOf(m.Optional("reason_conference_ended"), reasonsEnded...),
		CallSIDEndingConference: m.Optional("call_sid_ending_conference").Text(),
		StatusCallback:          yamlfile.Scan(m.Optional("status_callback"), callbackURL),
		StatusCallbackMethod:    oneOf(m.Optional("status_callback_method"), "GET", "POST"),
		DateCreated:             m.Optional("date_created").Time().UTC(),
		DateUpdated:             m.Optional("date_updated").Time().UTC(),
	}
	c.Status = cmp.Or(c.Status, conferenceInProgress)
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

func readSounds(list yamlfile.Value) map[string]Sound {
	sounds := map[string]Sound{}
	for _, v := range list.List(0) {
		m := v.Mapping()
		if m == nil {
			continue
		}
		s := Sound{URL: yamlfile.Scan(m.Required("url"), webURL), Fails: m.Optional("fails").Bool()}
		if length := m.Optional("duration"); length.Exists() {
			s.Duration = yamlfile.Scan(length, duration)
		} else if !s.Fails {
			s.Duration = defaultDuration
		}
		sounds[s.URL] = s
	}
	return sounds
}

func readRefusals(list yamlfile.Value) (refusals []refusedCombination) {
	for _, v := range list.List(0) {
		m := v.Mapping()
		if m == nil {
			continue
		}
		r := refusedCombination{
			status:  yamlfile.Scan(m.Optional("status"), numberFrom(400, 499)),
			code:    yamlfile.Scan(m.Required("code"), numberFrom(1, 99_999)),
			message: m.Optional("message").Text(),
		}
		r.status = cmp.Or(r.status, http.StatusBadRequest)
		r.message = cmp.Or(r.message, "This combination of properties is not supported")
		for _, word := range m.Required("when").List(1) {
			r.when = append(r.when, yamlfile.Scan(word, refusableProperty))
		}
		refusals = append(refusals, r)
	}
	return refusals
}

func readDefects(m *yamlfile.Mapping) defects {
	if m == nil {
		return defects{}
	}
	return defects{
		late:           yamlfile.Scan(m.Optional("callbacks_late"), duration),
		duplicated:     yamlfile.Scan(m.Optional("callbacks_duplicated"), share),
		reordered:      yamlfile.Scan(m.Optional("callbacks_reordered"), share),
		listLag:        yamlfile.Scan(m.Optional("list_lag"), duration),
		nameLag:        yamlfile.Scan(m.Optional("name_lag"), duration),
		participantLag: yamlfile.Scan(m.Optional("participant_lag"), duration),
		withoutEffect:  yamlfile.Scan(m.Optional("updates_without_effect"), share),
	}
}

// newSID reads a SID. It reports one that another resource of the file has.
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

// oneOf reads a text that is empty or known.
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

func refusableProperty(text string) (string, error) {
	if _, known := refusable[text]; !known {
		return "", fmt.Errorf("must be one of %s", strings.Join(slices.Sorted(maps.Keys(refusable)), ", "))
	}
	return text, nil
}

func numberFrom(least, most int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("must be a number from %d to %d", least, most)
		}
		return n, nil
	}
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > time.Hour {
		return 0, errors.New("must be a duration such as 2s, at most 1h")
	}
	return d, nil
}

func share(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return 0, errors.New("must be a number from 0 to 1")
	}
	return f, nil
}

func notEmpty(text string) (string, error) {
	if text == "" {
		return "", errors.New("must not be empty")
	}
	return text, nil
}

// webURL accepts a URL or an empty text.
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
