package sandbox

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	otherAccount = "ACac000000000000000000000000000002"
	otherToken   = "ffeeddccbbaa99887766554433221100"
)

func parse(t *testing.T, text string) *InitialState {
	t.Helper()
	state, err := ParseState("state.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// everyKeyState returns the state of testdata, which has every key.
func everyKeyState(t *testing.T) *InitialState {
	t.Helper()
	text, err := os.ReadFile("testdata/state.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

func TestStateWithEveryKey(t *testing.T) {
	s := newStage(t, Config{State: everyKeyState(t)})
	now := newClock().now
	then := time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC)
	music := "http://127.0.0.1:9000/music"
	diff(t, []*Account{
		{
			SID: AccountSID, OwnerAccountSID: AccountSID, FriendlyName: "Parent", Status: "active",
			Conferences: []*Conference{
				{
					SID: ConferenceSID, AccountSID: AccountSID, FriendlyName: "Support", Status: "init", Region: "ie1", MaxParticipants: 10,
					StatusCallback: "http://127.0.0.1:9000/events", StatusCallbackMethod: "GET", StatusCallbackEvent: []string{"join", "leave"},
					Announcements: []Announcement{}, DateCreated: then, DateUpdated: then.Add(time.Second),
					Participants: []*Participant{
						{
							CallSID: AgentSID, Label: "Zoë 100%", From: "+15017122661", To: "client:zoë", Status: "ringing",
							Muted: true, Hold: true, HoldURL: music, HoldMethod: "POST", WaitURL: new(""), WaitMethod: "GET",
							Announcements: []Announcement{}, BeepOnEnter: true, BeepOnExit: true, EndConferenceOnExit: true,
							Coaching: true, CallSIDToCoach: CustomerSID, QueueTime: "1500",
							DateCreated: then, DateUpdated: then.Add(2 * time.Second),
						},
						{
							CallSID: CustomerSID, Status: "connected", HoldMethod: "GET", WaitURL: &music, WaitMethod: "POST",
							Announcements: []Announcement{}, StartConferenceOnEnter: true, DateCreated: now, DateUpdated: now,
						},
					},
				},
				{
					SID: CompletedConferenceSID, AccountSID: AccountSID, FriendlyName: "Support", Status: "completed", Region: "us1", MaxParticipants: 250,
					ReasonConferenceEnded: "last-participant-left", CallSIDEndingConference: HeldSID,
					StatusCallbackMethod: "POST", StatusCallbackEvent: []string{},
					Announcements: []Announcement{}, DateCreated: now, DateUpdated: now, Participants: []*Participant{},
				},
			},
		},
		{SID: otherAccount, OwnerAccountSID: AccountSID, FriendlyName: "Child", Status: "active", Conferences: []*Conference{
			{
				SID: "CFe90116608f3b523ee2d645af14bfef0d", AccountSID: otherAccount, FriendlyName: "Named", Status: "in-progress", Region: "us1", MaxParticipants: 250,
				StatusCallback: "http://localhost:9000/", StatusCallbackMethod: "POST", StatusCallbackEvent: allEventKinds,
				Announcements: []Announcement{}, DateCreated: now, DateUpdated: now, Participants: []*Participant{},
			},
		}},
		{SID: "AC" + strings.Repeat("F", 32), OwnerAccountSID: "AC" + strings.Repeat("F", 32), Status: "suspended", Conferences: []*Conference{}},
	}, s.State().Accounts)
}

func TestCredentialsOfSeededAccounts(t *testing.T) {
	suspended := "AC" + strings.Repeat("F", 32)
	tests := map[string]struct {
		user, password, account string
		want                    string
	}{
		"a parent":                             {AccountSID, AuthToken, AccountSID, "200"},
		"a parent, in its subaccount":          {AccountSID, AuthToken, otherAccount, "200"},
		"a subaccount":                         {otherAccount, otherToken, otherAccount, "200"},
		"a subaccount, in its parent":          {otherAccount, otherToken, AccountSID, "401/20003"},
		"a subaccount with its parent's token": {otherAccount, AuthToken, otherAccount, "401/20003"},
		"a key":                                {APIKeySID, APIKeySecret, AccountSID, "200"},
		"a parent's key, in the subaccount":    {APIKeySID, APIKeySecret, otherAccount, "401/20003"},
		"a suspended account":                  {suspended, "secret", suspended, "401/20003"},
	}
	s := newStage(t, Config{State: everyKeyState(t)})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := s.request(http.MethodGet, "/2010-04-01/Accounts/"+test.account+"/Conferences.json", "")
			r.SetBasicAuth(test.user, test.password)
			diff(t, test.want, s.do(r).outcome())
		})
	}
	state := s.get("/sandbox/state").body + s.get("/").body
	for _, secret := range []string{AuthToken, otherToken, APIKeySecret} {
		if strings.Contains(state, secret) {
			t.Error("the sandbox shows a secret")
		}
	}
}

