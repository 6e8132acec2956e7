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
	state, err := ParseState([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestAStateWithEverything(t *testing.T) {
	text, err := os.ReadFile("testdata/state.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, Config{State: parse(t, string(text))})
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

func TestWhoIsAdmittedToSeededAccounts(t *testing.T) {
	text, err := os.ReadFile("testdata/state.yaml")
	if err != nil {
		t.Fatal(err)
	}
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
	s := newStage(t, Config{State: parse(t, string(text))})
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

func TestAccountsDoNotSeeEachOther(t *testing.T) {
	text, err := os.ReadFile("testdata/state.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, Config{State: parse(t, string(text))})
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

func TestStatesThatAreRefused(t *testing.T) {
	const account = "accounts:\n- sid: " + AccountSID + "\n  auth_token: secret\n"            // three lines
	const conference = account + "  conferences:\n  - sid: " + ConferenceSID + "\n"           // five
	const participants = conference + "    participants:\n    - call_sid: " + AgentSID + "\n" // seven
	tests := map[string]struct {
		text string
		want string
	}{
		"nothing":                                 {"", "names no account"},
		"a comment":                               {"# nobody\n", "no account"},
		"no YAML":                                 {"accounts: [", "line 1: did not find"},
		"a word":                                  {"accounts", "line 1: cannot unmarshal"},
		"two documents":                           {account + "---\n" + account, "more than one document"},
		"no accounts":                             {"accounts: []", "line 1: there is no account"},
		"an unknown name":                         {account + "  tokens: secret\n", "line 4: field tokens not found"},
		"an unknown name of a participant":        {participants + "      mutd: true\n", "line 8: field mutd not found"},
		"a name that comes twice":                 {account + "  sid: " + AccountSID + "\n", `line 4: mapping key "sid" already defined at line 2`},
		"a value of another type":                 {participants + "      muted: loudly\n", "line 8: cannot unmarshal !!str `loudly` into bool"},
		"a list of another type":                  {account + "  conferences: {}\n", "line 4: cannot unmarshal !!map"},
		"an account without SID":                  {"accounts:\n- auth_token: secret\n", `line 2: "" is not a SID`},
		"an account with another's SID":           {account + "- sid: " + AccountSID + "\n  auth_token: secret\n", "line 4: the SID " + AccountSID + " is taken"},
		"an account with a malformed SID":         {"accounts:\n- auth_token: secret\n  sid: AC1\n", `line 3: "AC1" is not a SID`},
		"an account without token":                {"accounts:\n- sid: " + AccountSID + "\n", "line 2: the account has no auth_token"},
		"an odd status of an account":             {account + "  status: paused\n", `line 4: "paused" is none of active, suspended, closed`},
		"an owner that does not exist":            {account + "  owner_account_sid: " + otherAccount + "\n", "line 4: there is no account " + otherAccount},
		"a key without SID":                       {account + "  api_keys:\n  - secret: x\n", `line 5: "" is not a SID`},
		"a key without secret":                    {account + "  api_keys:\n  - sid: " + APIKeySID + "\n", "line 5: the API key has no secret"},
		"a conference without SID and name":       {account + "  conferences:\n  - status: init\n", `line 5: "" is not a SID`},
		"a conference with a malformed SID":       {account + "  conferences:\n  - sid: CF1\n", `line 5: "CF1" is not a SID`},
		"an odd status of a conference":           {conference + "    status: over\n", `line 6: "over" is none of init, in-progress, completed`},
		"a name that is too long":                 {conference + "    friendly_name: " + strings.Repeat("é", 129) + "\n", "line 6: friendly_name has more than 128"},
		"two conferences of one name":             {account + "  conferences:\n  - friendly_name: A\n  - friendly_name: A\n", `line 6: another conference "A" is not over`},
		"too many participants at once":           {conference + "    max_participants: 251\n", "line 6: max_participants is not from 2 to 250"},
		"an odd reason":                           {conference + "    reason_conference_ended: boredom\n", `line 6: "boredom" is none of`},
		"a callback to another host":              {conference + "    status_callback: https://example.com/\n", "line 6: status_callback must be on loopback"},
		"a callback by an odd method":             {conference + "    status_callback_method: PUT\n", `line 6: "PUT" is none of GET, POST`},
		"an odd event":                            {conference + "    status_callback_event: [start, ring]\n", `line 6: there is no event "ring"`},
		"a participant of a conference that ends": {participants + "    status: completed\n", "line 7: the conference has completed"},
		"a participant with a malformed SID":      {conference + "    participants:\n    - call_sid: CA1\n", `line 7: malformed Call SID "CA1"`},
		"a participant with another's SID":        {participants + "    - call_sid: " + AgentSID + "\n", "line 8: the Call SID " + AgentSID + " is taken"},
		"a participant of two conferences":        {participants + "  - sid: " + InitConferenceSID + "\n    participants:\n    - call_sid: " + AgentSID + "\n", "line 10: the SID " + AgentSID + " is taken"},
		"a label that is taken":                   {participants + "      label: a\n    - label: a\n", `line 9: the label "a" is taken`},
		"a label with a slash":                    {participants + "      label: a/b\n", `line 7: the label "a/b" has a slash`},
		"a fault label that is unreadable":        {participants + "      label: fault:1\n", "line 7: the label \"fault:1\" names no fault"},
		"an odd status of a participant":          {participants + "      status: gone\n", `line 8: "gone" is none of queued`},
		"an odd hold URL":                         {participants + "      hold_url: music\n", "line 8: hold_url is not a valid URL"},
		"an odd hold method":                      {participants + "      hold_method: get\n", `line 8: "get" is none of GET, POST`},
		"an odd wait URL":                         {participants + "      wait_url: music\n", "line 8: wait_url is not a valid URL"},
		"an odd wait method":                      {participants + "      wait_method: get\n", `line 8: "get" is none of GET, POST`},
		"coaching nobody":                         {participants + "      coaching: true\n", `line 7: there is no participant "" to coach`},
		"coaching a label":                        {participants + "      label: a\n      call_sid_to_coach: a\n", `line 9: there is no participant "a" to coach`},
		"one participant too many":                {conference + "    max_participants: 2\n    participants:\n    - {}\n    - {}\n    - {}\n", "line 10: the conference has 2 participants already"},
		"an error behind an alias":                {"accounts:\n- &a\n  sid: AC1\n  auth_token: x\n- *a\n", `line 3: "AC1" is not a SID`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			state, err := ParseState([]byte(test.text))
			if state != nil || err == nil || !strings.HasPrefix(err.Error(), "sandbox: state: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want one with %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "sandbox.") {
				t.Errorf("the error tells of Go's types: %v", err)
			}
		})
	}
}

func TestEverythingWrongWithAStateIsTold(t *testing.T) {
	_, err := ParseState([]byte("accounts:\n- sid: AC1\n  status: paused\n"))
	want := `sandbox: state: line 2: "AC1" is not a SID of the form ^AC[0-9a-fA-F]{32}$
line 2: the account has no auth_token
line 3: "paused" is none of active, suspended, closed`
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
		state, err := ParseState(data)
		if (state == nil) == (err == nil) {
			t.Fatalf("neither or both: %v, %v", state, err)
		}
		if state != nil {
			New(Config{State: state}).State()
		}
	})
}
