package sandbox

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const otherSID = "AC00000000000000000000000000000002"

// twoAccounts is a state of two accounts whose conferences are the same but for the
// SIDs.
const twoAccounts = `
accounts:
  - sid: ` + AccountSID + `
    auth_token: ` + AuthToken + `
    conferences:
      - {sid: ` + ConferenceSID + `, friendly_name: room, participants: [{label: agent}]}
  - sid: ` + otherSID + `
    auth_token: ` + AuthToken + `
    conferences:
      - {sid: ` + InitConferenceSID + `, friendly_name: room, participants: [{label: agent}]}
`

func newAccountsStage(t *testing.T, config Config) *stage {
	t.Helper()
	var err error
	if config.State, err = ParseState("state", []byte(twoAccounts)); err != nil {
		t.Fatal(err)
	}
	return newStage(t, config)
}

// mute mutes the agent of an account.
func (s *stage) mute(account string) reply {
	s.t.Helper()
	conference := map[string]string{AccountSID: ConferenceSID, otherSID: InitConferenceSID}[account]
	path := "/2010-04-01/Accounts/" + account + "/Conferences/" + conference + "/Participants/agent.json"
	r := s.request(http.MethodPost, path, "Muted=true")
	r.SetBasicAuth(account, AuthToken)
	return s.do(r)
}

func (s *stage) muted() []bool {
	var muted []bool
	for _, account := range s.State().Accounts {
		muted = append(muted, account.Conferences[0].Participants[0].Muted)
	}
	return muted
}

func TestResetOfOneAccount(t *testing.T) {
	s := newAccountsStage(t, Config{})
	for _, account := range []string{AccountSID, otherSID, ""} {
		s.arm(`{"kind": "503", "times": 0, "operation": "remove", "account": "` + account + `"}`)
	}
	s.mute(AccountSID)
	s.mute(otherSID)
	s.Advance(time.Hour)
	diff(t, 204, s.call(http.MethodPost, "/sandbox/reset", "account="+AccountSID).status)
	diff(t, []bool{false, true}, s.muted())
	diff(t, []string{"2 request update 200"}, s.journal(""))
	diff(t, []string{otherSID, ""}, []string{s.Armed("")[0].Account, s.Armed("")[1].Account})
	diff(t, s.clock.Now().Add(time.Hour), s.State().Accounts[0].Conferences[0].DateCreated)

	diff(t, 204, s.call(http.MethodPost, "/sandbox/reset", "").status)
	diff(t, []bool{false, false}, s.muted())
	diff(t, []int{0, 0}, []int{len(s.journal("")), len(s.Armed(""))})
}

func TestRequestsOfEachAccountAreCounted(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	s := newAccountsStage(t, Config{Concurrency: 1, Fault: func(r *http.Request) Fault {
		if strings.Contains(r.URL.Path, AccountSID) {
			close(arrived)
			<-release
		}
		return Fault{}
	}})
	first := make(chan reply)
	go func() { first <- s.mute(AccountSID) }()
	<-arrived
	refused, other := s.mute(AccountSID), s.mute(otherSID)
	close(release)
	for want, got := range map[string]reply{"2 429/20429": refused, "1 200": other} {
		diff(t, want, got.header.Get("Twilio-Concurrent-Requests")+" "+got.outcome())
	}
	diff(t, "1", (<-first).header.Get("Twilio-Concurrent-Requests"))
}

func TestRandomFaultsOfEachAccountAreIndependent(t *testing.T) {
	outcomes := func(interleaved bool) (got []string) {
		s := newAccountsStage(t, Config{ErrorRate: 0.5, Seed: 7})
		for range 20 {
			if interleaved {
				_, _ = s.try(s.request(http.MethodGet, participantPath("agent"), ""))
			}
			r := s.request(http.MethodGet, strings.Replace(conferencesPath, AccountSID, otherSID, 1)+".json", "")
			r.SetBasicAuth(otherSID, AuthToken)
			got = append(got, s.observe(r))
		}
		return got
	}
	diff(t, outcomes(false), outcomes(true))
}

func TestLoadState(t *testing.T) {
	s := newStage(t, Config{})
	s.update(AgentSID, "Muted=true")
	load := func(text string) reply { return s.call(http.MethodPost, "/sandbox/state", text) }

	got := load(strings.Replace(twoAccounts, "label: agent", "labl: agent", 1))
	if got.status != 400 || !strings.Contains(got.body, "line 6") || !strings.Contains(got.body, "labl") {
		t.Errorf("an invalid state is answered %d %q", got.status, got.body)
	}
	diff(t, true, s.participant(AgentSID).Muted)

	diff(t, 204, load(twoAccounts).status)
	diff(t, "200", s.mute(otherSID).outcome())
	s.call(http.MethodPost, "/sandbox/reset?account="+otherSID, "")
	diff(t, []bool{false, false}, s.muted())

	diff(t, 204, load(`{
	"accounts": [{"sid": "`+AccountSID+`", "auth_token": "x\/y",
	"conferences": [{"friendly_name": "\ud83d\ude00 \\ud83d \u00e9"}]}]
}`).status)
	diff(t, `😀 \ud83d é`, s.State().Accounts[0].Conferences[0].FriendlyName)

	s.call(http.MethodPost, "/sandbox/reset", "")
	diff(t, false, s.participant(AgentSID).Muted)
	diff(t, 413, load("# "+strings.Repeat("x", maxState)).status)
}