func TestAccountsAreSeparate(t *testing.T) {
	s := newStage(t, Config{State: everyKeyState(t)})
	for _, path := range []string{
		conferencePath(ConferenceSID), participantPath(AgentSID), participantsPath(ConferenceSID) + ".json",
	} {
		r := s.request(http.MethodGet, strings.Replace(path, AccountSID, otherAccount, 1), "")
		diff(t, "404/20404", s.do(r).outcome())
	}
	r := s.request(http.MethodPost, strings.Replace(participantsPath(ConferenceSID)+".json", AccountSID, otherAccount, 1), calling(nil).Encode())
	diff(t, "404/16022", s.do(r).outcome())
}

func TestTheCredentialsOfAState(t *testing.T) {
	diff(t, []Credentials{{AccountSID: AccountSID, AuthToken: AuthToken}}, defaultState().Credentials())
}

func TestSandboxesShareAState(t *testing.T) {
	state := parse(t, "accounts: [{sid: "+AccountSID+", auth_token: "+AuthToken+", conferences: [{sid: "+ConferenceSID+", participants: [{label: guest}]}]}]")
	one, other := newStage(t, Config{State: state}), newStage(t, Config{State: state})
	one.update("guest", "Muted=true")
	diff(t, false, other.participant("guest").Muted)
	one.Reset()
	diff(t, other.State(), one.State())
}

func TestInvalidStates(t *testing.T) {
	const account = "accounts:\n- sid: " + AccountSID + "\n  auth_token: secret\n"            // three lines
	const conference = account + "  conferences:\n  - sid: " + ConferenceSID + "\n"           // five
	const participants = conference + "    participants:\n    - call_sid: " + AgentSID + "\n" // seven
	tests := map[string]struct {
		text string
		want string
	}{
		"nothing":                                 {"", "line 1: is empty"},
		"no YAML":                                 {"accounts: [", "line 1: accounts: is not YAML"},
		"two documents":                           {account + "---\n" + account, "line 4: a second document begins"},
		"no accounts":                             {"accounts: []", "line 1: accounts: must not be empty"},
		"an unknown key":                          {account + "  tokens: secret\n", "line 4: accounts[0].tokens: unknown key"},
		"an unknown key of a participant":         {participants + "      mutd: true\n", "line 8: accounts[0].conferences[0].participants[0].mutd: unknown key"},
		"a value of another type":                 {participants + "      muted: loudly\n", "participants[0].muted: must be true or false"},
		"an account without SID":                  {"accounts:\n- auth_token: secret\n", "line 2: accounts[0].sid: is missing"},
		"an account with another's SID":           {account + "- sid: " + AccountSID + "\n  auth_token: secret\n", "line 4: accounts[1].sid: the SID is taken"},
		"an account with a malformed SID":         {"accounts:\n- auth_token: secret\n  sid: AC1\n", "line 3: accounts[0].sid: must be a SID of the form ^AC"},
		"an account without token":                {"accounts:\n- sid: " + AccountSID + "\n", "line 2: accounts[0].auth_token: is missing"},
		"an account with an empty token":          {"accounts:\n- sid: " + AccountSID + "\n  auth_token: ''", "line 3: accounts[0].auth_token: must not be empty"},
		"an odd status of an account":             {account + "  status: paused\n", "line 4: accounts[0].status: must be one of active, suspended, closed"},
		"an owner that does not exist":            {account + "  owner_account_sid: " + otherAccount + "\n", "line 4: accounts[0].owner_account_sid: must be the SID of an account of this file"},
		"a key without SID":                       {account + "  api_keys:\n  - secret: x\n", "line 5: accounts[0].api_keys[0].sid: is missing"},
		"a key without secret":                    {account + "  api_keys:\n  - sid: " + APIKeySID + "\n", "line 5: accounts[0].api_keys[0].secret: is missing"},
		"a conference without SID and name":       {account + "  conferences:\n  - status: init\n", "line 5: accounts[0].conferences[0].sid: is missing, and there is no friendly_name"},
		"a conference with a malformed SID":       {account + "  conferences:\n  - sid: CF1\n", "conferences[0].sid: must be a SID of the form ^CF"},
		"an odd status of a conference":           {conference + "    status: over\n", "conferences[0].status: must be one of init, in-progress, completed"},
		"a name that is too long":                 {conference + "    friendly_name: " + strings.Repeat("é", 129) + "\n", "line 6: accounts[0].conferences[0].friendly_name: must be at most 128 characters"},
		"two conferences of one name":             {account + "  conferences:\n  - friendly_name: A\n  - friendly_name: A\n", "line 6: accounts[0].conferences[1].friendly_name: another conference of this name has not completed"},
		"too many participants at once":           {conference + "    max_participants: 251\n", "conferences[0].max_participants: must be a number from 2 to 250"},
		"an odd reason":                           {conference + "    reason_conference_ended: boredom\n", "conferences[0].reason_conference_ended: must be one of"},
		"a callback to another host":              {conference + "    status_callback: https://example.com/\n", "conferences[0].status_callback: must be on loopback"},
		"a callback by an odd method":             {conference + "    status_callback_method: PUT\n", "conferences[0].status_callback_method: must be one of GET, POST"},
		"an odd event":                            {conference + "    status_callback_event: [start, ring]\n", "conferences[0].status_callback_event[1]: must be one of"},
		"a participant of a conference that ends": {participants + "    status: completed\n", "line 7: accounts[0].conferences[0].participants[0]: the conference has completed"},
		"a participant with a malformed SID":      {conference + "    participants:\n    - call_sid: CA1\n", "line 7: accounts[0].conferences[0].participants[0]: malformed Call SID"},
		"a participant with another's SID":        {participants + "    - call_sid: " + AgentSID + "\n", "line 8: accounts[0].conferences[0].participants[1]: the Call SID " + AgentSID + " is taken"},
		"a participant of two conferences":        {participants + "  - sid: " + InitConferenceSID + "\n    participants:\n    - call_sid: " + AgentSID + "\n", "line 10: accounts[0].conferences[1].participants[0].call_sid: the SID is taken"},
		"a label that is taken":                   {participants + "      label: a\n    - label: a\n", `line 9: accounts[0].conferences[0].participants[1]: the label "a" is taken`},
		"a label with a slash":                    {participants + "      label: a/b\n", `participants[0]: the label "a/b" has a slash`},
		"a fault label that is unreadable":        {participants + "      label: fault:1\n", "participants[0]: the label \"fault:1\" names no fault"},
		"an odd status of a participant":          {participants + "      status: gone\n", "participants[0].status: must be one of queued"},
		"an odd hold URL":                         {participants + "      hold_url: music\n", "participants[0].hold_url: is not a valid URL"},
		"an odd hold method":                      {participants + "      hold_method: get\n", "participants[0].hold_method: must be one of GET, POST"},
		"an odd wait URL":                         {participants + "      wait_url: music\n", "participants[0].wait_url: is not a valid URL"},
		"an odd wait method":                      {participants + "      wait_method: get\n", "participants[0].wait_method: must be one of GET, POST"},
		"coaching without a Call SID":             {participants + "      coaching: true\n", "line 7: accounts[0].conferences[0].participants[0].call_sid_to_coach: must be the Call SID of a participant"},
		"coaching a label":                        {participants + "      label: a\n      call_sid_to_coach: a\n", "line 9: accounts[0].conferences[0].participants[0].call_sid_to_coach: must be the Call SID of a participant"},
		"one participant too many":                {conference + "    max_participants: 2\n    participants:\n    - {}\n    - {}\n    - {}\n", "line 10: accounts[0].conferences[0].participants[2]: the conference has 2 participants already"},
		"an alias":                                {"accounts:\n- &a\n  sid: AC1\n  auth_token: x\n- *a\n", "line 5: accounts[1]: aliases (*) are not supported"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			state, err := ParseState("state.yaml", []byte(test.text))
			if state != nil || err == nil || !strings.HasPrefix(err.Error(), "state.yaml: line ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestEveryProblemOfAStateIsReported(t *testing.T) {
	_, err := ParseState("state.yaml", []byte("accounts:\n- sid: AC1\n  status: paused\n"))
	want := `state.yaml: line 2: accounts[0].auth_token: is missing
state.yaml: line 2: accounts[0].sid: must be a SID of the form ^AC[0-9a-fA-F]{32}$
state.yaml: line 3: accounts[0].status: must be one of active, suspended, closed`
	diff(t, want, err.Error())
}

func FuzzParseState(f *testing.F) {
	text, err := os.ReadFile("testdata/state.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("accounts: [{sid: &a AC1, conferences: [{participants: [*a]}]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		state, err := ParseState("state.yaml", data)
		if (state == nil) == (err == nil) {
			t.Fatalf("neither or both: %v, %v", state, err)
		}
		if state != nil {
			New(Config{State: state}).State()
		}
	})
}
